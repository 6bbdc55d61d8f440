"""Convolutions whose sums are not rounded, whatever precision the program around them allows.

On the grid of the exact forms every sum fits into the mantissa of float32, if each product and each partial sum does.
TF32 and bf16 keep fewer bits of the factors, and cuDNN's faster algorithms transform them first: on GPUs the plain
matrix product is used in its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

IEEE = "ieee"

MAX_INPUT = 255
"""Levels of what the network sees, up to which the sums of the first convolution are exact."""


def _settings() -> list[tuple[Any, str, Any]]:
    """Where precision is set, with the value that rounds nothing: by operator, or before torch 2.9 by library."""
    backends: Any = torch.backends
    if hasattr(backends.cudnn, "conv"):
        return [(owner, "fp32_precision", IEEE) for owner in (backends.cuda.matmul, backends.mkldnn.conv)]
    return [(backends.cuda.matmul, "allow_tf32", False)]


@contextmanager
def exact_convolutions() -> Iterator[None]:
    """Run convolutions without reduced precision; afterwards everything is set as it was."""
    wanted = [*_settings(), (torch.backends.cudnn, "enabled", False)]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in wanted]
    try:
        for owner, name, value in wanted:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


def are_exact() -> bool:
    """Whether convolutions now run without reduced precision."""
    return not torch.backends.cudnn.enabled and all(getattr(owner, name) == value for owner, name, value in _settings())
