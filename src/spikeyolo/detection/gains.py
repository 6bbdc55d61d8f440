"""Weights of the parts of the loss. No torch: the help of `train` needs none."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ..limits import check_range


@dataclass(frozen=True)
class LossGains:
    """Weights of the three parts of the loss.

    Attributes:
        box: weight of the overlap of boxes
        classes: weight of the classification
        distribution: weight of the distributions of the distances to a box's sides

    Raises:
        ConfigError: a weight outside 0..1e6.
    """

    box: float = 7.5
    classes: float = 0.5
    distribution: float = 1.5

    def __post_init__(self) -> None:
        for field in fields(self):
            check_range(f"gains.{field.name}", getattr(self, field.name), 0, 1e6)
