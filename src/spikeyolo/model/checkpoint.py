"""One safetensors file: named tensors, and metadata as text. What the metadata means is the detector's business."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from ..errors import CheckpointError, ConfigError, one_line, quote
from ..files import write_whole
from ..paths import readable
from ..reading import file_kind
from .packing import pack, unpack

FORMAT = "spikeyolo"
FORMAT_VERSION, PACKED_VERSION = 2, 3
"""1 did not hold what the network's input is, but for event networks under the key `preparation`; 3 is 2 with
weights in few bits.
"""

LONGEST_HEADER = 8 << 20
"""Bytes of names, shapes and metadata before the numbers; those of the largest published network take 0.2 MB."""


def write(
    path: str | os.PathLike[str], metadata: Mapping[str, str], tensors: Mapping[str, Tensor], bits: int | None = None
) -> None:
    """Write tensors and metadata as one file; a file of that name is replaced whole or not at all.

    Args:
        path: the file.
        metadata: texts by key.
        tensors: by name.
        bits: of weights of convolutions, see `packing`; None: all as it is.

    Raises:
        WriteError: the file cannot be written.
    """
    header = {"format": FORMAT, "version": str(FORMAT_VERSION if bits is None else PACKED_VERSION), **metadata}
    kept = tensors if bits is None else pack(tensors, bits)
    content = {name: value.detach().cpu().contiguous() for name, value in kept.items()}
    write_whole(path, to_bytes(content, header))


def read(path: str | os.PathLike[str]) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Read the metadata and the tensors of a file that this or an earlier version wrote.

    The tensors are those of the file itself, mapped into memory: their numbers are read when they are looked at;
    weights in few bits are float32 again.

    Raises:
        CheckpointError: the file is missing, damaged, of another program, or of a later version.
    """
    path = Path(path)
    check_file(path)
    try:
        _check_header(path)
        with readable(path) as name, safe_open(name, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    except PermissionError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    except (SafetensorError, OSError, RuntimeError, ValueError, MemoryError) as error:  # torch's, of types and maps
        if path.suffix == ".ckpt":
            raise CheckpointError(
                f"{path}: what a training resumes from, not weights; give {path.with_name('best.safetensors')}"
            ) from error
        said = one_line(error) or type(error).__name__
        raise CheckpointError(
            f"{path}: not a safetensors file ({said}); published .pt files are turned into one by `spikeyolo convert`"
        ) from error
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path}: a safetensors file, but not of spikeyolo (metadata 'format' is missing)")
    if metadata.get("version") not in {str(version) for version in range(1, PACKED_VERSION + 1)}:
        raise CheckpointError(
            f"{path}: format version {one_line(metadata.get('version'))}, this spikeyolo reads up to {PACKED_VERSION}; "
            "install a newer one"
        )
    if metadata["version"] != str(PACKED_VERSION):
        return metadata, tensors
    try:
        return metadata, unpack(tensors)
    except ValueError as error:
        raise CheckpointError(f"{path}: its packed weights cannot be read ({one_line(error)})") from error


def check_file(path: Path) -> None:
    """Raise CheckpointError unless there is a plain file; a folder, a pipe or a device is not opened at all."""
    match file_kind(path, CheckpointError):
        case "":
            raise CheckpointError(f"{path}: no such file")
        case "folder":
            raise CheckpointError(f"{path}: is a folder{_inside(path)}")
        case "other":
            raise CheckpointError(f"{path}: is a pipe or a device, not a file of weights")


def from_json(metadata: Mapping[str, str], key: str) -> Any:
    """Return what a part of the metadata says.

    Raises:
        ConfigError: it is missing, or no JSON.
    """
    if key not in metadata:
        raise ConfigError(f"{key} is missing")
    try:
        return json.loads(metadata[key])
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{key}: {quote(metadata[key])} is no JSON ({one_line(error)})") from error


def _check_header(path: Path) -> None:
    """Raise ValueError for a header that takes seconds and gigabytes to read."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if LONGEST_HEADER < length < path.stat().st_size:  # a longer one is no header at all
        raise ValueError(f"a header of {length} bytes; at most {LONGEST_HEADER} are read")


def _inside(folder: Path) -> str:
    """What to give in place of a folder, such as that of a run or of a demo."""
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("*/*.safetensors")])
    best = next((file for file in files if file.stem == "best"), files[0] if files else None)
    return f"; give {best}" if best else " without a .safetensors file in it"
