"""PASCAL VOC as it is unpacked: lists of names, images beside annotations in XML.

    ImageSets/Main/SPLIT.txt    the names of a split's images, one a line
    JPEGImages/NAME.jpg
    Annotations/NAME.xml        corners in pixels, counted from 1, the last one inside the box; the name of a class

Source: Everingham et al., The PASCAL Visual Object Classes Challenge 2012 Development Kit, sections 3 and 5. Objects
that an annotator called difficult do not count in VOC's evaluation; here they are treated as COCO's crowds: not learnt
from, and neither right nor wrong to find.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from ...errors import DataError, quote
from ...reading import naming, read_text
from .labels import FARTHEST, Objects, clean_objects
from .scan_report import Finding

LISTS, IMAGES, ANNOTATIONS = "ImageSets", "JPEGImages", "Annotations"
CORNERS = ("xmin", "ymin", "xmax", "ymax")
LIST_BYTES = 10**8


def listed_images(file: Path) -> Iterator[str]:
    """Yield the images that a list in `ImageSets` names.

    Raises:
        DataError: it cannot be read, lies in no folder `ImageSets`, or a line is no name.
    """
    place = next((parent for parent in file.parents if parent.name == LISTS), None)
    if place is None:
        raise DataError(f"{file}: lies in no folder {LISTS}, as the lists of VOC do")
    folder = os.path.join(place.parent, IMAGES)
    for number, line in enumerate(read_text(file, LIST_BYTES).splitlines(), start=1):
        if words := line.split():  # a second word says whether it shows what the list is about: -1, 0, 1
            if not _is_name(words[0]):
                raise DataError(f"{file}: line {number}: {quote(words[0])} is not the name of an image")
            yield os.path.join(folder, f"{words[0]}.jpg")


def voc_label_file(image: str) -> str:
    """Return where the annotation of an image is."""
    folder, name = os.path.split(image)
    return os.path.join(os.path.dirname(folder), ANNOTATIONS, f"{name.rpartition('.')[0]}.xml")


def parse_voc(
    text: str, file: str, names: Sequence[str], size_hw: tuple[int, int], first: int = 1
) -> tuple[Objects, list[Finding]]:
    """Parse an annotation.

    Args:
        text: its XML.
        file: its name, for errors and findings.
        names: of the classes.
        size_hw: rows and columns of the image.
        first: what the first pixel is called; others than VOC's own may count from 0.

    Raises:
        DataError: not such an annotation.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DataError(f"{file}: declares entities, which no annotation needs")
    with naming(file, "cannot be read as PASCAL VOC's XML"):
        root = ElementTree.fromstring(text)
    findings, rows = list[Finding](), list[tuple[int, list[float], bool]]()
    for number, item in enumerate(root.iter("object"), start=1):
        name = (item.findtext("name") or "").strip()
        corners = [_number(item.findtext(f"bndbox/{corner}")) for corner in CORNERS]
        if name not in names:
            findings.append(Finding("unknown category", file, f"object {number}: {quote(name)} is not among the names"))
        elif not all(-FARTHEST < corner < FARTHEST for corner in corners):
            findings.append(Finding("malformed annotation", file, f"object {number}: its corners are no pixels"))
        else:
            boxes = [corners[0] - first, corners[1] - first, *corners[2:]]
            rows.append((names.index(name), boxes, (item.findtext("difficult") or "0").strip() == "1"))
    if not rows and not findings:
        findings.append(Finding("no objects", file, "an annotation without objects"))
    objects = Objects(
        np.array([box for _, box, _ in rows], dtype=np.float64).reshape(-1, 4),
        np.array([label for label, _, _ in rows], dtype=np.int64),
        np.array([difficult for _, _, difficult in rows], dtype=bool),
    )
    clean, more = clean_objects(objects, size_hw, file, [f"box {number}" for number in range(1, len(rows) + 1)])
    return clean, findings + more


def _is_name(word: str) -> bool:
    return os.sep not in word and "/" not in word and "\0" not in word and word not in (".", "..")


def _number(text: str | None) -> float:
    try:
        return float(text or "")
    except ValueError:
        return math.nan
