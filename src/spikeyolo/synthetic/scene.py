"""Generated scenes: textured shapes on a cluttered background, with the exact box of what can be seen of each.

Occlusion rule: a later shape covers an earlier one. A shape that would leave less than `MIN_VISIBLE` of an earlier
shape's pixels in sight is not drawn, so every labelled shape can be told by what is left of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

CLASS_NAMES = ("disk", "square", "cross", "ring")
MIN_VISIBLE = 0.6
_FRACTION_BITS = 4  # cv2 draws with sixteenths of a pixel


@dataclass(frozen=True)
class Difficulty:
    """How hard the images are; lengths are shares of the shorter side of the image.

    Attributes:
        max_shapes: shapes tried in an image: 0 to max_shapes, each number as often as the others.
        radius: smallest and largest radius of a shape's circumscribed circle; small ones are more frequent.
        contrast: smallest and largest distance of a shape's colour from the background's, 0..255.
        texture: largest amplitude of the texture on a shape, 0..255.
        clutter: strokes and blobs of no class, at most.
        blur: largest standard deviation of the blur, in pixels.
        noise: largest standard deviation of the noise, 0..255.
        exposure: brightness and contrast change by up to this share.
    """

    max_shapes: int = 4
    radius: tuple[float, float] = (0.12, 0.28)
    contrast: tuple[float, float] = (80.0, 190.0)
    texture: float = 16.0
    clutter: int = 6
    blur: float = 0.7
    noise: float = 7.0
    exposure: float = 0.2


@dataclass(frozen=True)
class Shape:
    """One shape to draw. Lengths in pixels, angles in radians; `stretch` is width over height before turning."""

    label: int
    centre_xy: tuple[float, float]
    radius: float
    angle: float
    stretch: float
    colour: tuple[float, float, float]
    texture: float
    texture_period: float
    texture_angle: float

    def moved(self, x: float, y: float, angle: float) -> Shape:
        """Return the same shape elsewhere."""
        return replace(self, centre_xy=(x, y), angle=angle)


@dataclass(frozen=True)
class Scene:
    """An image and what is on it.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        owner: (H, W) int16, the shape that is seen at each pixel (a row of `boxes`), -1 for the background.
        boxes: (N, 4) float64 xyxy in pixels: the extent of each shape's visible pixels.
        labels: (N,) int64 indices into CLASS_NAMES.
    """

    image: np.ndarray
    owner: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray


def regular_polygon(radius: float, corners: int = 48) -> np.ndarray:
    """(corners, 2) xy of a polygon around the origin; with the usual number of corners a circle."""
    turn = np.arange(corners) * (2 * math.pi / corners)
    return radius * np.stack([np.cos(turn), np.sin(turn)], axis=1)


def _cross(arm: float) -> np.ndarray:
    quarter = np.array([[arm, 1.0], [arm, arm], [1.0, arm]])
    quarter /= math.hypot(1.0, arm)
    turns = [np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]]) for a in np.arange(4) * -math.pi / 2]
    return np.concatenate([quarter @ turn.T for turn in turns])


# Outlines in the unit circle, in CLASS_NAMES' order; a second contour is a hole.
_OUTLINES: tuple[tuple[np.ndarray, ...], ...] = (
    (regular_polygon(0.9),),
    (regular_polygon(1.0, 4),),
    (_cross(0.36),),
    (regular_polygon(0.95), regular_polygon(0.52)),
)


def shape_mask(shape: Shape, size_hw: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: the pixels of the image that the shape covers."""
    import cv2

    c, s = math.cos(shape.angle), math.sin(shape.angle)
    axes = shape.radius * np.array([[c, s], [-s, c]])
    stretch = np.array([math.sqrt(shape.stretch), 1 / math.sqrt(shape.stretch)])
    contours = [(outline * stretch) @ axes + shape.centre_xy for outline in _OUTLINES[shape.label]]
    mask = np.zeros(size_hw, dtype=np.uint8)
    fixed = [np.round(contour * (1 << _FRACTION_BITS)).astype(np.int32) for contour in contours]
    cv2.fillPoly(mask, fixed, 1, cv2.LINE_8, _FRACTION_BITS)
    return mask.astype(bool)


def random_shape(rng: Generator, size_hw: tuple[int, int], difficulty: Difficulty, ground: np.ndarray) -> Shape:
    """Return a shape of a random class, its centre on the image, its colour apart from `ground` (3,) behind it."""
    rows, columns = size_hw
    low, high = (share * min(rows, columns) for share in difficulty.radius)
    radius = math.exp(rng.uniform(math.log(low), math.log(high)))
    direction = rng.normal(size=3)
    away = direction / np.linalg.norm(direction) * rng.uniform(*difficulty.contrast)
    colour = np.where((ground + away < 0) | (ground + away > 255), ground - away, ground + away).clip(0, 255)
    margin = min(0.5 * radius, 0.25 * min(rows, columns))
    return Shape(
        label=int(rng.integers(len(CLASS_NAMES))),
        centre_xy=(rng.uniform(margin, columns - margin), rng.uniform(margin, rows - margin)),
        radius=radius,
        angle=rng.uniform(0, 2 * math.pi),
        stretch=math.exp(rng.uniform(-0.3, 0.3)),
        colour=(float(colour[0]), float(colour[1]), float(colour[2])),
        texture=rng.uniform(0, difficulty.texture),
        texture_period=rng.uniform(3, 14),
        texture_angle=rng.uniform(0, math.pi),
    )


def visible_owner(shapes: Sequence[Shape], size_hw: tuple[int, int]) -> tuple[np.ndarray, list[Shape]]:
    """Put shapes on each other by the occlusion rule.

    Returns:
        owner (H, W) int16: the index, among the shapes that are drawn, of what is seen at each pixel; -1 is background.
        The shapes that are drawn.
    """
    owner = np.full(size_hw, -1, dtype=np.int16)
    drawn: list[Shape] = []
    whole: list[int] = []
    for shape in shapes:
        mask = shape_mask(shape, size_hw)
        covered = np.bincount(owner[mask].ravel() + 1, minlength=len(drawn) + 1)[1:]
        left = np.bincount(owner.ravel() + 1, minlength=len(drawn) + 1)[1:] - covered
        if mask.sum() < 12 or np.any(left < MIN_VISIBLE * np.array(whole)):
            continue
        owner[mask] = len(drawn)
        drawn.append(shape)
        whole.append(int(mask.sum()))
    return owner, drawn


def visible_boxes(owner: np.ndarray, count: int) -> np.ndarray:
    """(count, 4) float64 xyxy: the extent of the pixels where `owner` is 0, 1, ... count - 1, each present."""
    boxes = np.zeros((count, 4))
    for index in range(count):
        mask = owner == index
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        boxes[index] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes


def background(rng: Generator, size_hw: tuple[int, int], difficulty: Difficulty) -> np.ndarray:
    """(H, W, 3) float32, 0..255: blotches of three sizes, then strokes and blobs that belong to no class."""
    import cv2

    rows, columns = size_hw
    ground = np.empty((rows, columns, 3), dtype=np.float32)
    ground[:] = rng.uniform(50, 205, size=3)
    for cells, amplitude in ((3, 40.0), (10, 18.0), (40, 14.0)):
        blotches = rng.normal(0, rng.uniform(0.2, 1.0) * amplitude, size=(cells, cells, 3)).astype(np.float32)
        ground += cv2.resize(blotches, (columns, rows), interpolation=cv2.INTER_LINEAR)
    reach = max(min(rows, columns) // 3, 2)
    for _ in range(int(rng.integers(difficulty.clutter + 1))):
        start = rng.integers((0, 0), (columns, rows))
        colour = tuple(float(c) for c in ground[start[1], start[0]] + rng.normal(0, 40, size=3))
        walk = start + np.cumsum(rng.integers(-reach, reach + 1, size=(int(rng.integers(2, 5)), 2)), axis=0)
        if rng.random() < 0.75:
            cv2.polylines(ground, [walk.astype(np.int32)], False, colour, int(rng.integers(1, 6)), cv2.LINE_AA)
        else:
            axes = tuple(int(a) for a in rng.integers(2, reach // 3 + 3, size=2))
            arc = float(rng.uniform(60, 250))
            turn = float(rng.uniform(0, 360))
            cv2.ellipse(ground, (int(start[0]), int(start[1])), axes, turn, 0, arc, colour, int(rng.integers(1, 5)))
    return ground.clip(0, 255)


def paint(ground: np.ndarray, owner: np.ndarray, shapes: Sequence[Shape]) -> np.ndarray:
    """(H, W, 3) float32: the shapes, each with its stripes, on the background; the arguments stay as they are."""
    image = ground.copy()
    for index, shape in enumerate(shapes):
        y, x = np.nonzero(owner == index)
        across = x * math.cos(shape.texture_angle) + y * math.sin(shape.texture_angle)
        stripes = shape.texture * np.sin(across * np.float32(2 * math.pi / shape.texture_period))
        image[y, x] = np.asarray(shape.colour, dtype=np.float32) + stripes[:, None]
    return image


def take_photo(rng: Generator, image: np.ndarray, difficulty: Difficulty) -> np.ndarray:
    """(H, W, 3) float32 -> uint8, blurred, brightened or darkened, and with noise, as a cheap camera would."""
    import cv2

    sigma = rng.uniform(0.3, max(difficulty.blur, 0.3))
    image = cv2.GaussianBlur(image, (0, 0), sigma)
    gain, shift = rng.uniform(1 - difficulty.exposure, 1 + difficulty.exposure, size=2)
    image = (image - 128) * gain + 128 * shift
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    return (image + noise * np.float32(rng.uniform(0, difficulty.noise))).clip(0, 255).astype(np.uint8)


def random_scene(rng: Generator, size_hw: tuple[int, int], difficulty: Difficulty | None = None) -> Scene:
    """One image with 0 to `max_shapes` shapes; the same generator state gives the same scene."""
    difficulty = difficulty or Difficulty()
    ground = background(rng, size_hw, difficulty)
    mean = ground.mean(axis=(0, 1))
    count = int(rng.integers(difficulty.max_shapes + 1))
    tried = [random_shape(rng, size_hw, difficulty, mean) for _ in range(count)]
    owner, drawn = visible_owner(tried, size_hw)
    image = take_photo(rng, paint(ground, owner, drawn), difficulty)
    labels = np.array([shape.label for shape in drawn], dtype=np.int64)
    return Scene(image, owner, visible_boxes(owner, len(drawn)), labels)
