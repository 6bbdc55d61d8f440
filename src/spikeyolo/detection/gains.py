"""Weights of the parts of the loss. No torch: the help of `train` needs none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LossGains:
    """Weights of the three parts of the loss.

    Attributes:
        box: weight of the overlap of boxes
        classes: weight of the classification
        distribution: weight of the distributions of the distances to a box's sides
    """

    box: float = 7.5
    classes: float = 0.5
    distribution: float = 1.5
