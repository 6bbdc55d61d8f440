"""Weights of the parts of the losses. No torch: the help of `train` needs none."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

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
        _check("gains", self)


@dataclass(frozen=True)
class DistillationGains:
    """Weights of what is learnt from a teacher, see `distillation`.

    Soft targets weigh as much as the labels beside them; that of the features, a distance in units of the teacher's
    variance, makes them about as large when a training begins.

    Attributes:
        features: with a teacher: weight of the distance of the neck's features
        classes: with a teacher: weight of its class scores as soft targets
        boxes: with a teacher: weight of its distributions of the distances to a box's sides as soft targets

    Raises:
        ConfigError: a weight outside 0..1e6.
    """

    features: float = 1.0
    classes: float = LossGains.classes
    boxes: float = LossGains.distribution

    def __post_init__(self) -> None:
        _check("distillation", self)


def _check(what: str, gains: Any) -> None:
    for field in fields(gains):
        check_range(f"{what}.{field.name}", getattr(gains, field.name), 0, 1e6)
