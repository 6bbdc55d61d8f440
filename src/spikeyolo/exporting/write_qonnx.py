"""The format `qonnx`: the integer network at T = 1 with MultiThreshold nodes, for FINN and its relatives.

QONNX holds integers in float32, so no number may reach 2**24: there are as many fraction bits as leave every sum below
that, by proof. The graph takes levels and gives the logits of that integer network in units of 2**-fraction_bits. A
count is the number of thresholds that its potential reaches; ties are in the thresholds (`integer.thresholds`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..artefact import IMAGES, KEY, LOGITS, Artefact
from ..errors import ConfigError
from ..files import write_whole
from ..model.detector import SpikeYOLO
from ..model.forms.convert import converted
from ..model.forms.form import Form
from ..model.forms.integer import MAX_FRACTION_BITS, MIN_FRACTION_BITS, largest_values, thresholds
from ..model.inputs import from_metadata
from ..structures import REG_MAX, STRIDES
from .configs import GraphConfig, QonnxConfig
from .graph import Graph, Unit, read_graph
from .job import Job
from .neurons import Neuron
from .onnx_builder import Builder
from .onnx_network import Arithmetic, NetworkWriter

DOMAIN = "qonnx.custom_op.general"
EXACT = 2**24
"""To which float32 counts."""


class QonnxArithmetic(Arithmetic):
    """Integers in float32, for one timestep from rest.

    Args:
        build: the graph.
        fraction_bits: of potentials.
    """

    def __init__(self, build: Builder, fraction_bits: int):
        super().__init__(build)
        self.fraction_bits = fraction_bits
        self.types: dict[str, str] = {}

    def _typed(self, name: str, kind: str) -> str:
        self.types[name] = kind
        return name

    def convolve(self, x: str, unit: Unit) -> str:
        """Weigh counts, or the levels of the input; shift; add the bias."""
        build, (conv,) = self.build, unit.convolutions
        assert conv.bias is not None
        assert conv.shift is not None
        weight = self._typed(build.constant(conv.weight, np.float32, f"{unit.name}.weight"), "INT8")
        sums = self._typed(self.convolution(x, conv, weight), "INT32")
        if conv.shift.any():
            scale = build.constant(np.exp2(conv.shift).reshape(1, -1, 1, 1), np.float32, f"{unit.name}.shift")
            sums = self._typed(build.op("Mul", sums, self._typed(scale, "UINT32")), "INT32")
        bias = build.constant(conv.bias.reshape(1, -1, 1, 1), np.float32, f"{unit.name}.bias")
        return self._typed(build.op("Add", sums, self._typed(bias, "INT32"), name=unit.name), "INT32")

    def charge(self, current: str, v: str | None, neuron: Neuron) -> str:
        """Return the input: the gain is in the thresholds."""
        assert v is None
        return current

    def fire(self, h: str, neuron: Neuron) -> str:
        """Count the thresholds that are reached, of the potential before the gain's shift."""
        assert neuron.shifts is not None
        # floor(x / 2**g) >= t where x >= t * 2**g.
        least = [thresholds(neuron.max_count, self.fraction_bits)]  # (1 or channels, D)
        if neuron.scale is not None:
            least = neuron.thresholds[..., 0, 0].T
        values = np.array(least) * 2 ** neuron.shifts[0]
        reached = self._typed(self.build.constant(values, np.float32, "thresholds"), "INT32")
        counts = self.build.op(
            "MultiThreshold", h, reached, domain=DOMAIN, out_dtype=_unsigned(neuron.max_count), data_layout="NCHW"
        )
        return self._typed(counts, _unsigned(neuron.max_count))

    def reset(self, h: str, counts: str, neuron: Neuron) -> str:
        """There is no second timestep."""
        raise AssertionError

    def pool_potentials(self, x: str, kernel_size: int) -> str:
        """Pool by ONNX's operator."""
        return self.pool(x, kernel_size)

    def logits(self, levels: list[str], timesteps: int) -> str:
        """Return boxes and classes joined, still integers."""
        return self._typed(self.build.op("Concat", *levels, axis=1), "INT32")


def _unsigned(most: int) -> str:
    return f"UINT{most.bit_length()}"


def small_integer(model: SpikeYOLO) -> SpikeYOLO:
    """Return the integer network with as many fraction bits as keep every number below 2**24, by proof.

    Raises:
        ConfigError: none do, or the model is an integer one already, with more.
    """
    if model.form is Form.INTEGER:
        if not _is_small(model):
            raise ConfigError(
                f"qonnx: with {model.fraction_bits} fraction bits sums reach 2**24, which float32 cannot hold; "
                "start from the trained network, of which a smaller one is made"
            )
        return model
    for bits in range(MAX_FRACTION_BITS, MIN_FRACTION_BITS - 1, -1):
        if _is_small(found := converted(model, Form.INTEGER, bits)):
            return found
    raise ConfigError(f"qonnx: these weights need more than 24 bits even with {MIN_FRACTION_BITS} fraction bits")


def _is_small(model: SpikeYOLO) -> bool:
    return max(largest_values(model, model.config.in_channels).values()) < EXACT


def build_qonnx(graph: Graph, artefact: Artefact) -> Any:
    """Return the model; its input are levels, its outputs integer logits."""
    assert graph.fraction_bits is not None
    assert artefact.size_hw is not None
    build = Builder()
    arithmetic = QonnxArithmetic(build, graph.fraction_bits)
    channels = next(graph.units).convolutions[0].weight.shape[1]
    images = build.input(IMAGES, np.float32, [1, channels, *artefact.size_hw])
    arithmetic.types[images] = "UINT8" if from_metadata(artefact.input).in_bytes else "INT16"
    levels = NetworkWriter(build, graph, arithmetic, 1, repeat=True).write(images)
    for name, level, stride in zip(LOGITS, levels, STRIDES, strict=True):
        size = [side // stride for side in artefact.size_hw]
        build.output(name, level, np.float32, [1, 4 * REG_MAX + len(artefact.names), *size])
        arithmetic.types[name] = "INT32"
    model = build.model("SpikeYOLO", {KEY: artefact.to_json()}, artefact.spikeyolo, [(DOMAIN, 1)])
    for name, kind in arithmetic.types.items():
        note = model.graph.quantization_annotation.add(tensor_name=name)
        note.quant_parameter_tensor_names.add(key="finn_datatype", value=kind)
    _add_shapes(build, model)
    return model


def _add_shapes(build: Builder, model: Any) -> None:
    """Say the shape of every value, which QONNX asks for: MultiThreshold keeps that of its input."""
    plain = type(model)()
    plain.CopyFrom(model)
    for node in plain.graph.node:
        if node.op_type == "MultiThreshold":
            node.CopyFrom(build.onnx.helper.make_node("Identity", node.input[:1], node.output))
    model.graph.value_info.extend(build.onnx.shape_inference.infer_shapes(plain, strict_mode=True).graph.value_info)


def write(job: Job, config: QonnxConfig, path: Path) -> SpikeYOLO:
    """Write the file; return the integer network that it equals."""
    if job.model.config.timesteps != 1:
        raise ConfigError(
            f"qonnx: the network has timesteps={job.model.config.timesteps}; MultiThreshold has no memory, T must be 1"
        )
    model = small_integer(job.model).to_integer(config.slot_code)
    artefact = job.described(model, GraphConfig(outputs="logits"), "integer")
    write_whole(path, build_qonnx(read_graph(model), artefact).SerializeToString())
    return model
