"""Pages of small pictures with their boxes: to look at a data set, or at what augmentation makes of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ..errors import DataError
from ..structures import Batch
from .dataset import ImageDataset, collate
from .index import Index

GAP = 4  # white pixels around each picture


def index_sheet(index: Index, count: int = 16, side: int = 320) -> np.ndarray:
    """A page of `count` pictures, spread evenly over the index, with their boxes.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    chosen = np.unique(np.linspace(0, len(index) - 1, min(count, len(index))).round().astype(int))
    dataset = ImageDataset(index, side)
    return batch_sheet(collate([dataset[int(picture)] for picture in chosen]), index.names)


def batch_sheet(batch: Batch, names: Sequence[str], count: int = 16) -> np.ndarray:
    """A page of the first `count` pictures of a batch with its targets.

    Args:
        batch: images (B, 3, H, W).
        names: class names.
        count: pictures at most.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    cells = []
    for number in range(min(count, batch.batch_size)):
        image = batch.images[number].cpu()
        pixels = (image if image.is_floating_point() is False else image * 255).numpy().astype(np.uint8)
        own = batch.targets.image_index == number
        boxes, labels = batch.targets.boxes[own].cpu().numpy(), batch.targets.labels[own].tolist()
        cells.append(_draw(np.ascontiguousarray(pixels.transpose(1, 2, 0)), boxes, labels, names))
    return _arrange(cells)


def write_png(file: str | os.PathLike[str], picture: np.ndarray) -> None:
    """Writes (H, W, 3) RGB as a PNG: beside, then renamed.

    Raises:
        DataError: the file cannot be written.
    """
    file = Path(file)
    beside = file.with_name(f".{file.name}.tmp")
    try:
        beside.write_bytes(cv2.imencode(".png", picture[..., ::-1])[1].tobytes())
        beside.replace(file)
    except OSError as error:
        raise DataError(f"{file}: cannot be written ({error.strerror})") from error


def class_colour(label: int) -> tuple[int, int, int]:
    """A clear RGB colour for a class; neighbours differ, by steps of the golden angle round the hues."""
    hue = int(label * 137.508 / 2) % 180
    red, green, blue = cv2.cvtColor(np.array([[[hue, 230, 255]]], dtype=np.uint8), cv2.COLOR_HSV2RGB)[0, 0].tolist()
    return red, green, blue


def _draw(picture: np.ndarray, boxes: np.ndarray, labels: Sequence[int], names: Sequence[str]) -> np.ndarray:
    """The picture itself, drawn on."""
    for box, label in zip(boxes, labels, strict=True):
        left, top, right, bottom = (int(v) for v in np.round(box))
        colour = class_colour(label)
        cv2.rectangle(picture, (left, top), (max(right - 1, left), max(bottom - 1, top)), colour, 1)
        (width, height), _ = cv2.getTextSize(names[label], cv2.FONT_HERSHEY_SIMPLEX, 0.35, 1)
        x, y = min(left, picture.shape[1] - width - 2), max(top, height + 3)
        cv2.rectangle(picture, (x, y - height - 3), (x + width + 2, y), colour, cv2.FILLED)
        cv2.putText(picture, names[label], (x + 1, y - 2), cv2.FONT_HERSHEY_SIMPLEX, 0.35, (0, 0, 0), 1, cv2.LINE_AA)
    return picture


def _arrange(cells: list[np.ndarray]) -> np.ndarray:
    columns = int(np.ceil(np.sqrt(len(cells))))
    rows = -(-len(cells) // columns)
    height, width = cells[0].shape[0] + 2 * GAP, cells[0].shape[1] + 2 * GAP
    page = np.full((rows * height, columns * width, 3), 255, dtype=np.uint8)
    for number, cell in enumerate(cells):
        top, left = number // columns * height + GAP, number % columns * width + GAP
        page[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    return page
