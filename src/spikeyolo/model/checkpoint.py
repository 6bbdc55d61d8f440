"""One safetensors file: named tensors, and metadata as text. What the metadata means is the detector's business."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from ..errors import CheckpointError
from ..files import write_whole
from ..paths import readable

FORMAT = "spikeyolo"
FORMAT_VERSION = 2
"""1 did not hold what the network's input is, but for event networks under the key `preparation`."""


def write(path: str | os.PathLike[str], metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> None:
    """Write tensors and metadata as one file; a file of that name is replaced whole or not at all.

    Raises:
        WriteError: the file cannot be written.
    """
    header = {"format": FORMAT, "version": str(FORMAT_VERSION), **metadata}
    content = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_whole(path, to_bytes(content, header))


def read(path: str | os.PathLike[str]) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Read the metadata and the tensors of a file that this or an earlier version wrote.

    Raises:
        CheckpointError: the file is missing, damaged, of another program, or of a later version.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: is a folder{_inside(path)}" if path.is_dir() else f"{path}: no such file")
    try:
        with readable(path) as name, safe_open(name, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        if path.suffix == ".ckpt":
            raise CheckpointError(
                f"{path}: what a training resumes from, not weights; give {path.with_name('best.safetensors')}"
            ) from error
        raise CheckpointError(
            f"{path}: not a safetensors file ({error}); published .pt files are turned into one by `spikeyolo convert`"
        ) from error
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path}: a safetensors file, but not of spikeyolo (metadata 'format' is missing)")
    if metadata.get("version") not in {str(version) for version in range(1, FORMAT_VERSION + 1)}:
        raise CheckpointError(
            f"{path}: format version {metadata.get('version')}, this spikeyolo reads up to {FORMAT_VERSION}; "
            "install a newer one"
        )
    return metadata, tensors


def _inside(folder: Path) -> str:
    """What to give in place of a folder, such as that of a run or of a demo."""
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("*/*.safetensors")])
    best = next((file for file in files if file.stem == "best"), files[0] if files else None)
    return f"; give {best}" if best else " without a .safetensors file in it"
