"""NIR (Neuromorphic Intermediate Representation): the backbone, which is all of the network that NIR can hold.

NIR adds up the edges that lead into a node, so a shortcut is several edges. It has no max-pool, upsampling,
concatenation or integer neuron: the graph ends with the spike counts that enter the pooling pyramid. I-LIF from rest is
written as IF, read as sinabs reads it: floor(v / threshold) spikes of one timestep. The half that makes rounding of
this is in the biases; where layers have learned scales, which are their thresholds, each takes its own half from a
convolution of zeros with a bias.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..files import whole_path
from ..limits import MAX_SIDE, check_range
from ..model.detector import SpikeYOLO
from ..model.forms.convert import converted
from ..model.forms.form import Form
from ..optional import optional_module
from ..structures import STRIDES
from ..version import __version__
from .configs import NirConfig
from .graph import INPUT, Add, Convolution, Graph, Shape, read_graph, shapes

ENDS_AT = "backbone.sppf.reduce"
"""The unit whose spike counts are the output."""

OUTPUT = "output"

LIMITS = (
    "The backbone alone: NIR has no max-pool, upsampling or concatenation. "
    "The output are the spike counts that enter the pooling pyramid. "
    "One timestep from rest: NIR cannot say what is left of a potential after several spikes. "
    "IF is to be read as floor(v / v_threshold) spikes for v > 0; NIR's own definition has one spike at most, as the "
    "network if max_count is 1. "
    "There is no upper limit: above max_count spikes the trained network gives max_count. "
    "Exact halves are rounded up, in the trained network to the even count."
)


def write_nir(model: SpikeYOLO, path: Path, config: NirConfig, size_hw: tuple[int, int]) -> None:
    """Write the backbone as a NIR file (HDF5); see `LIMITS`, which stand in its metadata.

    Args:
        model: of floating point, in any form that can be folded; not changed.
        path: of the file.
        config: how it is folded.
        size_hw: rows and columns of images.

    Raises:
        ConfigError: an ANN twin, a network of several timesteps or of integers, or a size that is no multiple of 32.
        MissingPackage: nir is not installed.
        WriteError: the file cannot be written.
    """
    nir = optional_module("nir", "export")
    _check(model, size_hw)
    folded = converted(model, Form.DENSE if config.dense else Form.SEPARABLE)
    graph = read_graph(folded)
    if len({neuron.gain for neuron in graph.neurons}) > 1:
        raise ConfigError("nir: layers of neurons have gains of their own, and its graph holds one; export to onnx")
    known = shapes(graph, (model.config.in_channels, *size_hw))
    nodes, edges = _nodes(nir, graph, known, config.grouped)
    metadata = {
        "spikeyolo": __version__,
        "limits": LIMITS,
        "max_count": model.config.max_count,
        "config": json.dumps(model.config.to_dict()),
        "axes": "channels, rows, columns; kernels: rows, columns",
    }
    with whole_path(path) as partial:
        nir.write(partial, nir.NIRGraph(nodes, edges, metadata, type_check=not config.grouped))


def _check(model: SpikeYOLO, size_hw: tuple[int, int]) -> None:
    config = model.config
    if config.neuron == "relu":
        raise ConfigError("nir: a network with neuron='relu' has no spikes; export it to onnx")
    if config.timesteps != 1:
        raise ConfigError(
            f"timesteps: NIR has no neuron that keeps what is left after several spikes, the network has "
            f"{config.timesteps} timesteps; export one of a single timestep, or to integer"
        )
    if model.form is Form.INTEGER:
        raise ConfigError("nir: the network is of integers; export the trained one, or to integer")
    for side in size_hw:
        if side % STRIDES[-1]:
            raise ConfigError(f"imgsz: {side} is not a multiple of {STRIDES[-1]}")
        check_range("imgsz", side, STRIDES[-1], MAX_SIDE)


def _nodes(
    nir: Any, graph: Graph, known: dict[str, Shape], grouped: bool
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The nodes and edges of NIR: for each unit `NAME.neuron` and its convolutions, of which the last is `NAME`."""
    adds = {node.name: node.sources for node in graph.nodes if isinstance(node, Add)}
    joining = {second for _, second in adds.values()}
    gain = graph.neurons[0].gain  # of all; scaling what they take makes it 1, which sinabs takes it for

    def parts(name: str) -> list[str]:
        """The units whose results add up to a node's."""
        return [part for source in adds[name] for part in parts(source)] if name in adds else [name]

    nodes: dict[str, Any] = {INPUT: nir.Input({"input": np.array(known[INPUT])})}
    edges = []
    for unit in graph.units:
        (source,) = unit.sources
        entering = parts(source)
        if unit.neuron is not None:
            neuron, one = f"{unit.name}.neuron", np.ones(known[source], np.float32)
            threshold = one
            if unit.neuron.scale is not None:
                threshold = (one * unit.neuron.reset).astype(np.float32)
                nodes[f"{neuron}.half"] = _constant(nir, threshold / 2, grouped)
                edges.append((entering[0], f"{neuron}.half"))
                entering = [*entering, f"{neuron}.half"]
            nodes[neuron] = nir.IF(r=one, v_threshold=threshold, v_reset=np.zeros_like(one))
            edges += [(part, neuron) for part in entering]
            entering = [neuron]
        if unit.name == ENDS_AT:
            nodes[OUTPUT] = nir.Output({"output": np.array(known[source])})
            return nodes, [*edges, (entering[0], OUTPUT)]
        _, *sides = known[source]
        for left, conv in zip(reversed(range(len(unit.convolutions))), unit.convolutions, strict=True):
            name = f"{unit.name}.before{left}" if left else unit.name
            # Each sum that neurons take begins with one unit that joins no other: it brings the half.
            half = 0.5 if not left and unit.name not in joining and graph.neurons[0].scale is None else 0.0
            conv = conv if grouped else _full(conv)
            nodes[name] = _convolution(nir, conv, sides, 1.0 if left else gain, half)
            edges += [(part, name) for part in entering]
            entering, (_, *sides) = [name], map(int, nodes[name].output_type["output"])
    raise AssertionError(f"no {ENDS_AT}")


def _constant(nir: Any, values: np.ndarray, grouped: bool) -> Any:
    """A convolution that gives the same, one value a channel of (C, H, W), whatever it takes."""
    channels, *sides = values.shape
    zeros = np.zeros((channels, 1, 1, 1), np.float32)
    conv = Convolution(zeros, values[:, 0, 0], (1, 1), (0, 0), channels)
    return _convolution(nir, conv if grouped else _full(conv), sides, 1.0, 0.0)


def _full(conv: Convolution) -> Convolution:
    """A depthwise convolution with zeros for the other channels."""
    if conv.groups == 1:
        return conv
    channels = len(conv.weight)
    weight = np.zeros((channels, channels, *conv.weight.shape[2:]), conv.weight.dtype)
    weight[range(channels), range(channels)] = conv.weight[:, 0]
    return replace(conv, weight=weight, groups=1)


def _convolution(nir: Any, conv: Convolution, sides: list[int], scale: float, more: float) -> Any:
    """A convolution whose results are scaled and raised."""
    bias = np.zeros(len(conv.weight), conv.weight.dtype) if conv.bias is None else conv.bias
    return nir.Conv2d(
        input_shape=tuple(sides),
        weight=conv.weight * scale,
        stride=conv.stride,
        padding=conv.padding,
        dilation=(1, 1),
        groups=conv.groups,
        bias=bias * scale + more,
    )
