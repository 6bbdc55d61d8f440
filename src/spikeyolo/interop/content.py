"""What stands for the objects of a pickle that are not built: nodes of a module tree, and tensors not read yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .archive import Archive


class Node:
    """An object of the pickle that was not built.

    Attributes:
        kind: the name of its class.
        attributes: those that it was to have.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.attributes: dict[Any, Any] = {}

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute by its name."""
        return self.attributes.get(name, default)


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of the archive whose numbers have not been read.

    Attributes:
        shape: of the tensor.
        dtype: of its numbers.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    _archive: Archive
    _key: str
    _stride: tuple[int, ...]
    _offset: int

    def read(self) -> Tensor:
        """Read the numbers, to the CPU wherever they were; while the archive is open."""
        content = self._archive.numbers(self._key)
        if not content:
            return torch.zeros(self.shape, dtype=self.dtype)
        return torch.frombuffer(content, dtype=self.dtype).as_strided(self.shape, self._stride, self._offset)
