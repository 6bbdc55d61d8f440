"""Non-maximum suppression of arrays: of boxes that overlap, the best of each class. Needs no torch."""

from __future__ import annotations

from typing import Any

import numpy as np

MAX_CANDIDATES = 30_000
"""Boxes of an image that are considered: the best by score."""


def suppressed(
    boxes: np.ndarray, scores: np.ndarray, conf: float, iou: float, max_det: int, multi_label: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Drop each box of an image that a better one of its class overlaps more than `iou`.

    Args:
        boxes: (A, 4) xyxy.
        scores: (A, C) in 0..1.
        conf: minimum score, exclusive, 0..1.
        iou: maximum overlap of two boxes that are both kept, 0..1.
        max_det: maximum boxes of an image, 1 or more.
        multi_label: a box may be kept for each class over `conf`, as in evaluation; otherwise for its best one.

    Returns:
        Boxes (N, 4), scores (N,) and labels (N,) int64, best first; of equal scores the earlier box first.
    """
    if multi_label:
        index, labels = (scores > conf).nonzero()
        best = scores[index, labels]
    else:
        labels = scores.argmax(1)
        best = np.take_along_axis(scores, labels[:, None], 1)[:, 0]
        (index,) = (best > conf).nonzero()
        best, labels = best[index], labels[index]
    order = np.argsort(-best, kind="stable")[:MAX_CANDIDATES]
    chosen, best, labels = boxes[index[order]], best[order], labels[order]
    keep = _keep(chosen, best, labels, iou)[:max_det]
    return chosen[keep], best[keep], labels[keep]


def _keep(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, iou: float) -> np.ndarray:
    """Return the indices kept, best first, of boxes sorted by score; OpenCV's implementation, the fastest on a CPU."""
    if len(boxes) == 0:
        return labels
    import cv2  # costs 0.1 s to import

    # OpenCV keeps classes apart by moving each by the largest coordinate, which is far enough from 0 on only.
    left_top = boxes[:, :2].astype(np.float64) - boxes[:, :2].min(0)
    left_top_sides = np.concatenate([left_top, (boxes[:, 2:] - boxes[:, :2]).astype(np.float64)], axis=1)
    suppress: Any = cv2.dnn.NMSBoxesBatched  # its stubs ask for lists where it takes arrays
    keep = suppress(left_top_sides, scores.astype(np.float32), labels.astype(np.int32), -1.0, iou)
    return np.asarray(keep, dtype=np.int64).reshape(-1)
