"""Names of files for libraries that know Unicode alone: of bytes that are no UTF-8, which Linux allows, OpenCV dies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .text import joined


@contextmanager
def readable(path: str | os.PathLike[str]) -> Iterator[str]:
    """Give a name under which a file can be read while the block runs: its own, if that is Unicode.

    Raises:
        OSError: it cannot be opened.
    """
    name = os.fspath(path)
    if is_unicode(name):
        yield name
    else:
        with open(name, "rb") as file:
            yield f"/dev/fd/{file.fileno()}"


@contextmanager
def writable(path: Path) -> Iterator[str]:
    """Give a name under which a file, whose own name without its folder is Unicode, can be written in the block.

    Raises:
        OSError: there is no such folder.
    """
    if is_unicode(str(path)):
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def as_system_path(text: str) -> str:
    """Return a path that stands in a file, which is UTF-8, as this system's functions take it, whatever its locale.

    Raises:
        ValueError: it holds a NUL or half of a character, which no path does.
    """
    if "\0" in text:
        raise ValueError("a character that no path holds")
    return os.fsdecode(joined(text).encode())


def is_unicode(path: str) -> bool:
    """Return whether a path has no bytes but those of UTF-8."""
    with suppress(UnicodeEncodeError):
        path.encode()
        return True
    return False
