"""Reading numpy's files."""

from __future__ import annotations

import os
from zipfile import BadZipFile

import numpy as np

from ..errors import DataError

MAGICS = (b"\x93NUMPY", b"PK")  # of .npy and .npz; numpy takes anything else for a pickle


def load_numpy(path: str | os.PathLike[str]) -> np.ndarray | dict[str, np.ndarray]:
    """The array of a `.npy`, or the arrays of a `.npz` by name; pickled objects are refused.

    Raises:
        DataError: not such a file.
    """
    try:
        with open(path, "rb") as file:
            if not file.read(8).startswith(MAGICS):
                raise ValueError("it does not begin like one")
            file.seek(0)
            content = np.load(file, allow_pickle=False)
            return content if isinstance(content, np.ndarray) else dict(content)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        reason = "it holds pickled objects, which are never loaded" if "allow_pickle" in reason else reason
        raise DataError(f"{path}: cannot be read as a numpy file ({reason})") from error
