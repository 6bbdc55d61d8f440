"""Weights in few bits, for small files: whole numbers with a scale for each output channel, and the rest in float16."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..limits import check_range

SCALE = ".int8_scale"
"""A packed tensor NAME has its scales beside it, as NAME.int8_scale: (C,), C its first axis."""


def pack(tensors: Mapping[str, Tensor], bits: int) -> dict[str, Tensor]:
    """Return weights of convolutions, (C, ...) with more than one axis, as int8 and scales; the rest as float16.

    Of B bits, a weight is off by at most half a scale, which is the largest of its channel over 2**(B - 1) - 1. Each
    takes a byte, of which a wheel or an archive keeps about B bits. What float16 cannot hold to 0.1 % stays as it is.

    Raises:
        ConfigError: bits is not 2..8.
    """
    check_range("bits", bits, 2, 8)
    levels, packed = 2 ** (bits - 1) - 1, dict[str, Tensor]()
    for name, value in tensors.items():
        packed[name] = _short(value)
        if value.is_floating_point() and value.ndim > 1:
            channels = value.detach().float().flatten(1)
            scales = _short(channels.abs().amax(1) / levels)
            steps = channels / scales.float().clamp_min(torch.finfo(torch.float32).tiny)[:, None]
            packed[name] = steps.round().clamp(-levels, levels).to(torch.int8).view(value.shape)
            packed[name + SCALE] = scales
    return packed


def _short(value: Tensor) -> Tensor:
    """As float16 where that holds it to 0.1 %."""
    if value.dtype != torch.float32:
        return value
    half = value.half()
    return half if torch.allclose(half.float(), value, rtol=1e-3, atol=0) else value


def unpack(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what `pack` was given, as float32.

    Raises:
        ValueError: scales without their weights, or that do not fit them.
    """
    whole = {name: value.float() if value.dtype == torch.float16 else value for name, value in tensors.items()}
    found = {name: value for name, value in whole.items() if not name.endswith(SCALE)}
    for key in whole.keys() - found.keys():
        name, scales = key.removesuffix(SCALE), whole[key]
        value = found.get(name)
        if value is None or value.dtype != torch.int8 or scales.dtype != torch.float32:
            raise ValueError(f"{name}: scales without weights of int8, or that are no floating point numbers")
        if value.ndim < 2 or scales.shape != value.shape[:1]:
            raise ValueError(f"{name}: scales {tuple(scales.shape)} for weights {tuple(value.shape)}")
        found[name] = (value.flatten(1).float() * scales[:, None]).view(value.shape)
    return found
