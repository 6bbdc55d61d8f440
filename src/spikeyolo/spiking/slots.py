"""Integer counts <-> binary spikes: a count is a few slots in time, each with a spike or none.

Because a convolution is linear, its result on a count is the sum of its results on the slots, each times the weight of
its slot; and on slots of 0 and 1 it needs additions only. Two codes:

    unary   D slots of weight 1: a count C is C spikes. Source: Luo et al., ECCV 2024, section 3.3.
    binary  slots of weight ..., 4, 2, 1, the largest first: a count is as many spikes as it has binary digits 1, and
            D = 4 needs 3 slots. The sum is doubled before each further slot, a shift. Source: IB-LIF, arXiv 2506.05679.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

import torch
from torch import Tensor

from ..errors import ConfigError, ShapeError, quote


class SlotCode(str, Enum):
    """How counts become slots; see the module."""

    UNARY = "unary"
    BINARY = "binary"

    def __str__(self) -> str:
        return self.value

    @classmethod
    def of(cls, name: str) -> SlotCode:
        """Return the code of a name; ConfigError for any other."""
        try:
            return cls(name)
        except ValueError:
            raise ConfigError(f"slot_code: {quote(name)} is not one of {', '.join(cls)}") from None

    @property
    def factor(self) -> int:
        """What a sum is multiplied by before the next slot is added."""
        return 2 if self is SlotCode.BINARY else 1

    def weights(self, max_count: int) -> tuple[int, ...]:
        """What a spike stands for in each slot of a timestep, in order."""
        if self is SlotCode.UNARY:
            return (1,) * max_count
        return tuple(2**digit for digit in reversed(range(max_count.bit_length())))

    def spikes(self, max_count: int) -> tuple[int, ...]:
        """How many spikes each of the counts 0..max_count is."""
        counts = range(max_count + 1)
        return tuple(counts if self is SlotCode.UNARY else (count.bit_count() for count in counts))


def binary_slots(counts: Tensor, max_count: int, code: SlotCode = SlotCode.UNARY) -> Iterator[Tensor]:
    """Yield the slots of spike counts (...) one after the other, each (...) zeros and ones.

    Args:
        counts: integers 0..max_count, any dtype.
        max_count: D.
        code: unary: the first `count` slots of a timestep hold the spikes; binary: the digits, the highest first.
    """
    for slot, weight in enumerate(code.weights(max_count)):
        fires = counts > slot if code is SlotCode.UNARY else torch.remainder(counts, 2 * weight) >= weight
        yield fires.to(counts.dtype)


def counts_to_slots(counts: Tensor, max_count: int, code: str = SlotCode.UNARY) -> Tensor:
    """Unfold spike counts into binary slots, all at once; see `binary_slots`.

    Args:
        counts: (T, ...) integers 0..max_count, any dtype.
        max_count: D.
        code: unary or binary.

    Returns:
        (T, slots, ...) zeros and ones in the dtype of `counts`: D slots, or in binary as many as D has digits.

    Raises:
        ConfigError: an unknown code.
    """
    return torch.stack(list(binary_slots(counts, max_count, SlotCode.of(code))), dim=1)


def slots_to_counts(slots: Tensor, code: str = SlotCode.UNARY) -> Tensor:
    """Add up binary slots (T, slots, ...) to the spike counts (T, ...) they came from.

    Raises:
        ShapeError: no slot axis.
        ConfigError: an unknown code.
    """
    if slots.ndim < 2:
        raise ShapeError(f"slots: expected (T, slots, ...), got {tuple(slots.shape)}")
    factor, counts = SlotCode.of(code).factor, torch.zeros_like(slots[:, 0])
    for slot in slots.unbind(1):
        counts = factor * counts + slot
    return counts
