"""From logits to detections: decode, suppress, and back to the original image. All that detects comes by here."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..structures import STRIDES, Detections, Placement
from .anchors import decode
from .nms import non_maximum_suppression
from .thresholds import EVALUATION, Thresholds

__all__ = ["EVALUATION", "Thresholds", "postprocess"]


def postprocess(
    logits: Sequence[Tensor],
    thresholds: Thresholds,
    placements: Sequence[Placement] | None = None,
    *,
    multi_label: bool = False,
) -> list[Detections]:
    """Turn the logits of a batch into detections.

    Args:
        logits: for each level (B, 4 * REG_MAX + C, H, W).
        thresholds: which detections are kept.
        placements: how each image lies on its canvas; boxes are then in pixels of the original image, clipped to it.
            None: in pixels of the canvas.
        multi_label: a box may count for each of its classes, as in evaluation; else for its best one.

    Returns:
        For each image its detections, best first.
    """
    boxes, scores = decode(logits, STRIDES)
    found = non_maximum_suppression(
        boxes,
        scores,
        conf=thresholds.conf,
        iou=thresholds.iou,
        max_det=thresholds.max_det,
        multi_label=multi_label,
    )
    if placements is None:
        return found
    return [
        Detections(place.to_original(d.boxes), d.scores, d.labels) for d, place in zip(found, placements, strict=True)
    ]
