"""From logits to detections: decode, suppress, and back to the original image. All that detects comes by here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ..errors import ConfigError
from ..structures import STRIDES, Detections, Placement
from .anchors import decode
from .nms import non_maximum_suppression


@dataclass(frozen=True)
class Thresholds:
    """Which detections are kept.

    Attributes:
        conf: least score of a detection, 0..1
        iou: overlap over which the weaker of two boxes of a class is dropped, 0..1
        max_det: most detections of an image

    Raises:
        ConfigError: a value out of range.
    """

    conf: float = 0.25
    iou: float = 0.7
    max_det: int = 300

    def __post_init__(self) -> None:
        for name in ("conf", "iou"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"{name}: {getattr(self, name)} is outside 0..1")
        if self.max_det < 1:
            raise ConfigError(f"max_det: {self.max_det} is below 1")


EVALUATION = Thresholds(conf=0.001)
"""COCO's rule: nearly everything is kept, as the average precision looks at every score."""


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
