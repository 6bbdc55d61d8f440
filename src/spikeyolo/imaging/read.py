from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..errors import DataError


def read_rgb(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads a picture file as (H, W, 3) uint8 RGB, turned upright by its EXIF orientation.

    Grey pictures get three equal channels, 16-bit ones are scaled to 8 bits, transparency is dropped.

    Raises:
        DataError: the file does not exist, is not a picture, or is cut short.
    """
    import cv2  # costs 0.1 s to import

    path = Path(path)
    try:
        encoded = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    picture = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB) if encoded.size else None
    if picture is None:
        raise DataError(f"{path}: not a picture that OpenCV can decode")
    return picture
