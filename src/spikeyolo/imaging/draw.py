"""Drawing boxes with names on images, and sheets of images."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError
from .lettering import letter, shown_names

_GOLDEN = (math.sqrt(5) - 1) / 2
_APART = 80  # boxes; in a larger crowd there is no room for all names

Rectangle = tuple[float, float, float, float]


def class_colour(label: int) -> tuple[int, int, int]:
    """Return the colour (red, green, blue), 0..255, of a class: always the same one, neighbours far apart."""
    # Steps of the golden ratio around the circle of hues never come back to the same place.
    brightness = (1.0, 0.75)[label // 9 % 2]
    red, green, blue = colorsys.hsv_to_rgb((0.02 + label * _GOLDEN) % 1.0, 0.85, brightness)
    return round(255 * red), round(255 * green), round(255 * blue)


def ink_on(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return black or white, whichever can be read on the colour."""
    luma = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
    return (0, 0, 0) if luma > 130 else (255, 255, 255)


def draw_boxes(
    image: np.ndarray,
    boxes: Any,
    labels: Any,
    class_names: Sequence[str],
    scores: Any = None,
    track_ids: Any = None,
) -> np.ndarray:
    """Draw boxes with their class names, scores and track numbers; lines and text grow with the image.

    A class whose name no font here has is drawn as "class 7", and one line says which font to install.

    Args:
        image: (H, W, 3) uint8 RGB; stays as it is.
        boxes: (N, 4) xyxy in pixels; array, list or tensor on the CPU.
        labels: (N,) class indices.
        class_names: a name for each class.
        scores: (N,) 0..1.
        track_ids: (N,) integers.

    Returns:
        (H, W, 3) uint8 RGB, a new image.

    Raises:
        ShapeError: the image is not (H, W, 3) uint8, the columns differ in length, or a label has no name.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ShapeError(f"image: expected (H, W, 3) uint8, got {image.dtype} {image.shape}")
    corners = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
    classes = np.asarray(labels, dtype=np.int64).reshape(-1)
    if len(classes) != len(corners) or any(c is not None and len(c) != len(corners) for c in (scores, track_ids)):
        raise ShapeError(f"labels, scores, track_ids: as many as boxes ({len(corners)}) are needed")
    if len(classes) and not 0 <= classes.min() <= classes.max() < len(class_names):
        raise ShapeError(f"labels: {classes.min()}..{classes.max()} is outside the {len(class_names)} classes")
    if len(corners) == 0:
        return image.copy()
    names = shown_names(tuple(class_names))
    texts = [[names[label]] for label in classes.tolist()]
    if track_ids is not None:
        texts = [[f"#{int(number)} ", *text] for number, text in zip(track_ids, texts, strict=True)]
    if scores is not None:
        texts = [[*text, f" {float(score):.2f}"] for text, score in zip(texts, scores, strict=True)]
    return _annotated(image, corners, classes, texts)


def _annotated(image: np.ndarray, boxes: np.ndarray, labels: np.ndarray, texts: Sequence[Sequence[str]]) -> np.ndarray:
    from PIL import Image, ImageDraw

    scene = Image.fromarray(np.ascontiguousarray(image))
    pen, side = ImageDraw.Draw(scene), min(image.shape[:2])
    height = min(max(round(side / 40), 10), 64)
    line, padding = max(round(side / 320), 1), max(round(side / 320), 2)
    limits = (image.shape[1], image.shape[0])
    for (left, top, right, bottom), label in zip(boxes.tolist(), labels.tolist(), strict=True):
        if right >= left and bottom >= top:
            pen.rectangle((left, top, right, bottom), outline=class_colour(label), width=line)
    taken: list[Rectangle] = []
    for box, label, text in zip(boxes.tolist(), labels.tolist(), texts, strict=True):
        shown = letter(text, height, ink_on(class_colour(label))).image
        size = (shown.width + 2 * padding, shown.height + 2 * padding)
        place = _free_place(box, size, limits, taken if len(boxes) <= _APART else [])
        taken.append(place)
        pen.rectangle(place, fill=class_colour(label))
        scene.paste(shown, (round(place[0]) + padding, round(place[1]) + padding), shown)
    return np.asarray(scene).copy()


def _free_place(
    box: Sequence[float], size: tuple[float, float], limits: tuple[int, int], taken: Sequence[Rectangle]
) -> Rectangle:
    """Where a name is written: above its box, below, or inside, the first that covers no other name, in the image."""
    left, top, right, bottom = box
    width, height = size
    candidates = [(left, top - height), (left, bottom), (left, top), (right - width, top - height), (right, top)]
    places = []
    for x, y in candidates:
        x, y = (max(0.0, min(value, limit - side)) for value, limit, side in zip((x, y), limits, size, strict=True))
        places.append((x, y, x + width - 1, y + height - 1))
    return next((place for place in places if not any(_overlap(place, other) for other in taken)), places[0])


def _overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def image_grid(
    images: Sequence[np.ndarray], columns: int | None = None, gap: int = 4, background: int = 255
) -> np.ndarray:
    """Return a sheet of images, row by row, each in the middle of a cell as large as the largest image.

    Args:
        images: at least one (H_i, W_i, 3) uint8.
        columns: how many beside each other; about as many as rows when not given.
        gap: pixels between the cells.
        background: grey value 0..255 around the images.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ShapeError: no images, or one that is not (H, W, 3) uint8.
    """
    if not images or any(p.ndim != 3 or p.shape[2] != 3 or p.dtype != np.uint8 for p in images):
        raise ShapeError("images: at least one is needed, all (H, W, 3) uint8")
    columns = min(columns or math.ceil(math.sqrt(len(images))), len(images))
    rows = math.ceil(len(images) / columns)
    height, width = (max(p.shape[axis] for p in images) for axis in (0, 1))
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, 3)
    sheet = np.full(shape, background, dtype=np.uint8)
    for index, image in enumerate(images):
        top = index // columns * (height + gap) + (height - image.shape[0]) // 2
        left = index % columns * (width + gap) + (width - image.shape[1]) // 2
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    return sheet
