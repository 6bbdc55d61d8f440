from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spikeyolo.errors import DataError
from spikeyolo.imaging.io import read_rgb


def smooth(rows: int = 48, columns: int = 64) -> np.ndarray:
    """A colour gradient: survives JPEG within a few grey values, and looks different from every side."""
    y, x = np.mgrid[0:rows, 0:columns]
    return np.stack([x * 3, y * 4, 255 - x * 2 - y], axis=2).clip(0, 255).astype(np.uint8)


def write(file: Path, image: Image.Image, **options: object) -> Path:
    image.save(file, **options)
    return file


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".webp"])
def test_colours_are_rgb(tmp_path: Path, suffix: str) -> None:
    options = {"quality": 95} if suffix in (".jpg", ".webp") else {}
    found = read_rgb(write(tmp_path / f"a{suffix}", Image.fromarray(smooth()), **options))
    assert (found.dtype, found.shape) == (np.uint8, (48, 64, 3))
    assert np.abs(found.astype(int) - smooth()).max() <= (16 if options else 0)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_exif_turns_upright(tmp_path: Path, orientation: int, suffix: str) -> None:
    upright = smooth()
    # What a camera stores so that this orientation makes it upright again (EXIF 2.3, tag 0x0112).
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95} if suffix == ".jpg" else {}
    file = write(tmp_path / f"a{suffix}", Image.fromarray(np.ascontiguousarray(stored)), exif=exif, **options)
    found = read_rgb(file)
    assert found.shape == upright.shape
    assert np.abs(found.astype(int) - upright).max() <= 16


def test_grey_has_three_equal_channels(tmp_path: Path) -> None:
    grey = smooth()[..., 0]
    found = read_rgb(write(tmp_path / "a.png", Image.fromarray(grey)))
    assert (found == grey[..., None]).all()


def test_16_bits_are_scaled_not_cut_off(tmp_path: Path) -> None:
    deep = (smooth()[..., 1].astype(np.uint16) << 8) + 77
    found = read_rgb(write(tmp_path / "a.png", Image.fromarray(deep)))
    assert (found == smooth()[..., 1:2]).all()


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jpg", Image.fromarray(smooth()).convert("CMYK"), quality=95)
    assert np.abs(read_rgb(file).astype(int) - smooth()).max() <= 16


def test_transparency_is_dropped(tmp_path: Path) -> None:
    clear = np.dstack([smooth(), np.zeros((48, 64), dtype=np.uint8)])
    assert (read_rgb(write(tmp_path / "a.png", Image.fromarray(clear))) == smooth()).all()


def contents(kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(smooth(200, 300)).save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.9, 0.999])
@pytest.mark.parametrize(
    ("kind", "options"),
    [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {}), ("BMP", {}), ("TIFF", {})],
)
def test_cut_short_wherever(tmp_path: Path, kind: str, options: dict[str, object], share: float) -> None:
    whole = contents(kind, **options)
    file = tmp_path / "a.jpg"
    file.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DataError) as caught:
        read_rgb(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)


def test_a_thumbnail_does_not_hide_that_the_image_is_cut_short(tmp_path: Path) -> None:
    """The end marker of an embedded thumbnail is not that of the image."""
    stream = io.BytesIO()
    Image.fromarray(smooth()).save(stream, "JPEG")
    segment = b"Exif\0\0" + stream.getvalue()
    whole = contents("JPEG")
    with_thumbnail = whole[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + whole[2:]
    file = tmp_path / "a.jpg"
    file.write_bytes(with_thumbnail)
    assert read_rgb(file).shape == (200, 300, 3)
    file.write_bytes(with_thumbnail[:-2])
    with pytest.raises(DataError, match="cut short"):
        read_rgb(file)


def test_bytes_behind_the_end_are_harmless(tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(contents("JPEG") + b"\0" * 100)
    assert read_rgb(file).shape == (200, 300, 3)


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xd8\xff\xd9"])
def test_no_image(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.jpg: .*image"):
        read_rgb(file)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.jpg: cannot be read"):
        read_rgb(tmp_path / "gone.jpg")
    with pytest.raises(DataError, match="cannot be read"):
        read_rgb(tmp_path)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("reduce", [2, 4, 8])
def test_reduced_pixels_stand_for_whole_squares(tmp_path: Path, suffix: str, reduce: int) -> None:
    """63 x 45 does not divide evenly: the sides are rounded up, the pixels inside stay averages of their squares."""
    image = smooth(45, 63)
    options = {"quality": 98, "subsampling": 0} if suffix == ".jpg" else {}
    found = read_rgb(write(tmp_path / f"a{suffix}", Image.fromarray(image), **options), reduce)
    rows, columns = -(-45 // reduce), -(-63 // reduce)
    assert found.shape == (rows, columns, 3)
    inside = image[: 45 // reduce * reduce, : 63 // reduce * reduce]
    means = inside.reshape(45 // reduce, reduce, 63 // reduce, reduce, 3).mean(axis=(1, 3))
    assert np.abs(found[: 45 // reduce, : 63 // reduce] - means).max() <= 6
