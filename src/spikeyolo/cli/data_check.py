"""`spikeyolo data check`: every image and label of a data set."""

from __future__ import annotations


def check(
    data: str,
    out: str | None = None,
    images: int = 16,
    strict: bool = False,
    cache: bool = True,
    overwrite: bool = False,
) -> None:
    """Look at every image and label of a data set, say what was found, and draw a page of images with boxes.

    Args:
        data: a data.yaml or a COCO JSON
        out: folder for the pages, one a split; runs/data-check, or the next free number, unless given
        images: images on a page
        strict: end with an error where anything has to be repaired
        cache: use what an earlier scan found where no file has changed

    Examples:
        spikeyolo data check data.yaml
        spikeyolo data check data.yaml --strict --images 36
    """
    from ..data.grids import index_grid
    from ..data.open import open_images
    from ..errors import DataError
    from ..files import gone_if_empty, new_folder, numbered
    from ..imaging.image_input import ImageInput
    from ..imaging.io import write_rgb
    from ..limits import MAX_IMAGES, check_range
    from ..terminal import say, show

    check_range("images", images, 1, MAX_IMAGES)
    opened, problems = open_images(data), []
    folder = numbered("runs/data-check") if out is None else new_folder(out, reads=[data], overwrite=overwrite)
    with gone_if_empty(folder):
        for split in opened.splits:
            index, report = opened.scan(split, cache=cache)
            show(report.table())
            try:
                report.raise_if_unusable(strict)
            except DataError as error:
                problems.append(str(error))
            if len(index):
                page = folder / f"{split}.png"
                write_rgb(page, index_grid(index, ImageInput.of(320), images))
                say(f"images with their boxes: {page}")
    if problems:
        raise DataError("; ".join(problems))
