"""Writing files whole or not at all, and reading numpy's."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from zipfile import BadZipFile

import numpy as np

from ..errors import DataError


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write to, beside the target, which takes its place only when the block ends without an exception.

    Raises:
        DataError: it cannot be written (no such folder, no permission, disk full).
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
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}); nothing was changed") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def load_numpy(path: str | os.PathLike[str]) -> np.ndarray | dict[str, np.ndarray]:
    """The array of a `.npy`, or the arrays of a `.npz` by name; pickled objects are refused.

    Raises:
        DataError: not such a file.
    """
    try:
        with open(path, "rb") as file:
            content = np.load(file, allow_pickle=False)
            return content if isinstance(content, np.ndarray) else dict(content)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: cannot be read as a numpy file ({reason})") from error
