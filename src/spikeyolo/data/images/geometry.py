"""Matrices, boxes and painting. Coordinates are pixel edges: a box that covers pixels i..j spans [i, j + 1].

A matrix is (3, 3) and maps points of an image to points of the canvas, both in edge coordinates.
"""

from __future__ import annotations

import cv2
import numpy as np


def translation(x: float, y: float) -> np.ndarray:
    """Return the (3, 3) shift by x and y pixels."""
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def scaling(x: float, y: float) -> np.ndarray:
    """Return the (3, 3) scaling along x and y around the origin."""
    return np.diag([x, y, 1.0])


def map_boxes(boxes: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return the upright boxes around the mapped corners: (N, 4) xyxy -> (N, 4) xyxy float64."""
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2).astype(np.float64)
    mapped = np.concatenate([corners, np.ones((len(boxes), 4, 1))], axis=2) @ matrix.T
    points = mapped[..., :2] / mapped[..., 2:]
    return np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)


def clip_boxes(
    boxes: np.ndarray, labels: np.ndarray, size_hw: tuple[int, int], min_side: float = 0.0, min_visible: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Clip boxes to the canvas and drop those of which too little is left.

    Args:
        boxes: (N, 4) xyxy in canvas pixels.
        labels: (N,).
        size_hw: rows and columns of the canvas.
        min_side: a box is dropped when its clipped width or height is smaller (pixels); without area it always is.
        min_visible: a box is dropped when less than this share of its area lies on the canvas.

    Returns:
        Boxes (M, 4) float32 and labels (M,), M <= N; (0, 4) and (0,) when none is left.
    """
    rows, columns = size_hw
    clipped = np.clip(boxes, 0, np.array([columns, rows, columns, rows])).astype(np.float32)
    sides = clipped[:, 2:] - clipped[:, :2]
    whole = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    keep = (sides > 0).all(axis=1) & (sides >= min_side).all(axis=1) & (np.prod(sides, axis=1) >= min_visible * whole)
    return clipped[keep], labels[keep]


def covers(size_hw: tuple[int, int], matrix: np.ndarray, canvas_hw: tuple[int, int]) -> bool:
    """Return whether an image of that size, mapped by the matrix, can touch the canvas."""
    x1, y1, x2, y2 = map_boxes(np.array([[0, 0, size_hw[1], size_hw[0]]]), matrix)[0]
    return bool(x2 > 0 and y2 > 0 and x1 < canvas_hw[1] and y1 < canvas_hw[0])


def paint(canvas: np.ndarray, image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Paint an image (h, w, 3), mapped by the matrix, onto the canvas (H, W, 3) in place.

    Only the part that lies on the canvas is computed. An image that is neither turned nor sheared is resized, which
    takes a third of the time of warping; for that its edges are moved to whole pixels.

    Returns:
        The (3, 3) matrix it was really painted with, at most half a pixel beside the given one: that of its boxes.
    """
    small, to_small = _shrunk(image, matrix)
    scale_x, scale_y = to_small[0, 0], to_small[1, 1]
    if to_small[0, 1] == to_small[1, 0] == 0 and not to_small[2, :2].any() and scale_x > 0 and scale_y > 0:
        painted = _paint_straight(canvas, small, to_small)
    else:
        painted = _paint_turned(canvas, small, to_small)
    return painted @ scaling(small.shape[1] / image.shape[1], small.shape[0] / image.shape[0])


def _paint_straight(canvas: np.ndarray, image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    ranges = [
        _visible(matrix[axis, axis], matrix[axis, 2], image.shape[1 - axis], canvas.shape[1 - axis]) for axis in (0, 1)
    ]
    (x1, x2, left, right), (y1, y2, top, bottom) = ranges
    if x1 >= x2 or y1 >= y2 or left >= right or top >= bottom:
        return matrix
    resized = cv2.resize(image[y1:y2, x1:x2], (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
    view = canvas[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    view[:] = resized[max(-top, 0) :, max(-left, 0) :][: view.shape[0], : view.shape[1]]
    scale_x, scale_y = (right - left) / (x2 - x1), (bottom - top) / (y2 - y1)
    return translation(left - scale_x * x1, top - scale_y * y1) @ scaling(scale_x, scale_y)


def _visible(scale: float, shift: float, length: int, canvas_length: int) -> tuple[int, int, int, int]:
    """Along one axis: the pixels start..stop of the image that show, and the canvas pixels first..last they fill."""
    start = max(int(np.floor(-shift / scale)), 0)
    stop = min(int(np.ceil((canvas_length - shift) / scale)), length)
    return start, stop, round(scale * start + shift), round(scale * stop + shift)


def _paint_turned(canvas: np.ndarray, image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """A canvas pixel belongs to the image when its centre does.

    OpenCV maps pixel centres, and edges lie half a pixel beside them: hence the shifts by a half.
    """
    rows, columns = image.shape[:2]
    x1, y1, x2, y2 = map_boxes(np.array([[0, 0, columns, rows]]), matrix)[0]
    left, right = (int(np.clip(np.ceil(x - 0.5), 0, canvas.shape[1])) for x in (x1, x2))
    top, bottom = (int(np.clip(np.ceil(y - 0.5), 0, canvas.shape[0])) for y in (y1, y2))
    if left < right and top < bottom:
        centres = translation(-left - 0.5, -top - 0.5) @ matrix @ translation(0.5, 0.5)
        view, size = canvas[top:bottom, left:right], (right - left, bottom - top)
        warped = _warp(image, centres, size, cv2.INTER_LINEAR, cv2.BORDER_REPLICATE)
        inside = _warp(np.ones((rows, columns), np.uint8), centres, size, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT)
        view[inside > 0] = warped[inside > 0]
    return matrix


def _warp(image: np.ndarray, matrix: np.ndarray, size: tuple[int, int], how: int, border: int) -> np.ndarray:
    if matrix[2, :2].any():
        return cv2.warpPerspective(image, matrix, size, flags=how, borderMode=border)
    return cv2.warpAffine(image, matrix[:2], size, flags=how, borderMode=border)


def _shrunk(image: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Averages 2 x 2, 4 x 4, ... pixels if the matrix shrinks the image that much: warping alone skips pixels."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
    factor = 2 ** int(np.floor(np.log2(1 / scale) + 1e-9)) if 0 < scale <= 0.5 else 1
    if factor == 1:
        return image, matrix
    rows, columns = image.shape[:2]
    new_columns, new_rows = max(columns // factor, 1), max(rows // factor, 1)
    small = cv2.resize(image, (new_columns, new_rows), interpolation=cv2.INTER_AREA)
    return small, matrix @ scaling(columns / new_columns, rows / new_rows)
