"""Text of others, such as the names of classes and files, made safe to show, to draw and to name files by."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections.abc import Sequence

LONGEST_NAME = 100
"""Characters of a class name; the rest is cut off."""

_PAIR = re.compile("([\ud800-\udbff])([\udc00-\udfff])")
_JOINERS = "\u200c\u200d"  # invisible, and needed inside emoji and by Persian and the scripts of India
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # control, format, halves of characters, ends of lines and paragraphs
_FORBIDDEN = re.compile(r'[<>:"/\\|?*]')  # by Windows or by Unix
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # files that Windows has everywhere


def visible(text: str) -> str:
    r"""Return a text in which each character can be seen and is one: what is none is written as Python would.

    Two halves of a character, as JSON escapes one beyond 16 bits, are joined. Control characters, single halves, bytes
    of a file name that are no UTF-8, and what turns the direction of writing become `\n`, `\x1b`, `\u202e`, ...
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in _JOINERS or unicodedata.category(c) not in _UNSEEN else _escaped(c) for c in joined(text))


def joined(text: str) -> str:
    """Return a text in which two halves of a character that follow each other are that character."""
    return _PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)


def _escaped(character: str) -> str:
    byte = ord(character) - 0xDC00
    # Python stands such halves for bytes that it could not decode.
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else character.encode("unicode_escape").decode("ascii")


def class_name(name: str) -> str:
    """Return the name of a class as it is used everywhere, whatever file it comes from: one line, not too long."""
    return cut(visible(name), LONGEST_NAME)


def cut(text: str, most: int) -> str:
    """Return as much of a text as is no longer than so many characters, with three dots where something is left out."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def with_bytes_escaped(path: str) -> str:
    r"""Return a file name as Unicode that can be written anywhere: bytes of it that are no UTF-8 become `\xe9`."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def cut_to_bytes(name: str, most: int) -> str:
    """Return as much of a part of a file name as takes no more than so many bytes; file systems allow 255 in all."""
    while len(os.fsencode(name)) > most:
        # In UTF-8 a character has 4 bytes at most, so this many can go at once.
        name = name[: -max((len(os.fsencode(name)) - most) // 4, 1)]
    return name


def folder_names(names: Sequence[str]) -> list[str]:
    """Return a name for a folder of each class: without what a file name may not hold anywhere, no two alike."""
    found: list[str] = []
    taken: set[str] = set()
    for name in names:
        # A locale such as C has no more than ASCII.
        known = visible(name).encode(sys.getfilesystemencoding(), "backslashreplace")
        safe = cut_to_bytes(_FORBIDDEN.sub("_", os.fsdecode(known)), LONGEST_NAME).strip(". ")
        stem = f"_{safe}" if not safe or _DEVICES.match(safe) else safe
        folder, number = stem, 2
        while folder.casefold() in taken:  # Windows and macOS take capital and small letters for the same
            folder, number = f"{stem}_{number}", number + 1
        taken.add(folder.casefold())
        found.append(folder)
    return found
