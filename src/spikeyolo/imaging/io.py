"""Reading and writing image files; images in memory are (H, W, 3) uint8 RGB."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..errors import DataError, WriteError
from ..files import write_whole
from ..reading import read_bytes
from .header import check_size

IMAGE_SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".bmp",
        ".webp",
        ".tif",
        ".tiff",
        ".gif",
        ".jp2",
        ".avif",
        ".ppm",
        ".pgm",
        ".pbm",
    ]
)
"""Endings of the files that are taken for images, in lower case."""

WRITTEN_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
"""Endings of the images that commands write."""


IMAGE_BYTES = 10**9


def read_rgb(path: str | os.PathLike[str], reduce: int = 1) -> np.ndarray:
    """Read an image file as (H, W, 3) uint8 RGB, turned upright by its EXIF orientation.

    Grey images get three equal channels, CMYK ones are converted, 16-bit ones are scaled to 8 bits (their high byte),
    transparency is dropped, and of an animation the first frame is read.

    Args:
        path: the image file.
        reduce: 1, 2, 4 or 8: the image is made that much smaller while it is decoded (JPEG: at once, the faster the
            larger; others: by averaging), its sides rounded up; each pixel stands for exactly so many by so many.

    Raises:
        DataError: the file does not exist, is not an image, is cut short, or has more than 250 million pixels.
    """
    path = Path(path)
    encoded = read_bytes(path, IMAGE_BYTES)
    try:
        return decode_rgb(encoded, reduce)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def decode_rgb(encoded: bytes, reduce: int = 1) -> np.ndarray:
    """Do as `read_rgb` on the bytes of an image file; errors name no file."""
    import cv2  # costs 0.1 s to import

    if not encoded:
        raise DataError("an empty file, not an image")
    check_size(encoded)
    if is_cut_short(encoded):
        raise DataError("the image is cut short (its end marker is missing); copy or export the file again")
    reduces_itself = reduce > 1 and encoded.startswith(b"\xff\xd8")
    flags = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}
    flag = flags[reduce] if reduces_itself else cv2.IMREAD_COLOR_RGB
    try:
        image = cv2.imdecode(np.frombuffer(encoded, dtype=np.uint8), flag)
    except cv2.error:  # a header that asks for more pixels than OpenCV allows
        image = None
    if image is None:
        raise DataError("not an image that OpenCV can decode, or one that is damaged or cut short")
    if reduces_itself:  # the reduced flags know blue first only
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    if reduce > 1:
        rows, columns = -(-image.shape[0] // reduce), -(-image.shape[1] // reduce)
        rest = (rows * reduce - image.shape[0], columns * reduce - image.shape[1])
        padded = cv2.copyMakeBorder(image, 0, rest[0], 0, rest[1], cv2.BORDER_REPLICATE)
        return cv2.resize(padded, (columns, rows), interpolation=cv2.INTER_AREA)
    return image


def is_cut_short(encoded: bytes) -> bool:
    """Return whether a JPEG or PNG lacks its end marker; OpenCV versions differ in what they make of such a file.

    Inside a JPEG's compressed data a 0xFF is always followed by 0x00 or a restart marker, so an end marker (FF D9)
    behind the last start of scan (FF DA) is the real one, and those of an embedded thumbnail lie before it.
    A PNG is a row of chunks with their lengths; OpenCV takes as much memory as one claims, up to 4 GB.
    """
    if encoded.startswith(b"\xff\xd8"):
        return not encoded.endswith(b"\xff\xd9") and encoded.rfind(b"\xff\xd9") < encoded.rfind(b"\xff\xda")
    if encoded.startswith(b"\x89PNG\r\n\x1a\n"):
        place = 8
        while place < len(encoded) and encoded[place + 4 : place + 8] != b"IEND":
            place += 12 + int.from_bytes(encoded[place : place + 4], "big")
        return place >= len(encoded)
    return False


def write_rgb(path: str | os.PathLike[str], image: np.ndarray) -> None:
    """Write an (H, W, 3) uint8 RGB image in the format of the file's ending, whole or not at all.

    Raises:
        WriteError: the file cannot be written, or its ending is of no format that OpenCV writes.
    """
    import cv2  # costs 0.1 s to import

    path = Path(path)
    try:
        encoded, content = cv2.imencode(path.suffix, np.ascontiguousarray(image[..., ::-1]))
    except cv2.error:
        encoded = False
    if not encoded:
        raise WriteError(f"{path}: an image of shape {image.shape} cannot be written in this format")
    write_whole(path, content.tobytes())


def encode_png(image: np.ndarray) -> bytes:
    """Return an (H, W, 3) uint8 RGB image as a PNG."""
    import cv2  # costs 0.1 s to import

    encoded, content = cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))
    assert encoded
    return content.tobytes()
