"""Fonts that have the characters of a text: Pillow's own, matplotlib's, and those of the system."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from contextlib import suppress
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

PILLOWS_OWN = ""
"""Stands for the font that comes with Pillow, in place of a path; it has little more than ASCII."""

_SUFFIXES = (".ttf", ".ttc", ".otf", ".otc")
_NEVER = re.compile(r"lastresort|blank")  # fonts that have a box, or nothing, for every character
_STYLED = re.compile(r"bold|black|heavy|italic|oblique|light|thin|condensed|mono|serif|unifont|nastaliq")
_COLOURED = re.compile(r"emoji|seguiemj")
_TEST_SIZE = 16
_BITMAP_SIZES = (109, 136, 128, 160)  # in which fonts exist that know one size alone, as those of coloured emoji do
_NO_CHARACTER = "\uffff"
_KEY = "\u20e3"  # makes an emoji of the digit before it
_VARIANTS = "\ufe00\ufe0f"  # the first and the last of the characters that say how the one before is to look


def in_fonts(text: str) -> list[tuple[str, str | None]]:
    """Return a text in pieces, each with the path of a font, None where no font has it: if possible one for all.

    Emoji are taken from a coloured font where there is one.
    """
    coloured, plain = _font_files()
    letters = _letters(text)
    found = _first_with({one for one in letters if _is_emoji(one)}, coloured)
    found |= _first_with({one for one in letters if one not in found and not one.isspace()}, plain)
    pieces: list[tuple[str, str | None]] = []
    for letter in letters:
        file = found.get(letter)
        if letter.isspace():
            before = pieces[-1][1] if pieces else None
            # A space in a font of emoji is as wide as they are.
            file = plain[0] if before is None or before in coloured else before
        if pieces and pieces[-1][1] == file:
            pieces[-1] = pieces[-1][0] + letter, file
        else:
            pieces.append((letter, file))
    return pieces


def _letters(text: str) -> list[str]:
    """Letters with their marks, and what is invisible with the letter before it."""
    letters: list[str] = []
    for c in text:
        if letters and unicodedata.category(c) in ("Mn", "Mc", "Me", "Cf"):
            letters[-1] += c
        else:
            letters.append(c)
    return letters


def _is_emoji(letter: str) -> bool:
    is_symbol = unicodedata.category(letter[0]) in ("So", "Sk", "Cn") or letter.endswith(_KEY)
    return is_symbol and not _has(PILLOWS_OWN, letter)


def _first_with(letters: set[str], files: tuple[str, ...]) -> dict[str, str]:
    """A font for each letter: the first that has them all, or the first that has it."""
    found: dict[str, str] = {}
    for file in files if letters else ():
        has = {letter for letter in letters if _has(file, letter)}
        if has == letters:
            return dict.fromkeys(letters, file)
        found = dict.fromkeys(has, file) | found
    return found


def _has(file: str, letter: str) -> bool:
    """Whether a font has a letter: what it draws for each part is there, and is not what it draws for none."""
    unseen = (unicodedata.category(c) == "Cf" or _VARIANTS[0] <= c <= _VARIANTS[1] for c in letter)
    missing = _drawn(file, _NO_CHARACTER)
    return all(skip or _drawn(file, c) not in (missing, None) for c, skip in zip(letter, unseen, strict=True))


def can_shape(text: str) -> bool:
    """Return whether a text can be laid out: writing from right to left, and with marks, needs Pillow's raqm."""
    from PIL import features

    composed = unicodedata.normalize("NFC", text)
    kinds = {unicodedata.bidirectional(c) for c in composed} | {unicodedata.category(c) for c in composed}
    return kinds.isdisjoint({"R", "AL", "Mn", "Mc"}) or bool(features.check("raqm"))


def is_right_to_left(text: str) -> bool:
    """Return whether a text begins in a script that is written from right to left; numbers are written as here."""
    kinds = (unicodedata.bidirectional(c) for c in text)
    return next((kind for kind in kinds if kind in ("L", "R", "AL", "EN")), "L") in ("R", "AL")


@lru_cache(maxsize=64)
def opened(file: str, size: int) -> tuple[FreeTypeFont, float]:
    """Open a font; return it, and by how much what is drawn in it has to be scaled to have that size.

    Raises:
        OSError: it is no font.
    """
    from PIL import ImageFont

    if file == PILLOWS_OWN:
        return ImageFont.load_default(size), 1.0  # type: ignore[return-value]
    for tried in (size, *_BITMAP_SIZES):
        with suppress(OSError):
            return ImageFont.truetype(file, tried), size / tried
    raise OSError(f"{file}: no font")


@lru_cache(maxsize=65536)
def _drawn(file: str, character: str) -> tuple[tuple[int, int], bytes] | None:
    """The size and the pixels of a character; None where there are none."""
    font, mask = _for_tests(file), None
    with suppress(ValueError, OSError):  # of fonts whose rules for some characters do not work
        mask = font.getmask(character) if font else None
    return (mask.size, bytes(mask)) if mask is not None and mask.getbbox() else None


@lru_cache(maxsize=1024)
def _for_tests(file: str) -> FreeTypeFont | None:
    try:
        return opened.__wrapped__(file, _TEST_SIZE)[0]
    except OSError:  # a damaged file, or one of another format
        return None


@lru_cache(maxsize=1)
def _font_files() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Coloured fonts, and the others: upright sans-serif ones first, larger ones first, since they have more."""
    found: dict[str, int] = {}
    for folder in _font_folders():
        for at, _, names in os.walk(folder):
            for name in names:
                path = os.path.join(at, name)
                if name.lower().endswith(_SUFFIXES) and not _NEVER.search(name.lower()) and os.path.isfile(path):
                    found[path] = os.path.getsize(path)

    def rank(path: str) -> tuple[bool, bool, int, str]:
        name = os.path.basename(path).lower()
        return bool(_STYLED.search(name)), "dejavusans." not in name, -found[path], path

    ordered = sorted(found, key=rank)
    coloured = tuple(path for path in ordered if _COLOURED.search(os.path.basename(path).lower()))
    return coloured, (*_matplotlibs(), PILLOWS_OWN, *(path for path in ordered if path not in coloured))


def _matplotlibs() -> tuple[str, ...]:
    """DejaVu Sans, where matplotlib brought it: European scripts and Arabic."""
    spec = find_spec("matplotlib")
    places = [Path(place) for place in (spec and spec.submodule_search_locations) or ()]
    files = [place / "mpl-data/fonts/ttf/DejaVuSans.ttf" for place in places]
    return tuple(str(file) for file in files if file.is_file())


def _font_folders() -> list[Path]:
    home = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA", str(home / "AppData/Local"))
        return [Path(os.environ.get("WINDIR", "C:/Windows")) / "Fonts", Path(local) / "Microsoft/Windows/Fonts"]
    if sys.platform == "darwin":
        return [home / "Library/Fonts", Path("/Library/Fonts"), Path("/System/Library/Fonts")]
    own = Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share")
    shared = (os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":")
    # Conda puts fonts beside its libraries.
    data = [own, *map(Path, shared), Path(sys.prefix), Path(sys.prefix) / "share"]
    return [home / ".fonts", *(folder / "fonts" for folder in data)]
