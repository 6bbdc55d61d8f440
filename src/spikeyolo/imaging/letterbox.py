"""Fitting an image to the canvas that the network sees."""

from __future__ import annotations

import numpy as np

from ..placement import Placement

PAD_VALUE = 114  # the grey that YOLO networks, the published one too, were trained to see around an image


def letterbox(image: np.ndarray, canvas_hw: tuple[int, int]) -> tuple[np.ndarray, Placement]:
    """Scale an image to fit a canvas, keeping its aspect ratio, and centre it on grey.

    Args:
        image: (H, W, C) uint8.
        canvas_hw: rows and columns of the canvas.

    Returns:
        The canvas (canvas_h, canvas_w, C) uint8, and the placement that maps boxes both ways.
    """
    import cv2  # costs 0.1 s to import

    rows, columns = image.shape[:2]
    scale = min(canvas_hw[0] / rows, canvas_hw[1] / columns)
    new_rows, new_columns = max(round(rows * scale), 1), max(round(columns * scale), 1)
    if (new_rows, new_columns) != (rows, columns):
        interpolation = cv2.INTER_LINEAR if scale > 1 else cv2.INTER_AREA
        image = cv2.resize(image, (new_columns, new_rows), interpolation=interpolation)
    top, left = (canvas_hw[0] - new_rows) // 2, (canvas_hw[1] - new_columns) // 2
    canvas = np.full((*canvas_hw, image.shape[2]), PAD_VALUE, dtype=np.uint8)
    canvas[top : top + new_rows, left : left + new_columns] = image
    # The scale of each axis is that of the rounded size, so that boxes land on the very pixels they surround.
    return canvas, Placement((rows, columns), (new_columns / columns, new_rows / rows), (left, top))
