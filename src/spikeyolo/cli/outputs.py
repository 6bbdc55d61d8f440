"""Files that a command writes where its user says."""

from __future__ import annotations

from pathlib import Path

from ..errors import WriteError


def with_folder(file: Path) -> Path:
    """Make the folder that a file goes into; return the file.

    Raises:
        WriteError: it cannot be made.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"{file}: its folder cannot be made ({error.strerror})") from error
    return file
