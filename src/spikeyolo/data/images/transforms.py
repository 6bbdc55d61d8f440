"""Transforms of labelled images, which never write to their input.

Those that move an image give a matrix, with which `geometry.paint` paints it and `geometry.map_boxes` moves its boxes;
the others are called with (image, boxes, labels, rng).

image (H, W, 3) uint8 RGB; boxes (N, 4) float32 xyxy in its pixels; labels (N,) int64.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ...imaging.letterbox import PAD_VALUE
from .geometry import scaling, translation

Array = np.ndarray
Generator = np.random.Generator
Labelled = tuple[Array, Array, Array]


@dataclass(frozen=True)
class RandomAffine:
    """Turns, scales, shears and shifts around the canvas's centre.

    Attributes:
        degrees: turned by -degrees..degrees.
        translate: shifted by at most this share of the canvas.
        scale: scaled by 1 - scale .. 1 + scale.
        shear: sheared by -shear..shear degrees along x and y.
        perspective: the two terms of perspective, -perspective..perspective per pixel (0.001 is already strong).
        min_side: pixels a box must keep, see `clip_boxes`.
        min_visible: share of its area a box must keep, see `clip_boxes`.
    """

    degrees: float = 0.0
    translate: float = 0.1
    scale: float = 0.5
    shear: float = 0.0
    perspective: float = 0.0
    min_side: float = 2.0
    min_visible: float = 0.1

    def matrix(
        self, centre_xy: tuple[float, float], canvas_hw: tuple[int, int], rng: np.random.Generator
    ) -> np.ndarray:
        """Return a random (3, 3) matrix that brings `centre_xy` to about the middle of the canvas."""
        perspective = np.eye(3)
        perspective[2, :2] = rng.uniform(-self.perspective, self.perspective, 2)
        angle, scale = np.deg2rad(rng.uniform(-self.degrees, self.degrees)), 1 + rng.uniform(-self.scale, self.scale)
        turn = np.eye(3)
        turn[:2, :2] = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        shear = np.eye(3)
        shear[0, 1], shear[1, 0] = np.tan(np.deg2rad(rng.uniform(-self.shear, self.shear, 2)))
        shift_xy = (0.5 + rng.uniform(-self.translate, self.translate, 2)) * (canvas_hw[1], canvas_hw[0])
        return translation(*shift_xy) @ shear @ turn @ perspective @ translation(-centre_xy[0], -centre_xy[1])


@dataclass(frozen=True)
class Mosaic:
    """Four images around one point, as one random affine sees them: painted straight onto the final canvas.

    Each image is scaled to fit a canvas; the point where their corners meet lies anywhere in the middle half of a
    field of two by two canvases, of which the affine shows about the middle canvas.

    Attributes:
        canvas_hw: rows and columns of the canvas.
        affine: what happens to the field.
    """

    canvas_hw: tuple[int, int]
    affine: RandomAffine = RandomAffine()

    def matrices(self, sizes_hw: list[tuple[int, int]], rng: np.random.Generator) -> list[np.ndarray]:
        """Return, for four images of these sizes, the (3, 3) matrices from each to the canvas."""
        rows, columns = self.canvas_hw
        meeting = (rng.uniform(0.5, 1.5) * columns, rng.uniform(0.5, 1.5) * rows)
        field = self.affine.matrix((columns, rows), self.canvas_hw, rng)
        anchors = ((1.0, 1.0), (0.0, 1.0), (1.0, 0.0), (0.0, 0.0))  # the corner that touches the meeting point
        return [field @ fit_matrix(s, self.canvas_hw, meeting, a) for s, a in zip(sizes_hw, anchors, strict=True)]


@dataclass(frozen=True)
class HSV:
    """Multiplies hue, saturation and value by 1 - gain .. 1 + gain; hue goes round, the others are clipped.

    Attributes:
        hue: gain of the hue.
        saturation: gain of the saturation.
        value: gain of the value.
    """

    hue: float = 0.015
    saturation: float = 0.7
    value: float = 0.4

    def __call__(self, image: Array, boxes: Array, labels: Array, rng: Generator) -> Labelled:
        """Boxes and labels stay."""
        gains = 1 + rng.uniform(-1, 1, 3) * (self.hue, self.saturation, self.value)
        if not (self.hue or self.saturation or self.value):
            return image, boxes, labels
        table = np.arange(256)[:, None] * gains
        table[:, 0] %= 180  # OpenCV's hues are 0..179
        lookup = np.rint(np.clip(table, 0, 255)).astype(np.uint8)[None]
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        return cv2.cvtColor(cv2.LUT(hsv, lookup), cv2.COLOR_HSV2RGB), boxes, labels


@dataclass(frozen=True)
class HorizontalFlip:
    """Mirrors left and right.

    Attributes:
        probability: how often.
    """

    probability: float = 0.5

    def __call__(self, image: Array, boxes: Array, labels: Array, rng: Generator) -> Labelled:
        """Draws one number."""
        if rng.random() >= self.probability:
            return image, boxes, labels
        width = np.float32(image.shape[1])
        mirrored = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)
        return cv2.flip(image, 1), mirrored, labels


@dataclass(frozen=True)
class VerticalFlip:
    """Mirrors top and bottom.

    Attributes:
        probability: how often.
    """

    probability: float = 0.0

    def __call__(self, image: Array, boxes: Array, labels: Array, rng: Generator) -> Labelled:
        """Draws one number."""
        if rng.random() >= self.probability:
            return image, boxes, labels
        height = np.float32(image.shape[0])
        mirrored = np.stack([boxes[:, 0], height - boxes[:, 3], boxes[:, 2], height - boxes[:, 1]], axis=1)
        return cv2.flip(image, 0), mirrored, labels


@dataclass(frozen=True)
class MixUp:
    """Blends a labelled image with another of the same size; all boxes stay (Zhang et al., ICLR 2018).

    Attributes:
        concentration: both parameters of the beta distribution of the share; 32 keeps it near a half.
    """

    concentration: float = 32.0

    def __call__(
        self,
        image: np.ndarray,
        boxes: np.ndarray,
        labels: np.ndarray,
        rng: np.random.Generator,
        other: Labelled,
    ) -> Labelled:
        """`other` is the second labelled image."""
        share = rng.beta(self.concentration, self.concentration)
        blended = cv2.addWeighted(image, share, other[0], 1 - share, 0)
        return blended, np.concatenate([boxes, other[1]]), np.concatenate([labels, other[2]])


def fit_matrix(
    size_hw: tuple[int, int],
    canvas_hw: tuple[int, int],
    point_xy: tuple[float, float],
    anchor_xy: tuple[float, float],
) -> np.ndarray:
    """Return the (3, 3) matrix that fits an image to a canvas, its `anchor_xy` (shares of its sides) on a point."""
    scale = min(canvas_hw[0] / size_hw[0], canvas_hw[1] / size_hw[1])
    x, y = point_xy[0] - anchor_xy[0] * size_hw[1] * scale, point_xy[1] - anchor_xy[1] * size_hw[0] * scale
    return translation(x, y) @ scaling(scale, scale)


def letterbox_matrix(size_hw: tuple[int, int], canvas_hw: tuple[int, int]) -> np.ndarray:
    """Return the (3, 3) matrix that fits an image to a canvas and centres it, without rounding to whole pixels."""
    return fit_matrix(size_hw, canvas_hw, (canvas_hw[1] / 2, canvas_hw[0] / 2), (0.5, 0.5))


def grey(size_hw: tuple[int, int]) -> np.ndarray:
    """Return an empty canvas (H, W, 3)."""
    return np.full((*size_hw, 3), PAD_VALUE, dtype=np.uint8)
