"""An image however a user gives it: a file, an address, an array, one of PIL, a tensor. Needs no torch and no PIL."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

from ..errors import DataError, ShapeError
from ..reading import shown
from .io import decode_rgb, read_rgb
from .web import download, is_address

Image = Any
"""A path, an address (http, https), an (H, W, 3) uint8 RGB array, an image of PIL, or a (3, H, W) RGB tensor.

Tensors are uint8, or floating point 0..1.
"""


def as_rgb(image: Image) -> np.ndarray:
    """Return an image as an (H, W, 3) uint8 RGB array.

    Files and images of PIL are turned upright by their EXIF orientation, and lose their transparency.

    Args:
        image: see `Image`. Floating point is rounded to 255 steps.

    Raises:
        DataError: a file that is not a readable image, or an address from which none can be had.
        ShapeError: an array or tensor of another shape, type or range, or something that is no image.
    """
    if isinstance(image, str) and is_address(image):
        return _of_address(image)
    if isinstance(image, str | os.PathLike):
        return read_rgb(image)
    if hasattr(image, "detach") and hasattr(image, "numpy"):
        image = _of_tensor(image)
    elif (pil := sys.modules.get("PIL.Image")) is not None and isinstance(image, pil.Image):
        image = _of_pil(image)
    if not isinstance(image, np.ndarray):
        raise ShapeError(f"images: expected a path, an array, an image of PIL or a tensor, got {type(image).__name__}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ShapeError(f"images: expected uint8 (H, W, 3) RGB, got {image.dtype} {image.shape}")
    return image


def _of_address(address: str) -> np.ndarray:
    encoded = download(address)
    try:
        return decode_rgb(encoded)
    except DataError as error:
        raise DataError(f"{shown(address)}: {error}") from None


def _of_pil(image: Any) -> np.ndarray:
    from PIL import ImageOps

    return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def _of_tensor(image: Any) -> np.ndarray:
    shape = tuple(image.shape)
    if len(shape) != 3 or shape[0] != 3 or 0 in shape:
        raise ShapeError(f"images: expected a tensor (3, H, W) among several, got {image.dtype} {shape}")
    values: np.ndarray = image.detach().cpu().numpy()
    if values.dtype != np.uint8:
        if not np.issubdtype(values.dtype, np.floating) or not 0 <= values.min() <= values.max() <= 1:
            raise ShapeError(f"images: expected uint8 or floating point in 0..1, got {image.dtype} outside of it")
        values = np.rint(values * 255).astype(np.uint8)
    return np.ascontiguousarray(values.transpose(1, 2, 0))
