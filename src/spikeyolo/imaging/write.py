from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..errors import DataError


def write_rgb(path: str | os.PathLike[str], picture: np.ndarray) -> None:
    """Writes an (H, W, 3) uint8 RGB picture in the format of the file's ending: beside, then renamed.

    Raises:
        DataError: the file cannot be written.
    """
    import cv2  # costs 0.1 s to import

    path = Path(path)
    try:
        encoded, content = cv2.imencode(path.suffix, np.ascontiguousarray(picture[..., ::-1]))
    except cv2.error:
        encoded = False
    if not encoded:
        raise DataError(f"{path}: a picture of shape {picture.shape} cannot be written in this format")
    beside = path.with_name(f".{path.name}.tmp")
    try:
        beside.write_bytes(content.tobytes())
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise DataError(f"{path}: cannot be written ({error.strerror})") from error
