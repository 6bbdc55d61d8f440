"""What an image claims before it is decoded."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest

from spikeyolo.data.images.inspect_file import inspect_image
from spikeyolo.errors import DataError
from spikeyolo.imaging.header import check_size, claimed_size
from spikeyolo.imaging.io import decode_rgb, read_rgb


def black_png(columns: int, rows: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = zlib.compress(bytes(1 + -(-columns // 8)) * rows, 1)
    header = struct.pack(">IIBBBBB", columns, rows, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


@pytest.mark.parametrize("ending", [".jpg", ".png", ".webp", ".tif", ".bmp", ".gif", ".jp2", ".avif", ".ppm"])
def test_the_header_of_each_format(ending):
    _, encoded = cv2.imencode(ending, np.zeros((120, 200, 3), np.uint8))
    assert claimed_size(encoded.tobytes()) == (200, 120)
    assert decode_rgb(encoded.tobytes()).shape == (120, 200, 3)


@pytest.mark.parametrize("content", [b"", b"x", b"\xff\xd8\xff", b"GIF89a", b"II*\0", b"BM"])
def test_what_has_no_header(content):
    assert claimed_size(content) is None


def test_an_image_of_a_gigapixel_is_not_decoded(tmp_path, monkeypatch):
    file = tmp_path / "a.png"
    file.write_bytes(black_png(20_000, 20_000))
    monkeypatch.setattr(cv2, "imdecode", None)  # would be called
    with pytest.raises(DataError, match=r"a\.png: an image of 20000 x 20000 pixels; at most 250 million are decoded"):
        read_rgb(file)
    assert inspect_image(str(file))[0] is None


def test_the_largest_cameras_images_are_decoded():
    check_size(black_png(16_320, 12_240))  # 200 million pixels; that it does not raise is all


def test_a_damaged_header_is_seen_before_memory_is_taken(monkeypatch):
    encoded = bytearray(black_png(40, 30))
    encoded[16:24] = struct.pack(">II", 14_000, 14_000)
    monkeypatch.setattr(cv2, "imdecode", None)  # would be called
    with pytest.raises(DataError, match=rf"{len(encoded)} bytes that claim to be an image of 14000 x 14000 pixels"):
        decode_rgb(bytes(encoded))
    check_size(black_png(5_000, 5_000))  # 25 million of one colour


def test_a_chunk_longer_than_the_file_is_not_given_memory(monkeypatch):
    encoded = bytearray(black_png(40, 30))
    encoded[33:37] = struct.pack(">I", 2**31 - 1)  # the length of the first chunk behind the header
    monkeypatch.setattr(cv2, "imdecode", None)  # would be called
    with pytest.raises(DataError, match="cut short"):
        decode_rgb(bytes(encoded))
