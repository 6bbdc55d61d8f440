"""Integer counts <-> binary spikes: a count C is D slots in time, C of which hold a spike.

Because a convolution is linear, the sum of its results over the slots is its result on the count; and on slots of
0 and 1 it needs additions only. Source: Luo et al., ECCV 2024, section 3.3.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..errors import ShapeError


def binary_slots(counts: Tensor, max_count: int) -> Iterator[Tensor]:
    """Yield the `max_count` slots of spike counts (...) one after the other, each (...) zeros and ones.

    The first `count` slots of a timestep hold the spikes; the sum of all slots is `counts`.
    """
    for slot in range(max_count):
        yield (counts > slot).to(counts.dtype)


def counts_to_slots(counts: Tensor, max_count: int) -> Tensor:
    """Unfold spike counts into binary slots, all at once; see `binary_slots`.

    Args:
        counts: (T, ...) integers 0..max_count, any dtype.
        max_count: D, the slots of a timestep.

    Returns:
        (T, D, ...) zeros and ones in the dtype of `counts`; the sum over axis 1 is `counts`.
    """
    return torch.stack(list(binary_slots(counts, max_count)), dim=1)


def slots_to_counts(slots: Tensor) -> Tensor:
    """Add up binary slots (T, D, ...) to the spike counts (T, ...) they came from.

    Raises:
        ShapeError: no slot axis.
    """
    if slots.ndim < 2:
        raise ShapeError(f"slots: expected (T, D, ...), got {tuple(slots.shape)}")
    return slots.sum(1, dtype=slots.dtype)
