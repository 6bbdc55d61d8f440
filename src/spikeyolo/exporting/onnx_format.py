"""ONNX: the network as one graph for ONNX Runtime, TensorRT and others, with what is before and after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..artefact import BOXES, DETECTIONS, IMAGES, KEY, LOGITS, Artefact
from ..errors import ConfigError
from ..model.forms.exact import MAX_INPUT
from ..model.forms.form import Form
from ..model.inputs import from_metadata
from ..structures import REG_MAX, STRIDES
from .configs import GraphConfig, IntegerOnnxConfig, OnnxConfig, OpenVinoConfig
from .graph import Graph, shapes
from .onnx_builder import Builder
from .onnx_decode import write_boxes, write_detections
from .onnx_int8 import OperatorArithmetic, QdqArithmetic
from .onnx_integer import IntegerArithmetic
from .onnx_network import Arithmetic, FloatArithmetic, NetworkWriter
from .quantise import Ranges, in_parts, quantise

BATCH, ROWS, COLUMNS = "batch", "rows", "columns"
"""Names of dimensions that are free."""

Further = Callable[[Builder, Mapping[str, str]], None]
"""Adds outputs to a graph, which has the names of the counts that feed each unit."""


def build_onnx(
    graph: Graph,
    config: GraphConfig,
    artefact: Artefact,
    ranges: Ranges | None = None,
    further: Further | None = None,
) -> Any:
    """Return the ONNX model of a floating point graph.

    Args:
        graph: of a folded network.
        config: how it is written; of an `OpenVinoConfig`, what OpenVINO reads best.
        artefact: what it says of itself.
        ranges: of int8: what is known of the values inside chains; see `calibration`.
        further: adds outputs of its own.

    Raises:
        ConfigError: choices that do not fit the network.
    """
    build = Builder()
    memory = config.streaming or artefact.timesteps > 1
    dtype = np.float16 if config.precision == "float16" else np.float32
    arithmetic = FloatArithmetic(build, dtype, memory)
    if config.precision == "int8":
        graph = quantise(graph, ranges)
        if isinstance(config, OpenVinoConfig):
            arithmetic = QdqArithmetic(build, np.uint8, memory)
        elif isinstance(config, OnnxConfig) and config.signed:
            arithmetic = QdqArithmetic(build, np.int8, memory)
        else:
            arithmetic = OperatorArithmetic(build, memory)
    elif isinstance(config, OpenVinoConfig) and graph.form is Form.SPIKE_DRIVEN:
        graph, arithmetic = in_parts(graph), QdqArithmetic(build, np.uint8, memory)
    fed = write_graph(build, graph, arithmetic, config, artefact, dtype)
    if further is not None:
        further(build, fed)
    return build.model("SpikeYOLO", {KEY: artefact.to_json()}, artefact.spikeyolo)


def build_integer_onnx(graph: Graph, config: IntegerOnnxConfig, artefact: Artefact) -> Any:
    """Return the ONNX model of an integer graph, of integer operators alone up to the logits."""
    assert graph.fraction_bits is not None
    build, levels = Builder(), artefact.config["input_levels"]
    in_bytes = from_metadata(artefact.input).in_bytes and levels == MAX_INPUT
    arithmetic = IntegerArithmetic(build, graph.fraction_bits, levels, in_bytes)
    around = GraphConfig(outputs=config.outputs, preprocessing=in_bytes, batch=config.batch, streaming=config.streaming)
    write_graph(build, graph, arithmetic, around, artefact, np.uint8 if in_bytes else np.float32)
    return build.model("SpikeYOLO", {KEY: artefact.to_json()}, artefact.spikeyolo)


def write_graph(
    build: Builder, graph: Graph, arithmetic: Arithmetic, config: GraphConfig, artefact: Artefact, dtype: Any
) -> dict[str, str]:
    """Add everything from the input to the outputs; return the names of the counts that feed each unit."""
    still = from_metadata(artefact.input).still
    channels = next(graph.units).convolutions[0].weight.shape[1]
    images = _input(build, config, artefact, channels, dtype, graph.input_levels or 1)
    potentials = None
    if config.streaming:
        if artefact.size_hw is None:
            raise ConfigError("streaming: membrane potentials need a fixed size")
        every = shapes(graph, (channels, *artefact.size_hw))
        sources = {unit.neuron.name: unit.sources[0] for unit in graph.units if unit.neuron is not None}
        potentials = {name: [config.batch, *every[source]] for name, source in sources.items()}
    writer = NetworkWriter(build, graph, arithmetic, artefact.timesteps, still, potentials)
    logits = writer.write(images)
    _outputs(build, logits, config, artefact)
    return writer.fed


def _input(build: Builder, config: GraphConfig, artefact: Artefact, channels: int, dtype: Any, levels: int) -> str:
    """The input times `levels`, as (T * B or B, C, H, W) of the type that flows."""
    batch: int | str = BATCH if artefact.batch is None else artefact.batch
    size: tuple[int | str, ...] = artefact.size_hw or (ROWS, COLUMNS)
    seen = from_metadata(artefact.input)
    shape = [batch, channels, *size] if seen.still else [artefact.timesteps, batch, channels, *size]
    as_bytes = config.preprocessing and seen.in_bytes
    x = build.input(IMAGES, np.uint8 if as_bytes else np.float32, shape)
    if as_bytes and dtype != np.uint8:
        x = build.cast(x, np.float32)
        if levels != MAX_INPUT:
            x = build.op("Div", x, build.constant(MAX_INPUT / levels, np.float32))
    elif levels != 1:
        x = build.op("Mul", x, build.constant(levels, np.float32))
    if dtype == np.float16:
        x = build.cast(x, dtype)
    if seen.still:
        return x
    if artefact.size_hw is None:
        end = build.op("Shape", x, start=2)
        return build.op("Reshape", x, build.op("Concat", build.integers(-1), end, axis=0))
    return build.op("Reshape", x, build.integers(-1, channels, *artefact.size_hw))


def _outputs(build: Builder, logits: list[str], config: GraphConfig, artefact: Artefact) -> None:
    classes, size = len(artefact.names), artefact.size_hw
    batch: int | str = BATCH if artefact.batch is None else artefact.batch
    if config.outputs == "logits":
        for name, level, stride in zip(LOGITS, logits, STRIDES, strict=True):
            sides = [None, None] if size is None else [side // stride for side in size]
            build.output(name, level, np.float32, [batch, 4 * REG_MAX + classes, *sides])
        return
    boxes, scores = write_boxes(build, logits, classes, size)
    if config.outputs == "boxes":
        points = None if size is None else sum(size[0] // s * (size[1] // s) for s in STRIDES)
        for name, value, width in zip(BOXES, (boxes, scores), (4, classes), strict=True):
            build.output(name, value, np.float32, [batch, points, width])
        return
    found = write_detections(build, boxes, scores, classes, config.thresholds)
    for name, value, dtype in zip(DETECTIONS, found, (np.float32, np.float32, np.int64, np.int64), strict=True):
        build.output(name, value, dtype, ["found", 4] if name == "boxes" else ["found"])
