"""Names of files for OpenCV, which ends the process on those with bytes that are no UTF-8, as Linux allows them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def readable_by_opencv(path: str) -> Iterator[str]:
    """Give a name under which OpenCV can read a file while the block runs: its own, if that is Unicode."""
    if _is_unicode(path):
        yield path
    else:
        with open(path, "rb") as file:
            yield f"/dev/fd/{file.fileno()}"


@contextmanager
def writable_by_opencv(path: Path) -> Iterator[str]:
    """Give a name under which OpenCV can write a file, whose last part is Unicode, while the block runs."""
    if _is_unicode(str(path)):
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _is_unicode(path: str) -> bool:
    with suppress(UnicodeEncodeError):
        path.encode()
        return True
    return False
