"""How images lie on the canvas that a network sees, and how its levels of logits lie on that. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Boxes = TypeVar("Boxes", "Tensor", np.ndarray)

STRIDES = (8, 16, 32)
"""Pixels between neighbouring positions of the three levels of logits."""

REG_MAX = 16
"""Bins of the distribution over the distance to each side of a box: the first 4 * REG_MAX channels of the logits are
left, top, right, bottom, REG_MAX bins each; the classes follow. Source: Li et al., GFL, NeurIPS 2020."""


@dataclass(frozen=True)
class Placement:
    """How an original image was scaled and shifted onto the canvas that the network sees, and the way back.

    Attributes:
        size_hw: rows and columns of the original image.
        scale_xy: canvas pixels for one original pixel, along x and along y.
        offset_xy: canvas position of the original's top left corner.
    """

    size_hw: tuple[int, int]
    scale_xy: tuple[float, float] = (1.0, 1.0)
    offset_xy: tuple[float, float] = (0.0, 0.0)

    def to_canvas(self, boxes: Boxes) -> Boxes:
        """(N, 4) xyxy in original pixels -> canvas pixels; a tensor or an array."""
        return boxes * _beside(boxes, self.scale_xy * 2) + _beside(boxes, self.offset_xy * 2)

    def to_original(self, boxes: Boxes) -> Boxes:
        """(N, 4) xyxy in canvas pixels -> original pixels, clipped to the original image; a tensor or an array."""
        rows, columns = self.size_hw
        original = (boxes - _beside(boxes, self.offset_xy * 2)) / _beside(boxes, self.scale_xy * 2)
        return original.clip(min=0).clip(max=_beside(boxes, (columns, rows, columns, rows)))


def _beside(boxes: Any, values: tuple[float, ...]) -> Any:
    """Numbers of the kind, type and device of the boxes."""
    return np.asarray(values, dtype=boxes.dtype) if isinstance(boxes, np.ndarray) else boxes.new_tensor(values)
