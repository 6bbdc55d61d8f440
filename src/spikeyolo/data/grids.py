"""Grids of small images with their boxes: to look at a data set, or at what augmentation makes of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..imaging.draw import draw_boxes, image_grid
from ..imaging.tensors import batch_images
from ..structures import Batch
from .data_set import Index, Input

GAP = 4  # white pixels between images


def index_grid(index: Index, input: Input, count: int = 16) -> np.ndarray:
    """Draw `count` samples with their boxes, spread evenly over the index.

    Args:
        index: the samples.
        input: how they are shown: as a network with this input sees them.
        count: samples at most.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    chosen = np.unique(np.linspace(0, len(index) - 1, min(count, len(index))).round().astype(int))
    dataset = index.dataset(input)
    return batch_grid(dataset.collate([dataset[int(number)] for number in chosen]), index.names, count)


def batch_grid(batch: Batch, names: Sequence[str], count: int = 16) -> np.ndarray:
    """Draw the first `count` images of a batch with its targets.

    Args:
        batch: images (B, 3, H, W), or event frames (T, B, C, H, W).
        names: class names.
        count: images at most.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    cells = []
    for number, image in enumerate(batch_images(batch.images, count)):
        own = batch.targets.image_index == number
        cells.append(draw_boxes(image, batch.targets.boxes[own].cpu(), batch.targets.labels[own].cpu(), names))
    return image_grid(cells, gap=GAP)
