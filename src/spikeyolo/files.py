"""Writing files whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from .errors import CheckpointError, DataError


@contextmanager
def whole_file(
    path: str | os.PathLike[str], error: type[CheckpointError] | type[DataError] = DataError
) -> Iterator[BinaryIO]:
    """A file to write to, beside the target, which takes its place only when the block ends without an exception.

    Raises:
        DataError: or `error`: it cannot be written (no such folder, no permission, disk full).
    """
    path, temporary = Path(path), None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            yield file  # type: ignore[misc]  # a BinaryIO in all but name
            file.flush()
            os.fsync(file.fileno())
        # Temporary files are made for the owner alone; this one gets the permissions of any new file.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as failure:
        raise error(f"{path}: cannot be written ({failure.strerror}); nothing was changed") from failure
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Writes beside the target, then renames: the target holds the old content or the new, never a part.

    Raises:
        CheckpointError: the file cannot be written (no such folder, no permission, disk full).
    """
    with whole_file(path, CheckpointError) as file:
        file.write(content)
