"""How many pixels an image claims, from its header alone: a file of 124 kB can decode to gigabytes."""

from __future__ import annotations

import io
import warnings

from PIL import Image

from ..errors import DataError

MAX_PIXELS = 250 * 10**6
"""The largest cameras have 200 million."""

MANY_PIXELS, MOST_PER_BYTE = 25 * 10**6, 2000
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "JPEG2000", "AVIF", "BMP", "PPM")
PNG = b"\x89PNG\r\n\x1a\n"


def check_size(encoded: bytes) -> None:
    """Raise DataError for the bytes of an image file whose header claims more pixels than they can mean.

    These are more than 250 million; or more than 25 million, and more than 2000 for each byte, which no format holds
    but of an image of one colour: a damaged header would else take gigabytes and seconds before that is seen.
    """
    columns, rows = claimed_size(encoded) or (0, 0)
    if columns * rows > MAX_PIXELS:
        raise DataError(f"an image of {columns} x {rows} pixels; at most {MAX_PIXELS // 10**6} million are decoded")
    if columns * rows > max(MANY_PIXELS, MOST_PER_BYTE * len(encoded)):
        raise DataError(f"{len(encoded)} bytes that claim to be an image of {columns} x {rows} pixels; damaged")


def claimed_size(encoded: bytes) -> tuple[int, int] | None:
    """Return columns and rows by the header; None where Pillow does not understand it."""
    if encoded.startswith(PNG):  # what OpenCV goes by, whatever follows
        return int.from_bytes(encoded[16:20], "big"), int.from_bytes(encoded[20:24], "big")
    Image.init()
    for name in FORMATS:
        reader, accepts = Image.OPEN.get(name, (None, None))
        if reader is None or (accepts and not accepts(encoded[:16])):
            continue
        try:
            # Not by Image.open, which has a limit of its own, below what cameras take.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return reader(io.BytesIO(encoded), "").size
        except Exception:  # whatever Pillow says about a damaged header: OpenCV decides what can be decoded
            continue
    return None
