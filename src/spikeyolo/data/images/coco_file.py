"""COCO annotation files: images, boxes and categories under the file's own ids."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError
from ...text import class_name
from .description import ImageDescription, category_names, read_coco_json
from .labels import Objects, clean_objects
from .scan_report import Finding


@dataclass(frozen=True)
class CocoFile:
    """An annotation file by image.

    Attributes:
        file: where it was read from.
        images: its `images` entries.
        annotations: its `annotations` by image id.
        label_of: class index by category id.
        category_ids: category id by class index; -1 for a class that this file does not know.
        findings: what is wrong with the file itself.
    """

    file: Path
    images: list[dict[str, Any]]
    annotations: dict[int, list[dict[str, Any]]]
    label_of: dict[int, int]
    category_ids: tuple[int, ...]
    findings: list[Finding]

    def objects(self, image_id: int, size_hw: tuple[int, int]) -> tuple[Objects, list[Finding]]:
        """Return the clean boxes of one image of that (true) size."""
        rows, labels, crowd, where = [], [], [], []
        findings = []
        for annotation in self.annotations.get(image_id, []):
            place = f"annotation {annotation.get('id', '?')}"
            problem, box = self._parse(annotation)
            if problem:
                findings.append(Finding(problem[0], str(self.file), f"{place}: {problem[1]}"))
                continue
            rows.append(box)
            labels.append(self.label_of[annotation["category_id"]])
            crowd.append(bool(annotation.get("iscrowd", 0)))
            where.append(place)
            if crowd[-1]:
                findings.append(Finding("crowd", str(self.file), f"{place}: a crowd"))
        xywh = np.array(rows, dtype=np.float64).reshape(-1, 4)
        boxes = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
        found = Objects(boxes, np.array(labels, dtype=np.int64), np.array(crowd, dtype=bool))
        clean, more = clean_objects(found, size_hw, str(self.file), where)
        return clean, findings + more

    def _parse(self, annotation: dict[str, Any]) -> tuple[tuple[str, str] | None, list[float]]:
        if annotation.get("category_id") not in self.label_of:
            return ("unknown category", f"category_id {annotation.get('category_id')!r} is in no category"), []
        try:
            box = [float(value) for value in annotation["bbox"]]
        except (KeyError, TypeError, ValueError):
            box = []
        if len(box) != 4:
            return ("malformed row", f"bbox {annotation.get('bbox')!r} is not [x, y, width, height]"), []
        if not np.isfinite(box).all():
            return ("not finite", f"bbox {box}"), []
        return None, box


def read_coco(file: Path, description: ImageDescription) -> CocoFile:
    """Read an annotation file; its categories get the class indices of the description, by name.

    Raises:
        DataError: no COCO file, an image without id or name, or a category that the description does not name.
    """
    content = read_coco_json(file)
    category_names(file, content)
    by_name = {class_name(str(c["name"])): int(c["id"]) for c in content["categories"]}
    for name in by_name:
        if name not in description.names:
            raise DataError(f"{file}: categories: '{name}' is not among the names of {description.file}")
    category_ids = tuple(by_name.get(name, -1) for name in description.names)
    try:
        known = {image["id"] for image in content["images"] if isinstance(image["file_name"], str)}
    except (KeyError, TypeError) as error:
        raise DataError(f"{file}: images: each needs an 'id' and a 'file_name'") from error
    if len(known) != len(content["images"]):
        raise DataError(f"{file}: images: an id is given twice, or a file_name is not text")
    annotations = defaultdict(list)
    findings = []
    for annotation in content["annotations"]:
        image_id = annotation.get("image_id")
        if image_id in known:
            annotations[image_id].append(annotation)
        else:
            what = f"annotation {annotation.get('id', '?')}: image_id {image_id!r} is no image of the file"
            findings.append(Finding("unknown image id", str(file), what))
    label_of = {category: label for label, category in enumerate(category_ids) if category >= 0}
    return CocoFile(file, content["images"], dict(annotations), label_of, category_ids, findings)
