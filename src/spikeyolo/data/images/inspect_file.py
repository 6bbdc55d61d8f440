"""What kind of image a file is, and whether it can be used."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
from PIL import Image

from ...errors import DataError
from ...imaging.header import FORMATS
from ...imaging.io import IMAGE_BYTES, decode_rgb
from ...reading import file_kind, read_bytes
from .scan_report import Finding

EXIF_ORIENTATION = 0x0112
KIND_OF_MODE = {"1": "grey", "L": "grey", "LA": "grey", "CMYK": "CMYK", "YCCK": "CMYK", "F": "grey", "I": "16-bit"}


def inspect_image(path: str) -> tuple[tuple[int, int] | None, list[Finding]]:
    """Decode an image once.

    Returns:
        Rows and columns of the upright image, or None when it cannot be used; and what is worth saying about it.
    """
    if not file_kind(path):
        return None, [Finding("image missing", path, "cannot be read (No such file or directory)")]
    try:
        encoded = read_bytes(path, IMAGE_BYTES)
        rows, columns = decode_rgb(encoded).shape[:2]
    except DataError as error:
        return None, [Finding("image unreadable", path, str(error).removeprefix(f"{path}: "))]
    return (rows, columns), [Finding(kind, path) for kind in _kinds(encoded)]


def _kinds(encoded: bytes) -> list[str]:
    """The unusual things that the header says; Pillow reads only that. A format it does not know has none."""
    try:
        with Image.open(io.BytesIO(encoded), formats=FORMATS) as header:
            mode, orientation = header.mode, header.getexif().get(EXIF_ORIENTATION, 1)
            transparent = mode in ("RGBA", "LA", "PA") or "transparency" in header.info
    except Exception:  # OpenCV has decoded it, so it can be used
        return []
    kinds = [KIND_OF_MODE[mode]] if mode in KIND_OF_MODE else []
    if mode.startswith("I;16") or _is_deep_png(encoded):
        kinds.append("16-bit")
    if transparent:
        kinds.append("transparency")
    if orientation in range(2, 9):
        kinds.append("EXIF-rotated")
    return kinds


def _is_deep_png(encoded: bytes) -> bool:
    """Whether a PNG has 16 bits a sample: byte 24, in its first chunk (Pillow hides it for colour images)."""
    return encoded.startswith(b"\x89PNG\r\n\x1a\n") and encoded[24] == 16


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """Keep OpenCV and Pillow from printing about damaged or huge images while a scan names them itself."""
    logging = cv2.utils.logging
    level = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.setLogLevel(level)
