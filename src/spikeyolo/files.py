"""Writing files and folders whole or not at all: beside their place first, then renamed.

A target holds its old content or the new, never a part, whatever happens in between.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from .errors import WriteError


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a new file beside `path`, which takes its place when the block ends without an exception.

    It is named `.NAME.` and a random word until then; only a killed process leaves one behind.

    Raises:
        WriteError: it cannot be written (no such folder, no permission, disk full).
    """
    path = Path(path)
    # Cut, because names have at most 255 bytes; the word is random, because several processes may write the same file.
    partial = path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}")
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise _write_error(path, error) from error
    finally:
        with suppress(OSError):
            partial.unlink()


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file, or leave the old one as it is.

    Raises:
        WriteError: it cannot be written.
    """
    with whole_file(path) as file:
        file.write(content)


@contextmanager
def whole_folder(path: str | os.PathLike[str], *, replace: bool = False) -> Iterator[Path]:
    """Make a new folder beside `path`, which takes its place when the block ends without an exception.

    What a killed process left there is cleared, so only one process at a time may write the same folder.

    Args:
        path: the folder to make; missing parents are made too.
        replace: an existing folder is replaced, not refused; an empty one always is.

    Raises:
        WriteError: it exists, or cannot be written.
    """
    path = Path(path)
    partial, former = (path.with_name(f".{path.name[:40]}.{state}") for state in ("partial", "former"))
    try:
        if path.exists() and (not path.is_dir() or (any(path.iterdir()) and not replace)):
            raise WriteError(f"{path}: exists; remove it or name another folder")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        shutil.rmtree(former, ignore_errors=True)
        if path.exists():
            # Renamed, not deleted in place: a process killed half-way would leave a part of it.
            path.rename(former)
        try:
            partial.rename(path)
        except OSError:
            if former.exists():
                former.rename(path)
            raise
        shutil.rmtree(former, ignore_errors=True)
    except OSError as error:
        raise _write_error(path, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_error(path: Path, error: OSError) -> WriteError:
    return WriteError(f"{path}: cannot be written ({error.strerror or error}); nothing was changed")
