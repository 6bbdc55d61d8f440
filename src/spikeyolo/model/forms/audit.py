"""What the proof of `verify` reports, and the tensor operations it knows by what they do, as torch calls them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

MOVING = {"view", "_unsafe_view", "reshape", "unsqueeze", "squeeze", "expand", "permute", "transpose", "select"}
MOVING |= {"slice", "unbind", "stack", "cat", "clone", "alias", "detach", "contiguous", "repeat", "split"}
MOVING.add("upsample_nearest2d")
COMPARING = {"gt", "ge", "lt", "le", "eq", "ne", "bitwise_or", "bitwise_and", "all", "any"}
MAKING = {"zeros_like", "ones_like", "full_like"}
SHIFTING = {"__lshift", "__rshift", "bitwise_left_shift", "bitwise_right_shift"}
SUMMING = {"add", "neg", "round", "clamp", "_to_copy"} | SHIFTING | MOVING
"""What leaky sums of events may be made by; names without the underscores at their ends."""


@dataclass(repr=False)
class Audit:
    """What a verified network does for an image.

    Attributes:
        timesteps: T of the pass that was watched.
        operations: how often each tensor operation ran.
        spiking_convolutions: names of the layers that were fed zeros and ones alone.
        shifts: the powers of two that potentials, and leaky sums of events, are multiplied by.
        pooled: what the max-pools acted on.
    """

    timesteps: int
    operations: Counter[str] = field(default_factory=Counter)
    spiking_convolutions: dict[str, int] = field(default_factory=dict)
    shifts: set[float] = field(default_factory=set)
    pooled: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        slots = sum(self.spiking_convolutions.values())
        shifts = ", ".join(f"{value:g}" for value in sorted(self.shifts)) or "none"
        return (
            f"{len(self.spiking_convolutions)} convolutions on zeros and ones alone ({slots} slots), 1 on the image, "
            f"no other product; shifts: {shifts}; max-pools on {' and '.join(sorted(self.pooled))}"
        )

    __repr__ = __str__
