"""COCO annotation files as other programs write them: every field that is used has the type it should have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...errors import DataError, quote
from ...limits import MAX_CLASSES
from ...reading import is_path
from ...text_files import read_json
from ..data_yaml import unique_names

LARGEST_ID = 2**63 - 1
FARTHEST = 1e9  # pixels, or square pixels of an area: beyond it is no image


def read_coco_json(file: Path) -> dict[str, Any]:
    """Return the content of a COCO annotation file: at least `images`, `annotations` and `categories`, each a list.

    Images and categories are checked here; annotations by `annotation_problem`, where each is used.

    Raises:
        DataError: not such a file, or an image or category with a field that is missing or of another type.
    """
    content = read_json(file)
    for key in ("images", "annotations", "categories"):
        entries = content.get(key) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise DataError(f"{file}: no list '{key}'; expected a COCO file with images, annotations and categories")
    if (count := len(content["categories"])) > MAX_CLASSES:
        raise DataError(f"{file}: categories: {count:,}; there may be at most {MAX_CLASSES:,}")
    for key, problem in (("images", _image_problem), ("categories", _category_problem)):
        for number, entry in enumerate(content[key]):
            if wrong := problem(entry):
                raise DataError(f"{file}: {key}: number {number}: {wrong}")
    return content


def category_names(file: Path, content: dict[str, Any]) -> tuple[str, ...]:
    """Return the class names of a COCO file, in the order of their category ids.

    Raises:
        DataError: an id given twice, or no category at all.
        ConfigError: one class named twice.
    """
    by_id = {category["id"]: str(category["name"]) for category in content["categories"]}
    if not by_id or len(by_id) < len(content["categories"]):
        raise DataError(f"{file}: categories: {'an id is given twice' if by_id else 'the list is empty'}")
    return unique_names(file, "categories", [by_id[key] for key in sorted(by_id)])


def annotation_problem(annotation: dict[str, Any]) -> str:
    """Return what is wrong with the types of an annotation's fields, or ""; a box may hold NaN or infinity."""
    box, area, crowd = annotation.get("bbox"), annotation.get("area", 0), annotation.get("iscrowd", 0)
    if not isinstance(box, list) or len(box) != 4 or not all(type(value) in (int, float) for value in box):
        return f"bbox {quote(box)} is not [x, y, width, height]"
    if any(FARTHEST < abs(value) < float("inf") for value in box):
        return f"bbox {quote(box)} is beyond any image"
    if type(area) not in (int, float) or not 0 <= area <= FARTHEST:
        return f"area {quote(area)} is not a number of square pixels"
    if crowd not in (0, 1):
        return f"iscrowd {quote(crowd)} is neither 0 nor 1"
    return ""


def _image_problem(image: dict[str, Any]) -> str:
    key, name = image.get("id"), image.get("file_name")
    if type(key) is not str and not _is_id(key):
        return f"'id' {quote(key)} is not a whole number from 0 on"
    if not isinstance(name, str) or not is_path(name):
        return f"'file_name' {quote(name)} is not the name of a file"
    for side in ("height", "width"):
        value = image.get(side, 1)
        if type(value) not in (int, float) or not 0 < value <= FARTHEST:
            return f"'{side}' {quote(value)} is not a number of pixels"
    return ""


def _category_problem(category: dict[str, Any]) -> str:
    if not _is_id(category.get("id")):
        return f"'id' {quote(category.get('id'))} is not a whole number from 0 on"
    if type(category.get("name")) not in (str, int):
        return f"'name' {quote(category.get('name'))} is not text"
    return ""


def _is_id(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LARGEST_ID
