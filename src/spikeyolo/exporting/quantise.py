"""int8: weights of 8 bits for each output channel, or all of a weight in parts of 8 bits.

Spike counts have 8 bits without being rounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..errors import ConfigError
from ..model.forms.form import Form
from .graph import Convolution, Graph, Unit

Ranges = Mapping[str, tuple[np.ndarray, np.ndarray]]
"""For units the lowest and highest value of each channel that their last convolution takes; see `calibration`."""

LARGEST = 127
LARGEST_BESIDE_8_BITS = 63
"""Of weights of numbers above `FEW`: a processor without int8 instructions of its own adds two products in 16 bits."""
FEW = 64

BALANCE = 0.5
"""How far channels of different ranges are brought to the same one, 0..1, which the weights behind pay for.

Of the noise in what a unit gives, with random weights: 34.5 dB at 0, 38.2 at 0.5, 32.5 at 1, and 40.1 from rounded
weights alone.
"""


def quantise(graph: Graph, ranges: Ranges | None = None) -> Graph:
    """Return the graph with int8 weights wherever counts are weighed, and int32 biases, in units of their scales.

    The first unit, which sees an image, stays floating point, and so do the second and third convolution of a chain,
    which see no counts; the third one is int8 as well if the range of what it takes is known.

    Args:
        graph: of a folded network in floating point.
        ranges: of some chains of three.

    Raises:
        ConfigError: the integer form, which has int8 weights of its own.
    """
    if graph.form is Form.INTEGER:
        raise ConfigError("precision: the integer form has int8 weights of its own; take integer-onnx")
    ranges = ranges or {}
    nodes = (_unit(node, ranges.get(node.name)) if isinstance(node, Unit) else node for node in graph.nodes)
    return replace(graph, nodes=tuple(nodes))


def _unit(unit: Unit, bounds: tuple[np.ndarray, np.ndarray] | None) -> Unit:
    if unit.neuron is None:
        return unit
    first, *rest = unit.convolutions
    if bounds is not None:
        *before, middle, last = rest
        middle, last = _rescaled(middle, last, *bounds)
        rest = [*before, middle, replace(round_weights(last, most=LARGEST_BESIDE_8_BITS), rounded=True)]
    highest = unit.neuron.max_count / unit.neuron.step
    first = round_weights(first, unit.neuron.step, LARGEST if highest <= FEW else LARGEST_BESIDE_8_BITS)
    return replace(unit, convolutions=(first, *rest))


def round_weights(conv: Convolution, step: float = 1.0, most: int = LARGEST) -> Convolution:
    """The convolution with int8 weights of -most..most, where 1 stands for `step` in what it takes."""
    largest = np.abs(conv.weight).max(axis=(1, 2, 3)).astype(np.float64) / most
    if conv.bias is not None:
        # A bias that dwarfs its weights: its sum still has to be exact as a float32.
        largest = np.maximum(largest, np.abs(conv.bias) / step / 2**23)
    scale = np.where(largest > 0, largest, 1.0)
    weight = np.rint(conv.weight / scale.reshape(-1, 1, 1, 1)).astype(np.int8)
    bias = None if conv.bias is None else np.rint(conv.bias / (scale * step)).astype(np.int32)
    return replace(conv, weight=weight, bias=bias, scale=(scale * step).astype(np.float32))


def in_parts(graph: Graph) -> Graph:
    """Return the graph with the weights of counts in int8 parts, whose sums are those of the whole weights.

    Processors with int8 instructions take four times as many weights at once, so that two or three parts are quicker
    than one float32. Depthwise weights stay whole: they are few.

    Args:
        graph: of the spike-driven form, on whose grid no sum is rounded.
    """
    nodes = (_in_parts(node) if isinstance(node, Unit) and node.neuron is not None else node for node in graph.nodes)
    return replace(graph, nodes=tuple(nodes))


def _in_parts(unit: Unit) -> Unit:
    (conv,) = unit.convolutions
    if conv.groups > 1:
        return unit
    assert conv.bias is not None
    step = _step(np.column_stack([conv.weight.reshape(len(conv.weight), -1), conv.bias]))
    rest = (conv.weight / step.reshape(-1, 1, 1, 1)).astype(np.int64)
    bias: np.ndarray | None = (conv.bias / step).astype(np.int32)
    done: Convolution | None = None
    while True:
        low = (rest + 128) % 256 - 128  # -128..127
        part = replace(conv, weight=low.astype(np.int8), bias=bias, scale=step.astype(np.float32), more=done)
        rest, step, bias, done = (rest - low) // 256, step * 256, None, part
        if not rest.any():
            return replace(unit, convolutions=(part,))


def _step(values: np.ndarray) -> np.ndarray:
    """For each row the largest power of two of which all its float32 numbers are multiples."""
    mantissa, exponent = np.frexp(values.astype(np.float64))
    whole = np.abs(mantissa * 2**24).astype(np.int64)
    lowest = np.where(whole > 0, whole & -whole, 1 << 24)
    power = np.where(whole > 0, exponent - 24 + np.log2(lowest), np.inf).min(axis=1)
    return np.exp2(np.where(np.isinf(power), 0.0, power))


def _rescaled(
    middle: Convolution, last: Convolution, lowest: np.ndarray, highest: np.ndarray
) -> tuple[Convolution, Convolution]:
    """The same two convolutions with values of -127..127 between them.

    The last one is 1x1 without padding, so a value in the middle of each channel's range can be taken off before it.
    """
    assert last.padding == (0, 0)
    centre, half = (highest + lowest) / 2, np.maximum((highest - lowest) / 2, 1e-6)
    step = half**BALANCE
    step *= (half / step).max() / 127
    bias = 0 if middle.bias is None else middle.bias
    before = replace(
        middle,
        weight=(middle.weight / step.reshape(-1, 1, 1, 1)).astype(np.float32),
        bias=((bias - centre) / step).astype(np.float32),
    )
    moved = last.weight[:, :, 0, 0].astype(np.float64) @ centre + (0 if last.bias is None else last.bias)
    weight = (last.weight * step.reshape(1, -1, 1, 1)).astype(np.float32)
    return before, replace(last, weight=weight, bias=moved.astype(np.float32))
