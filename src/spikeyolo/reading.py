"""Files that somebody else wrote: the size is asked before anything is read, and every error names the file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import DataError, SpikeYOLOError, one_line

LONGEST_PATH, LONGEST_NAME = 4096, 255  # bytes, on all usual systems


@contextmanager
def naming(
    file: str | os.PathLike[str], what: str = "cannot be read", error: type[SpikeYOLOError] = DataError
) -> Iterator[None]:
    """Turn whatever the system, or another's parser, raises about a file in the block into an error that names it.

    Args:
        file: the file.
        what: is wrong with it then.
        error: what to raise; errors of this package pass as they are.
    """
    try:
        yield
    except SpikeYOLOError:
        raise
    except Exception as caught:  # parsers raise whatever comes to them over a file that lies
        said = caught.strerror if isinstance(caught, OSError) and caught.strerror else str(caught)
        raise error(f"{shown(file)}: {what} ({one_line(said or type(caught).__name__)})") from caught


def is_path(text: str) -> bool:
    """Return whether a text can be the path of a file: systems have limits of length, and none takes a NUL."""
    try:
        encoded = os.fsencode(text)
    except UnicodeEncodeError:
        return False
    parts = encoded.replace(b"\\", b"/").split(b"/")
    return 0 < len(encoded) < LONGEST_PATH and b"\0" not in encoded and max(map(len, parts)) <= LONGEST_NAME


def shown(file: str | os.PathLike[str]) -> str:
    """Return a path for an error, cut where it is longer than any that a person writes."""
    return one_line(os.fspath(file), 300)


def file_kind(path: str | os.PathLike[str], error: type[SpikeYOLOError] = DataError) -> str:
    """Return "folder", "file", "other" (a pipe or device), or "" where there is nothing.

    Raises:
        SpikeYOLOError: of the kind `error`: that cannot be found out, as in a folder without permission.
    """
    with naming(path, error=error):
        try:
            mode = os.stat(path).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return ""
        return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "other"


def file_size(file: str | os.PathLike[str], error: type[SpikeYOLOError] = DataError) -> int:
    """Return the bytes of a file; a pipe or device, which might be waited for without end, is never opened.

    Raises:
        SpikeYOLOError: of the kind `error`: not there, not a file, or not permitted.
    """
    with naming(file, error=error):
        try:
            status = os.stat(file)
        except FileNotFoundError as missing:
            raise error(f"{shown(file)}: cannot be read (no such file)") from missing
    if not stat.S_ISREG(status.st_mode):
        what = "it is a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or device, not a file"
        raise error(f"{shown(file)}: cannot be read ({what})")
    return status.st_size


def entries(folder: str | os.PathLike[str]) -> list[Path]:
    """Return what lies in a folder, in the order of names.

    What each is must be asked with `os.path`, which says no where it may not look; `Path.is_file` raises there.

    Raises:
        DataError: not there, or not permitted.
    """
    with naming(folder):
        found = sorted(Path(folder).iterdir())
    if found and not os.access(folder, os.X_OK):
        raise DataError(f"{shown(folder)}: cannot be read (its files are not permitted)")
    return found


def files_below(folder: str | os.PathLike[str], error: type[SpikeYOLOError] = DataError) -> list[str]:
    """Return the paths of all files in a folder and those within it, in their order; linked folders are not entered.

    Raises:
        SpikeYOLOError: of the kind `error`: a folder that cannot be read, which would else seem empty.
    """

    def refuse(caught: OSError) -> None:
        raise error(f"{shown(caught.filename)}: cannot be read ({caught.strerror})") from caught

    walk = ((os.path.join(place, ""), names) for place, _, names in os.walk(folder, onerror=refuse))
    return sorted(place + name for place, names in walk for name in names)


def read_bytes(file: str | os.PathLike[str], limit: int, error: type[SpikeYOLOError] = DataError) -> bytes:
    """Return what a file holds.

    Args:
        file: a regular file; a pipe or a device would wait or never end.
        limit: in bytes; a larger file is not even opened.
        error: what to raise.

    Raises:
        SpikeYOLOError: of that kind: no such file, no permission, something else than a file, or too large.
    """
    if (size := file_size(file, error)) > limit:
        raise error(f"{shown(file)}: {size / 1e6:,.1f} MB; such a file has at most {limit / 1e6:,g} MB")
    with naming(file, error=error), open(file, "rb") as stream:
        return stream.read()


def read_text(
    file: str | os.PathLike[str],
    limit: int,
    error: type[SpikeYOLOError] = DataError,
    *,
    kind: str = "text",
    errors: str = "strict",
) -> str:
    """Return the text of a UTF-8 file, with or without a byte order mark; see `read_bytes`.

    Args:
        file: a regular file.
        limit: in bytes.
        error: what to raise.
        kind: of text, for the error.
        errors: what to do about bytes that are no UTF-8, as in `bytes.decode`.
    """
    content = read_bytes(file, limit, error)
    with naming(file, f"cannot be read as {kind}, in UTF-8", error):
        return content.decode("utf-8-sig", errors)
