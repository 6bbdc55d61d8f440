"""Text of any script as an image, and what is drawn in place of a class name that no font has."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..text import cut, visible
from .fonts import PILLOWS_OWN, can_shape, in_fonts, is_right_to_left, opened

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

LONGEST_SHOWN = 40
"""Characters of a class name on an image or a plot; the rest is cut off."""

_EAST_ASIAN = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "FULLWIDTH", "IDEOGRAPHIC", "BOPOMOFO")


@dataclass(frozen=True)
class Lettering:
    """A text as an image.

    Attributes:
        image: RGBA, as large as the ink, transparent around it.
        baseline: row of the image on which letters stand.
    """

    image: Image
    baseline: int


@dataclass(frozen=True)
class _Run:
    """Characters in one font.

    Attributes:
        text: the characters.
        font: the font.
        scale: by how much its pixels are to be scaled.
        may_be_coloured: whether the font may have colours of its own.
        how: further arguments for Pillow.
    """

    text: str
    font: FreeTypeFont
    scale: float
    may_be_coloured: bool
    how: dict[str, Any]

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom, from where the run begins on the baseline."""
        left, top, right, bottom = self.font.getbbox(self.text, anchor="ls", **self.how)
        return left * self.scale, top * self.scale, right * self.scale, bottom * self.scale

    @property
    def advance(self) -> float:
        """Where the next run begins."""
        return self.font.getlength(self.text, **self.how) * self.scale


def letter(parts: Sequence[str], size: int, ink: tuple[int, int, int]) -> Lettering:
    """Draw a text.

    Args:
        parts: one after the other from left to right; each runs in its own direction.
        size: of the letters, in pixels.
        ink: the colour.
    """
    from PIL import Image

    if all(part.isascii() for part in parts):
        runs = [_Run("".join(parts), *opened(PILLOWS_OWN, size), False, {})]
    else:
        runs = [run for part in parts for run in _runs(part, size)]
    starts, boxes, x = [], [(0.0, 0.0, 1.0, 1.0)], 0.0
    for run in runs:
        left, top, right, bottom = run.box
        starts.append(x)
        boxes.append((x + left, top, x + right, bottom))
        x += run.advance if run is not runs[-1] else 0.0
    ends = list(zip(*boxes, strict=True))
    left, top, right, bottom = (round(pick(side)) for pick, side in zip((min, min, max, max), ends, strict=True))
    # Transparent ink, not transparent black, which would darken the edges of the letters.
    image = Image.new("RGBA", (right - left, bottom - top), (*ink, 0))
    for run, start in zip(runs, starts, strict=True):
        _draw(image, run, (start - left, -top), ink)
    return Lettering(image, -top)


def _draw(image: Image, run: _Run, origin: tuple[float, float], ink: tuple[int, int, int]) -> None:
    from PIL import Image, ImageDraw

    how: dict[str, Any] = {"font": run.font, "fill": ink, "anchor": "ls", **run.how}
    how["embedded_color"] = run.may_be_coloured
    if run.scale == 1:
        ImageDraw.Draw(image).text(origin, run.text, **how)
        return
    left, top, right, bottom = map(round, run.font.getbbox(run.text, anchor="ls", **run.how))
    large = Image.new("RGBA", (max(right - left, 1), max(bottom - top, 1)), (*ink, 0))
    ImageDraw.Draw(large).text((-left, -top), run.text, **how)
    size = max(round(large.width * run.scale), 1), max(round(large.height * run.scale), 1)
    place = max(round(origin[0] + left * run.scale), 0), max(round(origin[1] + top * run.scale), 0)
    image.alpha_composite(large.resize(size, Image.Resampling.LANCZOS), place)


def _runs(text: str, size: int) -> list[_Run]:
    """The text in pieces of one font, in the order in which they stand from left to right."""
    from PIL.ImageFont import Layout

    composed = unicodedata.normalize("NFC", text)
    from_right = is_right_to_left(composed)
    runs = []
    for characters, file in in_fonts(composed):
        font, scale = opened(PILLOWS_OWN if file is None else file, size)
        shaped = font.layout_engine == Layout.RAQM
        how = {"direction": "rtl" if from_right else "ltr"} if shaped else {}
        runs.append(_Run(characters, font, scale, bool(file), how))
    return runs[::-1] if from_right else runs


@lru_cache(maxsize=64)
def shown_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return what is drawn for each class: its name, cut where it is long, or "class 7" where no font has it.

    Warns, once, of names that no font here has, and says which fonts to install.
    """
    lines = [visible(name) for name in names]
    without = {i: absent for i, line in enumerate(lines) if (absent := _undrawable(line))}
    if without:
        first = min(without)
        characters = "".join(dict.fromkeys("".join(without.values())))
        count = "1 class name is" if len(without) == 1 else f"{len(without)} class names are"
        warnings.warn(
            f"{count} drawn as numbers, such as 'class {first}' for {lines[first][:LONGEST_SHOWN]!r}: "
            f"{_mend(characters)}",
            stacklevel=2,
        )
    return tuple(f"class {i}" if i in without else cut(line, LONGEST_SHOWN) for i, line in enumerate(lines))


def _undrawable(text: str) -> str:
    """The characters that cannot be drawn."""
    if not can_shape(text):
        return text
    return "".join(piece for piece, font in in_fonts(unicodedata.normalize("NFC", text)) if font is None)


def _mend(characters: str) -> str:
    """Which fonts have such characters."""
    if not can_shape(characters):
        return "Pillow lays out this script with FriBiDi only; install it (on Debian libfribidi0)"
    packages = " ".join(dict.fromkeys(map(_package, characters)))
    return f"no font here has {cut(characters, 12)}; install one that has (on Debian: apt install {packages})"


def _package(character: str) -> str:
    """The package of Debian with a font that has such characters."""
    if unicodedata.name(character, "").startswith(_EAST_ASIAN):
        return "fonts-noto-cjk"
    return "fonts-noto-color-emoji" if unicodedata.category(character) in ("So", "Sk", "Cn") else "fonts-noto-core"
