"""Datasets of HDF5 files: what is asked for is checked before any of it is read.

HDF5 gives whatever shape and type a file claims, follows links to other files, and fills in what was never written; a
file of a few bytes may claim 2^60 numbers. A dataset is taken only if it holds numbers and all of it is in the file.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, one_line, quote
from ..optional import optional_module
from ..reading import file_size, naming

# Blosc: number of the filter, where a compressed chunk says how long it is, and the settings that it takes for granted.
BLOSC, BLOSC_LENGTH, BLOSC_VALUES = 32001, 12, 4
MAX_CHUNK = 1 << 28  # bytes; a chunk is decompressed whole for the sake of one number


# By numpy's letters for types of numbers.
KINDS = {"iu": "whole numbers", "iuf": "numbers", "iufb": "numbers"}


def open_hdf5(path: Path) -> Any:
    """Open an HDF5 file for reading; an `h5py.File`.

    Raises:
        DataError: no such file, or not an HDF5 file.
        MissingPackage: h5py is not installed.
    """
    h5py = optional_module("h5py", "events")
    file_size(path)
    with naming(path, "not an HDF5 file, or cut short"):
        return h5py.File(path, "r")


def is_group(found: Any) -> bool:
    """Return whether this has members."""
    return isinstance(found, optional_module("h5py", "events").Group)


def member(path: Path, group: Any, name: str) -> Any:
    """Return what is called so in a group, None if nothing is; DataError where it lies in another file."""
    h5py = optional_module("h5py", "events")
    with naming(path, f"{name} cannot be read"):
        if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
            raise DataError(f"{path}: {name} lies in another file; copy it into this one")
        return group.get(name)


def dataset(path: Path, group: Any, name: str, dimensions: int, kinds: str = "iu") -> Any:
    """Return an `h5py.Dataset` of numbers that is there whole, to be read in parts; None if there is no such name.

    Args:
        path: the file, for errors.
        group: where it is.
        name: its name.
        dimensions: how many it must have.
        kinds: of numbers that it may hold, a key of KINDS.

    Raises:
        DataError: something else is called so, a part of it is missing or lies in other files, or a package is needed
            to decompress it.
    """
    h5py = optional_module("h5py", "events")
    found = member(path, group, name)
    if found is None:
        return None
    with naming(path, f"{name} cannot be read"):
        if not isinstance(found, h5py.Dataset) or found.shape is None:
            raise DataError(f"{path}: {name} is not a list of numbers")
        if found.dtype.kind not in kinds:
            raise DataError(f"{path}: {name} holds {one_line(found.dtype)}, not {KINDS[kinds]}")
        if found.ndim != dimensions:
            raise DataError(f"{path}: {name} has {found.ndim} dimensions, not {dimensions}")
        if found.is_virtual or found.external:
            raise DataError(f"{path}: {name} lies in other files; copy it into this one")
        if prod(found.chunks or ()) * found.dtype.itemsize > MAX_CHUNK:
            raise DataError(f"{path}: {name} lies in chunks of more than {MAX_CHUNK} bytes; write smaller ones")
        if not _whole(found, file_size(path)):
            raise DataError(f"{path}: {name} claims {prod(found.shape)} numbers that are not in the file; cut short?")
        _find_codec(path, found)
    return found


def number(path: Path, holder: Any, name: str) -> int | None:
    """Return a whole number that a group holds as a dataset, or as an attribute (`group.attrs`); None if neither.

    Raises:
        DataError: it is anything else.
    """
    h5py = optional_module("h5py", "events")
    with naming(path, f"{name} is not a whole number"):
        found = member(path, holder, name) if is_group(holder) else holder.get(name)
        if isinstance(found, h5py.Dataset):
            found = found[()] if found.size == 1 else None
        elif found is None:
            return None
        value = np.asarray(found)
        if value.size != 1 or value.dtype.kind not in "iuf" or value != int(value.item()):
            raise ValueError(f"it is {value}")
        return int(value.item())


def _whole(found: Any, size: int) -> bool:
    """Whether every number of a dataset was written."""
    if found.chunks is None:
        return found.nbytes <= size and found.id.get_storage_size() >= found.nbytes
    expected = (-(-side // part) for side, part in zip(found.shape, found.chunks, strict=True))
    return found.id.get_num_chunks() == prod(expected)


def _find_codec(path: Path, found: Any) -> None:
    """Compression other than HDF5's own comes from hdf5plugin."""
    h5z = optional_module("h5py", "events").h5z
    settings = found.id.get_create_plist()
    code = 0
    for place in range(settings.get_nfilters()):
        code, _, values, name = settings.get_filter(place)
        if not h5z.filter_avail(code):
            optional_module("hdf5plugin", "events")
            if not h5z.filter_avail(code):
                raise DataError(f"{path}: compressed with filter {code} ({quote(name)}), which hdf5plugin lacks")
        if code == BLOSC and len(values) < BLOSC_VALUES:
            raise DataError(f"{path}: {found.name} is damaged: its compression is set by {len(values)} numbers")
    if code == BLOSC:
        _check_blosc(path, found)


def _check_blosc(path: Path, found: Any) -> None:
    """Compare the length that each chunk claims with its own: Blosc believes the claim, and reads what lies behind."""
    chunks: list[Any] = []
    found.id.chunk_iter(chunks.append)
    with open(path, "rb", buffering=0) as file:
        for chunk in chunks:
            file.seek(chunk.byte_offset + BLOSC_LENGTH)
            if not chunk.filter_mask and int.from_bytes(file.read(4), "little") != chunk.size:
                raise DataError(f"{path}: {found.name} is damaged: a part is not as long as it says")
