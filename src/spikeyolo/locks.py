"""Folders in which one process at a time may work."""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import ConfigError, WriteError

NAME = ".spikeyolo.lock"

log = logging.getLogger("spikeyolo")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder, which is made if need be, until the block ends or this process does.

    Raises:
        ConfigError: another process is at work there.
        WriteError: the folder cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # It may be a link that somebody planted.
        file = os.open(folder / NAME, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except OSError as error:
        raise WriteError(f"{folder}: cannot be written ({error.strerror})") from error
    try:
        if not _take(file, folder):
            holder = "".join(filter(str.isprintable, os.read(file, 100).decode(errors="replace")))
            raise ConfigError(f"{folder}: {holder or 'another process'} is at work there; wait, or name another folder")
        with suppress(OSError):  # a full disk: the lock holds, nameless
            os.ftruncate(file, 0)
            os.write(file, f"process {os.getpid()} on {platform.node()}".encode())
        yield
    finally:
        os.close(file)


def _take(file: int, folder: Path) -> bool:
    """Whether the lock is taken now. The kernel's: it ends with the process, and children do not inherit it."""
    try:
        import fcntl

        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except (ImportError, OSError):  # Windows, and network file systems without locks
        log.warning("%s: there are no locks here; take care that no second process works in this folder", folder)
    return True
