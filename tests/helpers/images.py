"""Small image files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def write_image(file: Path, rows: int = 40, columns: int = 60, value: int = 128) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(value).integers(0, 40, (rows, columns, 3)) + value
    assert cv2.imwrite(str(file), np.clip(noise, 0, 255).astype(np.uint8))
    return file
