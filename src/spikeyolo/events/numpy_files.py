"""Arrays of `.npy` and `.npz` files: what a header claims is compared with the file before memory is taken."""

from __future__ import annotations

import os
from math import prod
from pathlib import Path
from typing import IO
from zipfile import ZipFile

import numpy as np

from ..reading import file_size, naming

MAX_BYTES = 1 << 28  # of all arrays of a file: 7 million boxes of one recording
MAX_MEMBERS = 100  # of an .npz
ZIP = b"PK"


def load_numpy(path: str | os.PathLike[str]) -> np.ndarray | dict[str, np.ndarray]:
    """Return the array of a `.npy`, or the arrays of a `.npz` by name; pickled objects are refused.

    Raises:
        DataError: not such a file, one that claims more than it holds, or more than 268 MB.
    """
    path = Path(path)
    size = file_size(path)
    with naming(path, "cannot be read as a numpy file"), open(path, "rb") as file:
        zipped = file.read(len(ZIP)) == ZIP
        file.seek(0)
        if not zipped:
            return _array(file, size)
        with ZipFile(file) as archive:
            members = archive.infolist()
            total = sum(member.file_size for member in members)
            if total > MAX_BYTES or len(members) > MAX_MEMBERS:
                raise ValueError(f"{len(members)} arrays of {total} bytes; more than {MAX_BYTES} are never read")
            arrays = {}
            for member in members:
                with archive.open(member) as content:
                    arrays[member.filename.removesuffix(".npy")] = _array(content, member.file_size)
            return arrays


def array_header(file: IO[bytes], size: int) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return shape, whether the first axis varies fastest (Fortran's order), and type of the array of an open `.npy`.

    The file stands at the first number afterwards, and all of them are there.

    Args:
        file: at its start.
        size: of it, in bytes.

    Raises:
        ValueError: another version of the format, pickled objects, or more announced than is there.
    """
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
    else:  # version 3 is for names of fields beyond Latin-1; none of ours is
        raise ValueError(f"version {version} of the format")
    if dtype.hasobject:
        raise ValueError("it holds pickled objects, which are never loaded")
    claimed, there = prod(shape) * dtype.itemsize, size - file.tell()
    if min(shape, default=0) < 0 or claimed > there:
        raise ValueError(f"cut short: {claimed} bytes are announced and {there} are there")
    return shape, fortran, dtype


def _array(file: IO[bytes], size: int) -> np.ndarray:
    """The array of an open `.npy` of so many bytes."""
    shape, _, dtype = array_header(file, size)
    claimed = prod(shape) * dtype.itemsize
    if max(claimed, prod(shape)) > MAX_BYTES:
        raise ValueError(f"{prod(shape)} numbers of {claimed} bytes; more than {MAX_BYTES} are never read")
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)
