"""int8 in ONNX, of a graph that `quantise` made: for runtimes that look for QuantizeLinear, and for ONNX Runtime."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .graph import Convolution, Unit
from .neurons import Neuron
from .onnx_builder import Builder
from .onnx_network import FloatArithmetic
from .quantise import LARGEST_BESIDE_8_BITS


class QdqArithmetic(FloatArithmetic):
    """Floating point, with QuantizeLinear and DequantizeLinear before convolutions, which a runtime takes for int8.

    Args:
        build: the graph.
        dtype: of counts: uint8 for OpenVINO, int8 for TensorRT.
        memory: potentials are kept from timestep to timestep.
    """

    def __init__(self, build: Builder, dtype: Any, memory: bool):
        super().__init__(build, np.float32, memory)
        self.count_type = np.dtype(dtype)

    def _rounded(self, x: str, step: float, dtype: Any) -> str:
        """A number as 8 bits and back."""
        how = self.build.constant(step, np.float32), self.build.constant(0, dtype)
        return self.build.op("DequantizeLinear", self.build.op("QuantizeLinear", x, *how), *how)

    def fire(self, h: str, neuron: Neuron) -> str:
        """Clip as floating point, which OpenVINO merges with the rounding to 8 bits."""
        # With a scale rounded before: else OpenVINO computes the scale and the 8 bits as one product.
        clipped = self.in_counts(h, neuron) if neuron.scale is None else super().fire(h, neuron)
        return self._rounded(clipped, neuron.step, self.count_type)

    def weigh(self, x: str, conv: Convolution, name: str, neuron: Neuron | None) -> str:
        """Weigh by int8 weights that are said as floating point."""
        if conv.more is not None:
            more = self.weigh(x, conv.more, f"{name}.more", neuron)
            return self.build.op("Add", more, self.weigh(x, replace(conv, more=None), name, neuron))
        if conv.scale is None:
            return super().weigh(x, conv, name, neuron)
        build = self.build
        if conv.rounded:
            x = self._rounded(x, 1.0, np.int8)
        # The weights' scale has the neurons' step in it, which what they take has as well.
        scale = conv.scale if conv.rounded or neuron is None else conv.scale / np.float32(neuron.step)
        weight = build.op(
            "DequantizeLinear",
            build.constant(conv.weight, np.int8, f"{name}.weight"),
            build.constant(scale, np.float32, f"{name}.scale"),
            build.constant(np.zeros(len(scale)), np.int8, "zero_points"),
            axis=0,
        )
        bias = [] if conv.bias is None else [build.constant(conv.bias * conv.scale, np.float32, f"{name}.bias")]
        return self.convolution(x, conv, weight, *bias)


class OperatorArithmetic(FloatArithmetic):
    """ONNX's operators on integers, the way that ONNX Runtime runs fast on CPUs.

    It multiplies unsigned numbers by signed ones, in this order, 2.5 times as fast as unsigned by unsigned and 10
    times as fast as signed by signed. QLinearConv, whose result has 8 bits, has what it takes on the left: uint8
    counts, int8 weights. It gives counts, where potentials are not needed. ConvInteger, whose result has 32 bits, has
    the weights on the left: int8 counts, and uint8 weights with zero point 128. It gives potentials.

    Args:
        build: the graph.
        memory: potentials are kept from timestep to timestep.
    """

    def __init__(self, build: Builder, memory: bool):
        super().__init__(build, np.float32, memory)
        self._casts: dict[tuple[str, Any], str] = {}

    def _as(self, counts: str, dtype: Any) -> str:
        """Counts as another type, once for all that take them."""
        if (counts, dtype) not in self._casts:
            self._casts[counts, dtype] = self.build.cast(counts, dtype)
        return self._casts[counts, dtype]

    def _clipped(self, counts: str, neuron: Neuron) -> str:
        limit = round(neuron.max_count / neuron.step)
        return self.build.op("Min", counts, self.build.constant(limit, np.uint8))

    def fire(self, h: str, neuron: Neuron) -> str:
        """Round half to even as a cast to uint8, which ends at 0, and clip there."""
        how = self.build.constant(neuron.step, np.float32), self.build.constant(0, np.uint8)
        h = h if neuron.scale is None else self.in_counts(h, neuron)
        return self._clipped(self.build.op("QuantizeLinear", h, *how), neuron)

    def reset(self, h: str, counts: str, neuron: Neuron) -> str:
        """Return V in float32."""
        return self.build.op("Sub", h, self.fallen(self._as(counts, np.float32), neuron))

    def fuses(self, neuron: Neuron) -> bool:
        """One timestep from rest, and one scale for what QLinearConv gives."""
        return not self.memory and neuron.one_scale

    def weigh_and_fire(self, x: str, unit: Unit, neuron: Neuron) -> str:
        """Weigh by QLinearConv, whose result is rounded as `fire` does it."""
        build, (*before, (name, conv)) = self.build, unit.named_convolutions()
        for inner, one in before:
            x = self.weigh(x, one, inner, unit.neuron)
        zero = 128 if conv.rounded else 0
        if conv.rounded:
            x = build.op("QuantizeLinear", x, build.constant(1.0, np.float32), build.constant(zero, np.uint8))
        assert conv.scale is not None
        taken = build.constant(1.0, np.float32), build.constant(zero, np.uint8)
        scale = 1.0 if neuron.scale is None else neuron.scale[0]
        given = build.constant(neuron.step * scale / neuron.gain, np.float32), build.constant(0, np.uint8)
        weight = (
            build.constant(conv.weight, np.int8, f"{name}.weight"),
            build.constant(conv.scale, np.float32, f"{name}.scale"),
            build.constant(np.zeros(len(conv.scale)), np.int8, "zero_points"),
        )
        bias = [] if conv.bias is None else [build.constant(conv.bias, np.int32, f"{name}.bias")]
        counts = self.convolution(x, conv, *taken, *weight, *given, *bias, kind="QLinearConv")
        return self._clipped(counts, neuron)

    def weigh(self, x: str, conv: Convolution, name: str, neuron: Neuron | None) -> str:
        """Weigh by ConvInteger; depthwise by Conv on the same integers, which is three times as fast."""
        build = self.build
        if conv.scale is None:
            return super().weigh(x, conv, name, neuron)
        if conv.groups > 1:
            weight = build.constant(conv.weight, np.float32, f"{name}.weight")
            sums = self.convolution(self._as(x, np.float32), conv, weight)
        else:
            if conv.rounded:
                x = build.op("QuantizeLinear", x, build.constant(1.0, np.float32), build.constant(0, np.int8))
            else:
                x = self._as(x, np.int8)
            # Unsigned weights are the fast ones; as small as they can be, for two products have to fit 16 bits.
            zero = LARGEST_BESIDE_8_BITS if np.abs(conv.weight).max() <= LARGEST_BESIDE_8_BITS else 128
            unsigned = build.constant(conv.weight.astype(np.int16) + zero, np.uint8, f"{name}.weight")
            zeros = build.constant(0, np.int8), build.constant(zero, np.uint8)
            sums = build.cast(self.convolution(x, conv, unsigned, *zeros, kind="ConvInteger"), np.float32)
        if conv.bias is not None:
            sums = build.op("Add", sums, build.constant(conv.bias.reshape(-1, 1, 1), np.float32, f"{name}.bias"))
        scale = build.constant(conv.scale.reshape(-1, 1, 1), np.float32, f"{name}.scale")
        return build.op("Mul", sums, scale)
