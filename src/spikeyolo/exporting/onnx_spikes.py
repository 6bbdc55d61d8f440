"""Spikes counted inside an ONNX graph: an output of a network that says how much it fires on the image at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..artefact import SPIKES
from ..metering.counting import reach
from ..spiking import SlotCode
from .graph import Convolution, Graph, Shape, shapes
from .onnx_builder import Builder
from .onnx_format import Further

CODES = tuple(SlotCode)


def spike_output(dense: Graph, layers: Sequence[str], into: Shape, max_count: int) -> Further:
    """Return what adds the output `SPIKES`: (layers, slot codes, 2) float32.

    The first number is the spikes that feed a layer, the second the same times the positions that each reaches; at each
    of these a spike causes as many additions as `fan` says.

    Args:
        dense: the graph of one convolution a unit, as in which spikes are counted, whatever form is written.
        layers: names of its units that spikes feed.
        into: channels, rows and columns of the input.
        max_count: D.
    """
    units = {unit.name: unit for unit in dense.units}
    sizes = shapes(dense, into)

    def add(build: Builder, fed: Mapping[str, str]) -> None:
        maps: dict[tuple[str, SlotCode], str] = {}
        found = []
        for name in layers:
            unit = units[name]
            conv = unit.convolutions[0]
            rows, columns = (_reach(conv, axis, sizes[unit.sources[0]], sizes[name]) for axis in (0, 1))
            for code in CODES:
                key = fed[name], code
                if key not in maps:
                    maps[key] = _spike_map(build, *key, max_count)
                across = build.op("MatMul", maps[key], build.constant(columns[:, None], np.float32))
                found.append(build.op("ReduceSum", maps[key]))
                found.append(build.op("MatMul", build.constant(rows[None], np.float32), across))
        flat = build.op("Concat", *found, axis=1)
        shape = [len(layers), len(CODES), 2]
        build.output(SPIKES, build.op("Reshape", flat, build.integers(*shape)), np.float32, shape)

    return add


def fan(dense: Graph, layer: str) -> int:
    """Return how many additions a spike causes at each position that it reaches."""
    (conv,) = next(unit.convolutions for unit in dense.units if unit.name == layer)
    return len(conv.weight) // conv.groups


def _reach(conv: Convolution, axis: int, before: Shape, after: Shape) -> np.ndarray:
    kernel = conv.weight.shape[2 + axis]
    return reach(kernel, conv.stride[axis], conv.padding[axis], before[1 + axis], after[1 + axis]).numpy()


def _spike_map(build: Builder, counts: str, code: SlotCode, max_count: int) -> str:
    """Spikes of all timesteps and channels at each position, (rows, columns), of counts (T * B, C, rows, columns).

    A count has as many binary digits 1 as it exceeds the sum of its halves, quarters, ..., rounded down (Legendre);
    that takes a quarter of the time of a table.
    """
    if code is SlotCode.BINARY:
        shares = [build.constant(0.5**digit, np.float32) for digit in range(1, max_count.bit_length())]
        halves = [build.op("Floor", build.op("Mul", counts, share)) for share in shares]
        counts = build.op("Sub", counts, build.op("Sum", *halves)) if halves else counts
    return build.op("ReduceSum", counts, build.integers(0, 1), keepdims=0)
