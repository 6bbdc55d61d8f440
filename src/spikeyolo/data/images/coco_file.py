"""COCO annotation files: images, boxes and categories under the file's own ids."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError, quote
from ...text import class_name
from .coco_json import annotation_problem, category_names, read_coco_json
from .description import ImageDescription
from .labels import Objects, clean_objects
from .scan_report import Finding


@dataclass(frozen=True)
class CocoFile:
    """An annotation file by image.

    Attributes:
        file: where it was read from.
        images: its `images` entries.
        annotations: its usable `annotations` by image id.
        label_of: class index by category id.
        category_ids: category id by class index; -1 for a class that this file does not know.
        findings: what is wrong with the others.
    """

    file: Path
    images: list[dict[str, Any]]
    annotations: dict[int | str, list[dict[str, Any]]]
    label_of: dict[int, int]
    category_ids: tuple[int, ...]
    findings: list[Finding]

    def objects(self, image_id: int | str, size_hw: tuple[int, int]) -> tuple[Objects, list[Finding]]:
        """Return the clean boxes of one image of that (true) size."""
        annotations = self.annotations.get(image_id, [])
        where = [_place(annotation) for annotation in annotations]
        crowd = np.array([bool(annotation.get("iscrowd", 0)) for annotation in annotations], dtype=bool)
        xywh = np.array([annotation["bbox"] for annotation in annotations], dtype=np.float64).reshape(-1, 4)
        boxes = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
        labels = np.array([self.label_of[annotation["category_id"]] for annotation in annotations], dtype=np.int64)
        clean, findings = clean_objects(Objects(boxes, labels, crowd), size_hw, str(self.file), where)
        crowds = [Finding("crowd", str(self.file), f"{where[i]}: a crowd") for i in np.flatnonzero(crowd)]
        return clean, crowds + findings


def read_coco(file: Path, description: ImageDescription) -> CocoFile:
    """Read an annotation file; its categories get the class indices of the description, by name.

    Raises:
        DataError: no COCO file, or a category that the description does not name.
    """
    content = read_coco_json(file)
    category_names(file, content)
    by_name = {class_name(str(c["name"])): c["id"] for c in content["categories"]}
    known_names = set(description.names)
    for name in by_name:
        if name not in known_names:
            raise DataError(f"{file}: categories: {quote(name)} is not among the names of {description.file}")
    category_ids = tuple(by_name.get(name, -1) for name in description.names)
    known = {image["id"] for image in content["images"]}
    if len(known) != len(content["images"]):
        raise DataError(f"{file}: images: an id is given twice")
    label_of = {category: label for label, category in enumerate(category_ids) if category >= 0}
    annotations, findings = defaultdict(list), []
    for number, annotation in enumerate(content["annotations"]):
        if problem := _problem(annotation, known, label_of):
            findings.append(Finding(problem[0], str(file), f"{_place(annotation, number)}: {problem[1]}"))
        else:
            annotations[annotation["image_id"]].append(annotation)
    return CocoFile(file, content["images"], dict(annotations), label_of, category_ids, findings)


def _problem(annotation: dict[str, Any], known: set[int | str], label_of: dict[int, int]) -> tuple[str, str] | None:
    """The kind and text of what makes an annotation unusable."""
    image, category = annotation.get("image_id"), annotation.get("category_id")
    if not isinstance(image, int | float | str) or image not in known:
        return "unknown image id", f"image_id {quote(image)} is no image of the file"
    if not isinstance(category, int | float) or category not in label_of:
        return "unknown category", f"category_id {quote(category)} is in no category"
    if wrong := annotation_problem(annotation):
        return "malformed annotation", wrong
    if not all(map(isfinite, annotation["bbox"])):
        return "not finite", f"bbox {annotation['bbox']}"
    return None


def _place(annotation: dict[str, Any], number: int = 0) -> str:
    """Which annotation it is: by its id, or else by its place in the list."""
    own = annotation.get("id")
    return f"annotation {own}" if type(own) is int and abs(own) < 10**20 else f"annotation number {number}"
