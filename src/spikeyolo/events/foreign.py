"""Files that anybody may have written: looked at before they are opened, and what reading them raises said in a line.

Every reader of recordings and of their labels goes through these. Whether a file or folder is there is asked with
`os.path`, which says no where it may not look; `Path.is_file` raises there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import DataError, SpikeYOLOError, one_line


def file_size(path: Path) -> int:
    """Return the bytes of a file; a pipe or device, which might be waited for without end, is never opened.

    Raises:
        DataError: not there, not a file, or not permitted.
    """
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({reason(error)})") from error
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{path}: is {'a folder' if stat.S_ISDIR(status.st_mode) else 'a pipe or device'}, not a file")
    return status.st_size


def entries(folder: Path) -> list[Path]:
    """Return what lies in a folder, in the order of names.

    Raises:
        DataError: not there, or not permitted.
    """
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({reason(error)})") from error
    if found and not os.access(folder, os.X_OK):
        raise DataError(f"{folder}: cannot be read (its files are not permitted)")
    return found


@contextmanager
def foreign(path: Path | str, wrong: str) -> Iterator[None]:
    """Turn whatever a library raises over the content of a file into a DataError; errors of this program pass.

    Args:
        path: the file.
        wrong: what an exception means, said after the file's name: "cannot be read as ...".
    """
    try:
        yield
    except SpikeYOLOError:
        raise
    except Exception as error:  # libraries raise whatever comes to them over a file that lies
        raise DataError(f"{path}: {wrong} ({reason(error)})") from error


def reason(error: BaseException) -> str:
    """Return what an exception says, as a short line."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return one_line(said or type(error).__name__)
