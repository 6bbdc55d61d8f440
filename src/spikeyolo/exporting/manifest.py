"""What the manifest of a chip package says: layers, their order and shapes, number formats, bounds."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from ..errors import ConfigError
from ..model.detector import SpikeYOLO
from ..model.forms.exact import MAX_INPUT
from ..model.forms.integer import LIMIT, Bounds, bounds, thresholds
from ..model.inputs import Input, to_metadata
from ..spiking import SlotCode
from ..structures import REG_MAX, STRIDES
from ..version import __version__
from .describe import describe
from .graph import INPUT, Add, Concatenate, Graph, MaxPool, Node, Shape, Unit, Upsample, shapes

FORMAT = "spikeyolo-chip-package"
VERSION = 1
SCHEMA = "manifest.schema.json"

KINDS: dict[type[Node], str] = {
    Unit: "convolution",
    Add: "add",
    Concatenate: "concatenate",
    Upsample: "upsample",
    MaxPool: "max_pool",
}

FORMATS = {
    "levels": "int16, -255..255",
    "counts": "uint8, 0..max_count",
    "weights": "int8, -127..127",
    "shifts": "int8, 0..31",
    "biases": "int32",
    "sums": "int32",
    "potentials": "int32, in units of 2**-fraction_bits of the threshold",
    "logits": "int64, sums of potentials over the timesteps",
}

TENSORS = {
    "weights.safetensors": {
        "<layer>.weight": "int8 (out, in / groups, rows, columns)",
        "<layer>.shift": "int8 (out,): left shift of the sums of weights",
        "<layer>.bias": "int32 (out,): added once a timestep, after the shift",
        "thresholds": "int32 (max_count,), rising: the spike count is how many of them the potential reaches",
        "<layer>.thresholds": "int32 (max_count, scales): in place of those, of a layer that says `scales`",
        "<layer>.reset": "int32 (scales,): in place of the rule's; 1 for all channels or one for each",
    },
    "golden.safetensors": {
        "input": "int16 (T, B, C, H, W): the levels; a still image stands there T times",
        "<layer>.counts": "uint8 (T, B, C, H, W): what enters the convolution",
        "<layer>.potentials": "int32 (T, B, C, H, W): of its neurons after the reset of each timestep",
        "<layer>.out": "int32 (T, B, C, H, W): what the layer gives",
        "<logits>": "int64 (B, C, H, W): boxes then classes, summed over the timesteps",
    },
}


def proven_bounds(network: SpikeYOLO) -> dict[str, Bounds]:
    """Return the bounds of each unit of an integer network.

    Raises:
        ConfigError: an integer could leave 32 bits, as in a file of weights that was edited.
    """
    found = bounds(network, network.config.in_channels)
    for name, bound in found.items():
        if not bound.largest < LIMIT:
            raise ConfigError(f"integer: sums of {name} can leave 32 bits; export the trained network instead")
    return found


def _named(shape: Shape) -> dict[str, int]:
    return dict(zip(("channels", "rows", "columns"), shape, strict=True))


def _layer(node: Node, known: Mapping[str, Shape], bound: Mapping[str, Bounds]) -> dict[str, Any]:
    """The entry of one node."""
    values: dict[str, Any] = {"name": node.name, "kind": KINDS[type(node)], "sources": list(node.sources)}
    if not isinstance(node, Concatenate):
        values["in"] = _named(known[node.sources[0]])
    values["out"] = _named(known[node.name])
    match node:
        case Unit(neuron=neuron, convolutions=(conv,)):
            found = bound[node.name]
            values |= {
                "sees": "levels" if neuron is None else "counts",
                "kernel": list(conv.weight.shape[2:]),
                "stride": list(conv.stride),
                "padding": list(conv.padding),
                "groups": conv.groups,
                "bounds": {
                    "sums": math.ceil(found.sums),
                    "potentials": math.ceil(found.potentials),
                    "outputs": math.ceil(found.outputs),
                },
            }
            if neuron is not None and neuron.scale is not None:
                values["scales"] = len(neuron.scale)
        case MaxPool(kernel_size=size):
            values |= {"kernel": [size, size], "stride": [1, 1], "padding": [size // 2, size // 2]}
    return values


def _neuron(graph: Graph, code: SlotCode) -> dict[str, Any]:
    """The rule that all neurons of a network follow."""
    rules = {(neuron.max_count, neuron.shifts) for neuron in graph.neurons}
    if len(rules) > 1:
        raise ConfigError("integer: layers of neurons with rules of their own; the package holds one for all")
    ((max_count, shifts),) = rules
    assert shifts is not None
    assert graph.fraction_bits is not None
    gain_shift, leak_shift = shifts
    return {
        "max_count": max_count,
        "thresholds": thresholds(max_count, graph.fraction_bits),
        "reset": 2**graph.fraction_bits,
        "gain_shift": gain_shift,
        "leak_shift": leak_shift,
        "slot_code": {"name": str(code), "weights": list(code.weights(max_count))},
    }


def make_manifest(
    network: SpikeYOLO,
    seen: Input | None,
    graph: Graph,
    bound: Mapping[str, Bounds],
    size_hw: tuple[int, int],
    golden: Mapping[str, int],
    sha256: Mapping[str, str],
) -> dict[str, Any]:
    """Return the manifest, plain values for JSON.

    Args:
        network: in the integer form.
        seen: its input; None: not known.
        graph: of the network.
        bound: its `proven_bounds`.
        size_hw: rows and columns of the input.
        golden: images, rows and columns of the golden values.
        sha256: of the other files.
    """
    config = network.config
    known = shapes(graph, (config.in_channels, *size_hw))
    artefact, logits = None, []
    if seen is not None:
        own = describe(network, seen, size_hw=size_hw, precision="integer", outputs="logits", batch=None)
        artefact = json.loads(own.to_json())
    for stride, (boxes, classes) in zip(STRIDES, graph.levels, strict=True):
        _, rows, columns = known[boxes]
        shape = 4 * REG_MAX + config.num_classes, rows, columns
        logits.append(
            {"name": f"logits{stride}", "stride": stride, "boxes": boxes, "classes": classes, **_named(shape)}
        )
    return {
        "format": FORMAT,
        "version": VERSION,
        "spikeyolo": __version__,
        "names": list(network.names),
        "input": None if seen is None else to_metadata(seen),
        "config": config.to_dict(),
        "timesteps": config.timesteps,
        "fraction_bits": graph.fraction_bits,
        "levels": {"to_one": config.input_levels, "lowest": -MAX_INPUT, "highest": MAX_INPUT},
        "formats": FORMATS,
        "neuron": _neuron(graph, network.slot_code),
        "in": _named(known[INPUT]),
        "layers": [_layer(node, known, bound) for node in graph.nodes],
        "logits": logits,
        "tensors": TENSORS,
        "golden": dict(golden),
        "artefact": artefact,
        "sha256": dict(sha256),
    }
