"""An inert reader of `torch.save` files that hold a pickled module tree.

A pickle is a program. This reader lets it build tensors, containers and `Node`s, and nothing else: every class name
it may mention becomes a `Node` that only remembers its name and attributes, and any other name ends the reading.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import CheckpointError

DTYPES = {
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}

NODE_MODULES = ("ultralytics.", "spikingjelly.", "torch.nn.modules.")
"""Modules whose classes a published checkpoint mentions; they become Nodes."""

NODE_NAMES = {
    ("argparse", "Namespace"),
    ("types", "SimpleNamespace"),
    ("pathlib", "Path"),
    ("pathlib", "PosixPath"),
    ("pathlib", "WindowsPath"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("_codecs", "encode"),
}
"""Further names in the settings and scores beside the network; Nodes too."""


class Node:
    """An object of the pickle that was not built: the name of its class, and the attributes it was to have."""

    kind = ""

    def __new__(cls, *args: Any, **kwargs: Any) -> Node:
        """Takes whatever the object was to be built from, and forgets it."""
        node = super().__new__(cls)
        node.attributes = {}
        return node

    def __init__(self, *args: Any, **kwargs: Any):
        self.attributes: dict[str, Any]

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise pickle.UnpicklingError(f"the state of a {self.kind} is no dictionary")
        self.attributes = state

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute by its name."""
        return self.attributes.get(name, default)


class _Storage:
    """A run of numbers in the archive, read when the first tensor asks for it."""

    def __init__(self, dtype: torch.dtype, entry: str, numel: int):
        self.dtype, self.entry, self.numel = dtype, entry, numel
        self.values: Tensor | None = None


class InertUnpickler(pickle.Unpickler):
    """Builds tensors, containers and Nodes from an archive's `data.pkl`."""

    def __init__(self, program: bytes, archive: zipfile.ZipFile, prefix: str):
        super().__init__(io.BytesIO(program))
        self._archive = archive
        self._prefix = prefix
        self._storages: dict[str, _Storage] = {}
        self._known = {
            ("collections", "OrderedDict"): OrderedDict,
            ("builtins", "set"): set,
            ("__builtin__", "set"): set,
            ("torch", "Size"): torch.Size,
            ("torch._utils", "_rebuild_tensor_v2"): self._tensor,
            ("torch._utils", "_rebuild_parameter"): self._parameter,
            **{("torch", name): dtype for name, dtype in DTYPES.items()},
        }

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name of the pickle; an unknown one ends the reading."""
        known = self._known.get((module, name))
        if known is not None:
            return known
        if module.startswith(NODE_MODULES) or (module, name) in NODE_NAMES:
            return type("Node", (Node,), {"kind": f"{module}.{name}"})
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no SpikeYOLO checkpoint contains")

    def persistent_load(self, pid: Any) -> _Storage:
        """A storage, wherever it lived ("cuda:3" too): its numbers are in the archive."""
        if not (isinstance(pid, tuple) and len(pid) == 5 and pid[0] == "storage" and isinstance(pid[1], torch.dtype)):
            raise pickle.UnpicklingError("it refers to something that is not a storage of numbers")
        _, dtype, key, _, numel = pid
        return self._storages.setdefault(str(key), _Storage(dtype, f"{self._prefix}data/{key}", int(numel)))

    def _values(self, storage: _Storage) -> Tensor:
        if storage.values is None:
            content = self._archive.read(storage.entry)
            if len(content) != storage.numel * storage.dtype.itemsize:
                raise pickle.UnpicklingError(
                    f"{storage.entry} has {len(content)} bytes for {storage.numel} numbers of {storage.dtype}"
                )
            storage.values = (
                torch.frombuffer(bytearray(content), dtype=storage.dtype)
                if content
                else torch.zeros(0, dtype=storage.dtype)
            )
        return storage.values

    def _tensor(
        self, storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
    ) -> Tensor:
        numel = math.prod(size)
        last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
        if min((offset, *size, *stride), default=0) < 0 or numel > storage.numel or (numel and last >= storage.numel):
            raise pickle.UnpicklingError(f"a tensor of shape {tuple(size)} does not fit its {storage.numel} numbers")
        return self._values(storage).as_strided(tuple(size), tuple(stride), offset).clone()

    def _parameter(self, data: Tensor, *_: Any) -> Tensor:
        if not isinstance(data, Tensor):
            raise pickle.UnpicklingError("a parameter that is not a tensor")
        return data


def read_inert(path: str | os.PathLike[str]) -> Any:
    """The content of a `torch.save` file with Nodes in place of objects; nothing of it is run.

    Raises:
        CheckpointError: the file is missing, is no such archive, is damaged, or names something that is not expected.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entry = _pickle_entry(archive)
            program = archive.read(entry)
            _check_memo(program)
            return InertUnpickler(program, archive, entry.removesuffix("data.pkl")).load()
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file") from error
    except zipfile.BadZipFile as error:
        raise CheckpointError(f"{path}: not a PyTorch checkpoint, or cut short ({error})") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    except Exception as error:  # a hostile pickle can provoke any exception; all mean the same to the user
        raise CheckpointError(f"{path}: not a SpikeYOLO checkpoint, nothing of it was run: {error}") from error


def _pickle_entry(archive: zipfile.ZipFile) -> str:
    """The archive's one `data.pkl`; refuses archives that would unpack to more than they are."""
    entries = [info.filename for info in archive.infolist() if info.filename.endswith("/data.pkl")]
    if len(entries) != 1:
        raise pickle.UnpicklingError(f"the archive holds {len(entries)} pickles, expected one")
    if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
        raise pickle.UnpicklingError("the archive is compressed, which torch.save never does")
    return entries[0]


def _check_memo(program: bytes) -> None:
    """Refuses memo positions that would make the unpickler reserve memory out of all proportion."""
    for opcode, argument, _ in pickletools.genops(program):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > len(program):
            raise pickle.UnpicklingError("a memo position beyond the file's size")
