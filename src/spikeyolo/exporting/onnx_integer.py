"""The integer network as a graph of ONNX's integer operators alone, equal to `to_integer()` bit for bit.

Weights are uint8 with a zero point of 128, the same integers as the int8 ones, and counts are int8 where they are
weighed: ONNX Runtime weighs signed numbers by unsigned ones several times as fast as numbers of the same kind. ONNX has
no shift of signed integers: a left shift is a product with a power of two; a right shift, which rounds down, clears the
lowest bits first, after which the division by a power of two is exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..model.forms.exact import MAX_INPUT
from ..model.forms.integer import thresholds
from .graph import INPUT, Unit
from .neurons import Neuron
from .onnx_builder import Builder
from .onnx_network import Arithmetic

ZERO_POINT = 128


class IntegerArithmetic(Arithmetic):
    """uint8 counts, int32 sums and potentials; see `model.forms.integer` for the format.

    Args:
        build: the graph.
        fraction_bits: of potentials.
        input_levels: steps from 0 to 1 of the input.
        bytes_in: the input is 0..255 and has 255 levels; else it is floating point and becomes -255..255.
    """

    potential: Any = np.int32

    def __init__(self, build: Builder, fraction_bits: int, input_levels: int, bytes_in: bool):
        super().__init__(build)
        self.fraction_bits, self.input_levels, self.bytes_in = fraction_bits, input_levels, bytes_in
        self._signed: dict[str, str] = {}

    def _number(self, value: Any) -> str:
        return self.build.constant(value, np.int32)

    def convolve(self, x: str, unit: Unit) -> str:
        """Weigh counts, or the input; shift; add the bias."""
        build, (conv,) = self.build, unit.convolutions
        assert conv.bias is not None
        assert conv.shift is not None
        shifted = conv.weight.astype(np.int16) + ZERO_POINT
        weight = build.constant(shifted, np.uint8, f"{unit.name}.weight")
        taken: Any = np.uint8
        if unit.neuron is not None:
            taken = np.int8  # a count is 63 at most
            x = self._as_signed(x)
        zeros = build.constant(0, taken), build.constant(ZERO_POINT, np.uint8)

        def weigh(counts: str) -> str:
            return self.convolution(counts, conv, weight, *zeros, kind="ConvInteger")

        if unit.sources[0] == INPUT and not self.bytes_in:
            above, below = self._levels(x)
            sums = build.op("Sub", weigh(above), weigh(below))
        else:
            sums = weigh(x)
        if conv.shift.any():
            scale = build.constant(
                2 ** conv.shift.astype(np.int64).reshape(1, -1, 1, 1), np.int32, f"{unit.name}.shift"
            )
            sums = build.op("Mul", sums, scale)
        bias = build.constant(conv.bias.reshape(1, -1, 1, 1), np.int32, f"{unit.name}.bias")
        return build.op("Add", sums, bias, name=unit.name)

    def _as_signed(self, counts: str) -> str:
        """Counts as int8, once for all that weigh them."""
        if counts not in self._signed:
            self._signed[counts] = self.build.cast(counts, np.int8)
        return self._signed[counts]

    def _levels(self, x: str) -> tuple[str, str]:
        """Floating point input as levels above and below zero, each 0..255."""
        build, number = self.build, lambda value: self.build.constant(value, np.float32)
        levels = build.op("Round", build.op("Mul", x, number(self.input_levels)))
        clipped = build.op("Clip", levels, number(-MAX_INPUT), number(MAX_INPUT))
        above = build.cast(build.op("Max", clipped, number(0)), np.uint8)
        return above, build.cast(build.op("Max", build.op("Neg", clipped), number(0)), np.uint8)

    def _shift_right(self, x: str, bits: int) -> str:
        if bits == 0:
            return x
        lowest_cleared = self.build.op("BitwiseAnd", x, self._number(-(2**bits)))
        return self.build.op("Div", lowest_cleared, self._number(2**bits))

    def charge(self, current: str, v: str | None, neuron: Neuron) -> str:
        """Shift the input and the potential, and add them."""
        assert neuron.shifts is not None
        gain, decay = neuron.shifts
        h = self._shift_right(current, gain)
        return h if v is None or decay is None else self.build.op("Add", h, self._shift_right(v, decay))

    def fire(self, h: str, neuron: Neuron) -> str:
        """Count the thresholds that are reached."""
        build, counts = self.build, ""
        least = thresholds(neuron.max_count, self.fraction_bits) if neuron.scale is None else neuron.thresholds
        for threshold in least:
            fires = build.cast(build.op("GreaterOrEqual", h, self._number(threshold)), np.uint8)
            counts = build.op("Add", counts, fires) if counts else fires
        return counts

    def reset(self, h: str, counts: str, neuron: Neuron) -> str:
        """Subtract the thresholds of the spikes."""
        one = self._number(2**self.fraction_bits if neuron.scale is None else neuron.reset)
        fallen = self.build.op("Mul", self.build.cast(counts, np.int32), one)
        return self.build.op("Sub", h, fallen)

    def pool_potentials(self, x: str, kernel_size: int) -> str:
        """Take the largest of the shifted images, along columns and then along rows: ONNX has no pool of int32."""
        build, half = self.build, kernel_size // 2
        lowest = self._number(np.iinfo(np.int32).min)
        for axis in (2, 3):
            pads = [0] * 8
            pads[axis] = pads[axis + 4] = half
            padded = build.op("Pad", x, build.integers(*pads), lowest)
            ends = [kernel_size - 1 - start for start in range(kernel_size)]
            parts = [
                build.op("Slice", padded, build.integers(start), build.integers(-end or 2**31), build.integers(axis))
                for start, end in zip(range(kernel_size), ends, strict=True)
            ]
            x = build.op("Max", *parts)
        return x

    def logits(self, levels: list[str], timesteps: int) -> str:
        """Return the mean over time in units of the threshold: the first numbers that are no integers."""
        build = self.build
        joined = build.op("Concat", *levels, axis=1)
        if timesteps > 1:
            steps = build.ops("Split", joined, number=timesteps, axis=0, num_outputs=timesteps, name="step")
            total = build.cast(steps[0], np.float64)
            for step in steps[1:]:
                total = build.op("Add", total, build.cast(step, np.float64))
            mean = build.op("Div", total, build.constant(timesteps, np.float64))
            scaled = build.op("Mul", mean, build.constant(2.0**-self.fraction_bits, np.float64))
            return build.cast(scaled, np.float32)
        return build.op("Mul", build.cast(joined, np.float32), build.constant(2.0**-self.fraction_bits, np.float32))
