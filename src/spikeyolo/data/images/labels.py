"""From label rows to clean boxes: YOLO text, and the rules for boxes that both formats share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import DataError, one_line, quote
from .scan_report import Finding

ROUNDING = 1e-3  # share of an image's side by which a box may leave it unnoticed: labels are rounded decimals
MAX_LINES = 100_000
FARTHEST = 1e6  # in sides of the image: beyond it is no image
MIN_SIDE = 0.01  # pixels; a box narrower or lower than this has no size


@dataclass(frozen=True)
class Objects:
    """The labelled boxes of one image: boxes (N, 4) float64 xyxy pixels, labels (N,) int64, crowd (N,) bool."""

    boxes: np.ndarray
    labels: np.ndarray
    crowd: np.ndarray


NO_OBJECTS = Objects(np.zeros((0, 4)), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool))


def parse_yolo(text: str, file: str, names: Sequence[str], size_hw: tuple[int, int]) -> tuple[Objects, list[Finding]]:
    """Parse the text of a YOLO label file.

    A row is `class x-centre y-centre width height` in shares of the image, or `class x1 y1 x2 y2 x3 y3 ...`: a
    polygon, which becomes its bounding box.

    Raises:
        DataError: more rows than an image has objects.
    """
    if text.count("\n") > MAX_LINES:
        raise DataError(f"{file}: more than {MAX_LINES:,} lines; such a file has one for each object of one image")
    rows: list[list[float]] = []
    lines: list[int] = []
    findings = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        row, kind, what = _parse_row(line, len(names))
        if kind:
            findings.append(Finding(kind, file, f"line {number}: {what}"))
        if row:
            rows.append(row)
            lines.append(number)
    table = np.array(rows, dtype=np.float64).reshape(-1, 5)
    boxes = table[:, 1:] * np.array([size_hw[1], size_hw[0]] * 2)
    where = [f"line {number}" for number in lines]
    objects = Objects(boxes, table[:, 0].astype(np.int64), np.zeros(len(table), dtype=bool))
    clean, more = clean_objects(objects, size_hw, file, where)
    return clean, findings + more


def _parse_row(line: str, num_classes: int) -> tuple[list[float], str, str]:
    """[class, x1, y1, x2, y2] in shares, or [] for an unusable row; and the kind and text of a finding, or ""."""
    words = line.split()
    try:
        label, *numbers = (float(word) for word in words)
    except ValueError:
        return [], "malformed row", f"{quote(line.strip())} holds something that is not a number"
    polygon = len(numbers) >= 6 and len(numbers) % 2 == 0
    if len(numbers) != 4 and not polygon:
        return [], "malformed row", f"{len(words)} numbers instead of 5 (or of an odd number from 7 on: a polygon)"
    if not label.is_integer() or not 0 <= label < num_classes:
        return [], "class out of range", f"class {one_line(words[0])} of 0..{num_classes - 1}"
    if not all(-FARTHEST < number < FARTHEST for number in numbers):
        return [], "not finite", "a coordinate that is NaN, infinite or far beyond the image"
    if polygon:
        xs, ys = numbers[::2], numbers[1::2]
        return [label, min(xs), min(ys), max(xs), max(ys)], "polygon", "a polygon"
    x, y, width, height = numbers
    return [label, x - width / 2, y - height / 2, x + width / 2, y + height / 2], "", ""


def clean_objects(
    objects: Objects, size_hw: tuple[int, int], file: str, where: list[str]
) -> tuple[Objects, list[Finding]]:
    """Clip boxes to the image and drop those without a size and repeated ones; each is a finding.

    Args:
        objects: finite boxes.
        size_hw: rows and columns of the image.
        file: the label file, for the findings.
        where: for each box, where in the file it stands.
    """
    limits = np.array([size_hw[1], size_hw[0]] * 2, dtype=np.float64)
    clipped = np.clip(objects.boxes, 0, limits)
    outside = (np.abs(objects.boxes - clipped) > ROUNDING * limits).any(axis=1)
    empty = (clipped[:, 2:] - clipped[:, :2] < MIN_SIDE).any(axis=1)
    born_empty = (objects.boxes[:, 2:] - objects.boxes[:, :2] < MIN_SIDE).any(axis=1)
    findings, keep, seen = [], np.ones(len(clipped), dtype=bool), set()
    for row in range(len(clipped)):
        key = (*clipped[row].tolist(), int(objects.labels[row]))
        if born_empty[row]:
            findings.append(Finding("zero size", file, f"{where[row]}: a box without area"))
        elif outside[row]:
            shown = ", ".join(f"{value:.6g}" for value in objects.boxes[row])
            findings.append(Finding("outside the image", file, f"{where[row]}: box {shown} px leaves the image"))
        if not empty[row] and key in seen:
            findings.append(Finding("duplicate", file, f"{where[row]}: the same box again"))
        keep[row] = not empty[row] and key not in seen
        seen.add(key)
    return Objects(clipped[keep], objects.labels[keep], objects.crowd[keep]), findings
