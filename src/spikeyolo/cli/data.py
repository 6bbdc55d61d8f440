from __future__ import annotations

from pathlib import Path


def check(data: str, out: str = "runs/data-check", images: int = 16, strict: bool = False, cache: bool = True) -> None:
    """Looks at every image and label of a data set, says what was found, and draws a page of images with boxes.

    Args:
        data: a data.yaml or a COCO JSON
        out: folder for the pages, one a split
        images: images on a page
        strict: end with an error where anything has to be mended
        cache: use what an earlier scan found where no file has changed
    """
    from rich.console import Console

    from ..data.images.description import read_description
    from ..data.images.scan import scan
    from ..data.images.sheet import index_sheet
    from ..errors import DataError
    from ..imaging.io import write_rgb

    description = read_description(data)
    console = Console()
    problems = []
    for split in description.splits:
        index, report = scan(description, split, cache=cache)
        console.print(report.table())
        try:
            report.raise_if_unusable(strict)
        except DataError as error:
            problems.append(str(error))
        if len(index):
            folder = Path(out)
            folder.mkdir(parents=True, exist_ok=True)
            write_rgb(folder / f"{split}.png", index_sheet(index, images))
            console.print(f"images with their boxes: {folder / f'{split}.png'}")
    if problems:
        raise DataError("; ".join(problems))
