"""The confusion matrix: what the boxes of each class were taken for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..optional import optional_module
from .ground_truth import GroundTruth, ImageId


@dataclass(frozen=True, eq=False)
class ConfusionMatrix:
    """What the boxes of each class were taken for. K classes.

    On each image the detections of at least `confidence` choose, best first, the free labelled box that they overlap
    most, of whatever class, if that is by at least `iou`. One that finds none but lies on a crowd of its own class is
    not counted.

    Attributes:
        counts: (K + 1, K + 1) int64: row the true class, column the predicted one; the last of both is the background,
            so the last column holds missed boxes and the last row detections where nothing is.
        class_names: K names.
        confidence: the least score that counts.
        iou: the least overlap that counts.
    """

    counts: np.ndarray
    class_names: tuple[str, ...]
    confidence: float
    iou: float


def _overlaps(a: np.ndarray, b: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """(N, M) IoU of detections (N, 4) with labelled boxes (M, 4) xyxy; for a crowd, the detection's share in it."""
    bbox_iou = optional_module("hotcoco.primitives", "train").bbox_iou

    def xywh(boxes: np.ndarray) -> np.ndarray:
        return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).astype(np.float64)

    return bbox_iou(xywh(a), xywh(b), crowd).reshape(len(a), len(b))


def _count_image(
    counts: np.ndarray, rows: np.ndarray, boxes: np.ndarray, labels: np.ndarray, crowd: np.ndarray, iou: float
) -> None:
    nothing = len(counts) - 1
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    overlaps = _overlaps(rows[:, :4], boxes, crowd)
    free = ~crowd
    for row, overlap in zip(rows, overlaps, strict=True):
        label = int(row[5])
        open_to = np.where(free, overlap, -1.0)
        best = open_to.max(initial=-1.0)
        if best >= iou:
            # Of boxes that it overlaps equally, one of its own class.
            chosen = max(np.flatnonzero(open_to == best), key=lambda index: labels[index] == label)
            free[chosen] = False
            counts[labels[chosen], label] += 1
        elif not np.any(crowd & (labels == label) & (overlap >= iou)):
            counts[nothing, label] += 1
    np.add.at(counts[:, nothing], labels[free], 1)


def count_confusions(
    truth: GroundTruth, rows: Mapping[ImageId, np.ndarray], confidence: float, iou: float
) -> ConfusionMatrix:
    """Return the counts over the images in `rows`: (N, 6) of x1, y1, x2, y2, score, label."""
    classes = len(truth.class_names)
    counts = np.zeros((classes + 1, classes + 1), dtype=np.int64)
    order = np.argsort(truth.image_index, kind="stable")
    starts = np.searchsorted(truth.image_index[order], np.arange(len(truth.image_ids) + 1))
    for index, image_id in enumerate(truth.image_ids):
        if image_id not in rows:
            continue
        mine = order[starts[index] : starts[index + 1]]
        kept = rows[image_id][rows[image_id][:, 4] >= confidence]
        _count_image(counts, kept, truth.boxes[mine], truth.labels[mine], truth.crowd[mine], iou)
    return ConfusionMatrix(counts, truth.class_names, confidence, iou)
