"""Which detections are kept: the three numbers that every command takes. No torch: a help needs none."""

from __future__ import annotations

from dataclasses import dataclass

from ..limits import MAX_DETECTIONS, check_range
from ..option_help import described


@described()
@dataclass(frozen=True)
class Thresholds:
    """Which detections are kept.

    Attributes:

    Raises:
        ConfigError: a value out of range.
    """  # noqa: D414

    conf: float = 0.25
    iou: float = 0.7
    max_det: int = 300

    def __post_init__(self) -> None:
        for name in ("conf", "iou"):
            check_range(name, getattr(self, name), 0, 1)
        check_range("max_det", self.max_det, 1, MAX_DETECTIONS)


EVALUATION = Thresholds(conf=0.001)
"""COCO's rule: nearly everything is kept, as the average precision looks at every score."""
