"""Reading every image and label of a split once: its index, and what was found on the way."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError, quote
from ...imaging.io import IMAGE_SUFFIXES
from ...processes import cores
from ...progress import progress_bar
from ...reading import file_kind, files_below, is_path, read_text, shown
from ..index_cache import IndexCache
from .coco_file import CocoFile, read_coco
from .description import ImageDescription, Split
from .index import ImageIndex, from_cache, to_cache
from .inspect_file import inspect_image, quiet_decoders
from .labels import NO_OBJECTS, Objects, parse_yolo
from .scan_report import Finding, ScanReport
from .voc import listed_images, parse_voc, voc_label_file

LIST_BYTES = 10**9  # millions of images
PART = 16  # images that a thread scans in one go
LABEL_BYTES = 8 * 10**6  # the labels of one image; those of COCO have at most 0.1 MB

SCAN_VERSION = 3  # raised whenever what a scan finds or how it is stored changes


@dataclass(frozen=True)
class _Scanned:
    """One image: without a size it cannot be used."""

    path: str
    image_id: int | str
    size_hw: tuple[int, int] | None
    objects: Objects | None
    findings: list[Finding]


def scan(
    description: ImageDescription, split: str, *, cache: bool = True, progress: bool = True
) -> tuple[ImageIndex, ScanReport]:
    """Decode every image and read every label of a split once, in threads.

    Args:
        description: of the data set.
        split: "train", "val" or "test".
        cache: use the index of an earlier scan as long as no file was changed, added or removed; and keep this one.
        progress: show a progress bar on standard error.

    Raises:
        ConfigError: no such split.
        DataError: a folder without images, or an annotation file that cannot be read.
    """
    part = description.split(split)
    listed, repeated = _list_images(description, part)
    labels = [part.annotation_file] if part.annotation_file else [_label_file(part)(path) for path in listed]
    depends_on = (SCAN_VERSION, description.names, part.name, *(["voc"] if part.voc else []))
    kept = IndexCache.of(description.base or description.file, part.name, depends_on, [*listed, *map(str, labels)])
    if cache and (found := kept.load(from_cache)) and _fits(found[0], description, part, listed):
        return found
    report = ScanReport(f"{description.file}, {part.name}")
    report.add(Finding("image twice", path, "named twice") for path in repeated)
    index = _scan_images(description, part, listed, report, progress)
    if cache:
        kept.save(*to_cache(index, report))
    return index, report


def _fits(index: ImageIndex, description: ImageDescription, part: Split, listed: list[str]) -> bool:
    """Whether an index, which may be a stranger's, is of this description and these images."""
    if index.annotation_file != str(part.annotation_file or ""):
        return False
    if index.names != description.names:
        return False
    return bool(part.annotation_file) or index.paths == tuple(listed) or set(index.paths) <= set(listed)


def label_file(image: str) -> str:
    """Return where the YOLO labels of an image are: the last folder `images` becomes `labels`, the suffix `.txt`."""
    cut = image.rfind(os.sep) + 1
    name = image[cut:]
    return f"{_label_folder(image[:cut])}{name.rpartition('.')[0] or name}.txt"


@lru_cache(maxsize=1024)  # there are fewer folders than images
def _label_folder(folder: str) -> str:
    """The same of a folder, which ends with a separator if it is not empty."""
    parts = list(Path(folder).parts)
    for place in range(len(parts) - 1, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return os.path.join(*parts, "") if parts else ""


def _list_images(description: ImageDescription, part: Split) -> tuple[list[str], list[str]]:
    """The images of a split in a stable order, and those that were named more than once."""
    paths: dict[str, None] = {}
    repeated = []
    for source in part.sources:
        before = len(paths)
        for path in listed_images(source) if part.voc else _images_of(source, description.root):
            if path in paths:
                repeated.append(path)
            paths[path] = None
        if len(paths) == before and not repeated:
            raise DataError(f"{description.file}: {part.name}: no images in {shown(source)}")
    return list(paths), repeated


def _images_of(source: Path, root: Path) -> Iterator[str]:
    if source.is_dir():
        yield from (
            name
            for name in files_below(source)
            if name[name.rfind(".") :].lower() in IMAGE_SUFFIXES and name[name.rfind(os.sep) + 1] != "."
        )
    elif source.suffix.lower() in IMAGE_SUFFIXES:
        yield str(source)
    else:  # a text file: one image a line, relative to the list or else to the data set's path
        for number, line in enumerate(read_text(source, LIST_BYTES).splitlines(), start=1):
            if name := line.strip():
                if not is_path(name):
                    raise DataError(f"{source}: line {number}: {quote(name)} is not the name of an image")
                beside = source.parent / name
                yield str(beside if file_kind(beside) or not file_kind(root / name) else root / name)


def _scan_images(
    description: ImageDescription, part: Split, listed: list[str], report: ScanReport, progress: bool
) -> ImageIndex:
    items: Sequence[Any]
    scan_one: Callable[[Any], _Scanned]
    if part.annotation_file:
        coco = read_coco(part.annotation_file, description)
        report.add(coco.findings)
        items, category_ids = coco.images, coco.category_ids
        scan_one = partial(_scan_coco, coco, part.sources, {Path(path).name: path for path in listed})
    else:
        items, category_ids = listed, tuple(range(1, len(description.names) + 1))
        scan_one = partial(_scan_labelled, description.names, part.voc)
    found, count = [], len(items)
    bar = progress_bar(f"scanning {part.name}", count, show=progress)
    parts = [items[start : start + PART] for start in range(0, count, PART)]
    with ThreadPoolExecutor(cores()) as pool, quiet_decoders(), bar as advance:
        for done, scanned in enumerate(chain.from_iterable(pool.map(partial(_each, scan_one), parts)), start=1):
            report.add(scanned.findings)
            if scanned.size_hw is not None:
                found.append(scanned)
            if done % PART == 0:
                advance(done, count)
    index = _build(description, found, str(part.annotation_file or ""), category_ids)
    report.images, report.boxes = len(index), int((~index.crowd).sum())
    return index


def _each(scan_one: Callable[[Any], _Scanned], items: Sequence[Any]) -> list[_Scanned]:
    return [scan_one(item) for item in items]


def _label_file(part: Split) -> Callable[[str], str]:
    """Where the labels of an image are."""
    return voc_label_file if part.voc else label_file


def _scan_labelled(names: tuple[str, ...], voc: bool, path: str) -> _Scanned:
    """An image whose labels are a file of their own."""
    size_hw, findings = inspect_image(path)
    if size_hw is None:
        return _Scanned(path, path, None, None, findings)
    labels = voc_label_file(path) if voc else label_file(path)
    if not file_kind(labels):
        findings.append(Finding("label file missing", path, f"no label file {labels}"))
        return _Scanned(path, path, size_hw, NO_OBJECTS, findings)
    text = read_text(labels, LABEL_BYTES, errors="replace")
    if not voc and not text.strip():
        findings.append(Finding("no objects", labels, "an empty label file"))
    objects, more = (parse_voc if voc else parse_yolo)(text, labels, names, size_hw)
    return _Scanned(path, path, size_hw, objects, findings + more)


def _scan_coco(coco: CocoFile, sources: tuple[Path, ...], by_name: dict[str, str], image: dict[str, Any]) -> _Scanned:
    name, image_id = image["file_name"], image["id"]
    candidates = [source / name for source in sources if source.is_dir()]
    path = next((str(c) for c in candidates if file_kind(c) == "file"), None) or by_name.get(Path(name).name)
    if path is None:
        return _Scanned(name, image_id, None, None, [Finding("image missing", name, f"not in {sources[0]}")])
    size_hw, findings = inspect_image(path)
    if size_hw is None:
        return _Scanned(path, image_id, None, None, findings)
    declared_size = (image.get("height", size_hw[0]), image.get("width", size_hw[1]))
    if declared_size != size_hw:
        what = (
            f"{coco.file} says {declared_size[1]:g} x {declared_size[0]:g}, the image has {size_hw[1]} x {size_hw[0]}"
        )
        findings.append(Finding("size differs", path, what))
    objects, more = coco.objects(image_id, size_hw)
    if image_id not in coco.annotations:
        findings.append(Finding("no objects", path, "no annotation"))
    return _Scanned(path, image_id, size_hw, objects, findings + more)


def _build(
    description: ImageDescription, found: list[_Scanned], annotation_file: str, category_ids: tuple[int, ...]
) -> ImageIndex:
    objects = [scanned.objects for scanned in found if scanned.objects is not None]
    return ImageIndex(
        names=description.names,
        paths=tuple(scanned.path for scanned in found),
        image_ids=tuple(scanned.image_id for scanned in found),
        sizes_hw=np.array([scanned.size_hw for scanned in found], dtype=np.int64).reshape(-1, 2),
        starts=np.cumsum([0, *(len(o.labels) for o in objects)]).astype(np.int64),
        boxes=np.concatenate([NO_OBJECTS.boxes, *(o.boxes for o in objects)]),
        labels=np.concatenate([NO_OBJECTS.labels, *(o.labels for o in objects)]),
        crowd=np.concatenate([NO_OBJECTS.crowd, *(o.crowd for o in objects)]),
        annotation_file=annotation_file,
        category_ids=category_ids,
    )
