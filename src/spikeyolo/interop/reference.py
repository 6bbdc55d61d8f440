"""Published checkpoints: the network they hold under our names, and loading any file of weights."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from ..errors import CheckpointError, ConfigError, one_line, quote
from ..events import EventInput
from ..hub import is_address
from ..model.blocks import BATCH_NORM_EPS
from ..model.detector import SpikeYOLO
from ..model.presets import NetworkConfig
from ..spiking import FLAVOURS
from ..structures import REG_MAX
from .content import Node, StoredTensor
from .names import DISTRIBUTION_BINS, STAGES, published_name
from .unpickle import opened

T = TypeVar("T")

MOST_PARTS, DEEPEST, LONGEST_NAME = 50_000, 32, 100
"""Modules and tensors of a tree, levels, and characters of a name; a published tree has some 3,000, 10 and 30."""

GEN1_MAX_COUNT = 4
"""D of the published Gen1 neuron, which its files do not hold either."""


@dataclass
class _Tree:
    """A published module tree, flattened."""

    tensors: dict[str, StoredTensor] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    parts: int = 0

    def walk(self, node: Node, prefix: str = "", depth: int = 0) -> None:
        self.nodes[prefix.rstrip(".")] = node
        not_saved = node.get("_non_persistent_buffers_set")
        not_saved = not_saved if isinstance(not_saved, set) else set()
        for name in ("_parameters", "_buffers"):
            for key, value in self._parts(node, name, depth):
                if isinstance(value, StoredTensor) and key not in not_saved:
                    self.tensors[f"{prefix}{key}"] = value
        for key, child in self._parts(node, "_modules", depth):
            if isinstance(child, Node):
                self.walk(child, f"{prefix}{key}.", depth + 1)

    def _parts(self, node: Node, name: str, depth: int) -> Iterator[tuple[str, Any]]:
        """The members of a module by name. A module can be in itself, and one of few names in many places."""
        members = node.get(name, {})
        if not isinstance(members, Mapping):
            raise CheckpointError(f"{name} of a {one_line(node.kind)} is no dictionary")
        for key, value in members.items():
            self.parts += 1
            if self.parts > MOST_PARTS or depth > DEEPEST:
                raise CheckpointError("its module tree has no end")
            if not isinstance(key, str) or len(key) > LONGEST_NAME:
                raise CheckpointError(f"a part of a {one_line(node.kind)} has no name that modules have")
            yield key, value

    def shape(self, key: str) -> tuple[int, int, int, int]:
        """Of the weight of a convolution."""
        if key not in self.tensors:
            raise CheckpointError(f"not a SpikeYOLO network: it has no {key}")
        shape = self.tensors[key].shape
        if len(shape) != 4 or 0 in shape:
            raise CheckpointError(f"not a SpikeYOLO network: {key} has shape {shape}")
        return shape


def load_reference(path: str | os.PathLike[str]) -> SpikeYOLO:
    """Reads a published SpikeYOLO checkpoint (`best.pt`) without running anything it contains.

    Needs neither ultralytics nor spikingjelly. T, D, the neuron's flavour, the classes and the network's shape are
    read from the file; each of its weights is used exactly once. The weights, published in half precision, are
    widened to float32.

    A Gen1 network says that it takes recordings prepared as `gen1-published`.

    Raises:
        CheckpointError: the file is missing, damaged, hostile, or holds another network; nothing of it was run.
    """
    path = Path(path)
    with opened(path) as content:
        try:
            return _loaded(content)
        except (CheckpointError, ConfigError) as error:
            raise CheckpointError(f"{path}: {error}") from error


def _loaded(content: Any) -> SpikeYOLO:
    """The network of a checkpoint; its weights are read when all else has been found right."""
    tree = _Tree()
    root = _network_node(content)
    tree.walk(root)
    config = _config(tree)
    with torch.device("meta"):  # shapes alone: the weights come from the file
        model = SpikeYOLO(config, names=_names(root, config.num_classes), input=_input(config))
    ours = from_published(tree.tensors, config)
    model.check_fit(ours, "the network")
    _check_bins(tree.tensors[DISTRIBUTION_BINS].read())
    model.load_tensors({key: _widened(stored.read()) for key, stored in ours.items()}, "the network")
    return model.eval()


def _widened(values: Tensor) -> Tensor:
    return values.float() if values.is_floating_point() else values


def _input(config: NetworkConfig) -> EventInput | None:
    """What a published network was trained on; None: images of 640 x 640."""
    return EventInput.of("gen1-published", timesteps=config.timesteps) if config.neuron == "gen1" else None


def load_any(path: str | os.PathLike[str], neuron: str | None = None) -> SpikeYOLO:
    """Load a saved model (.safetensors), or a published checkpoint (.pt, .pth), by the file's ending.

    Args:
        path: the file, the name of a model that comes with the package, or where one is on the Hugging Face Hub.
        neuron: the class of a neuron from outside the package; see `SpikeYOLO.load`.

    Raises:
        CheckpointError: the file cannot be used.
        ConfigError: a neuron for a published checkpoint.
    """
    if is_address(path) or Path(path).suffix not in (".pt", ".pth"):
        return SpikeYOLO.load(path, neuron=neuron)
    if neuron is not None:
        raise ConfigError(f"neuron: a published checkpoint has its own, and not {neuron}; leave that out")
    return load_reference(path)


def from_published(tensors: Mapping[str, T], config: NetworkConfig) -> dict[str, T]:
    """The tensors of a published state dict under our names, without the constant bins of its box head.

    Raises:
        CheckpointError: a key of the network that is missing, or one that no part of the network asks for.
    """
    with torch.device("meta"):
        wanted = {published_name(key, config): key for key in SpikeYOLO(config).state_dict()}
    missing = {*wanted, DISTRIBUTION_BINS} - tensors.keys()
    extra = tensors.keys() - wanted.keys() - {DISTRIBUTION_BINS}
    if missing or extra:
        said = [
            f"{word} {len(keys)}: {one_line(min(keys))}"
            for word, keys in (("missing", missing), ("left over", extra))
            if keys
        ]
        raise CheckpointError(f"its weights do not fit the network; {'; '.join(said)}")
    return {ours: tensors[key] for key, ours in wanted.items()}


def _check_bins(bins: Tensor) -> None:
    if not torch.equal(bins.flatten().float(), torch.arange(REG_MAX, dtype=torch.float32)):
        raise CheckpointError(f"{DISTRIBUTION_BINS} is not 0..{REG_MAX - 1}: another kind of box head")


def _network_node(content: Any) -> Node:
    """The averaged weights where the file holds them, the trained ones otherwise."""
    if not isinstance(content, Mapping):
        raise CheckpointError("not a SpikeYOLO checkpoint: it holds no dictionary with 'model' or 'ema'")
    for key in ("ema", "model"):
        if isinstance(content.get(key), Node):
            return content[key]
    raise CheckpointError("not a SpikeYOLO checkpoint: neither 'model' nor 'ema' is a module tree")


def _config(tree: _Tree) -> NetworkConfig:
    """Shape and neurons of the network, read off its weights and attributes."""
    _check_norms(tree)
    repeats = []
    for layer in STAGES.values():
        blocks = {m[1] for key in tree.tensors if (m := re.match(rf"model\.{layer}\.(\d+)\.", key))}
        repeats.append(max(len(blocks), 1))
    last_out, last_in = tree.shape("model.25.conv1.body.2.1.weight")[:2]
    timesteps = tree.nodes["model.0"].get("T") if "model.0" in tree.nodes else None
    if not isinstance(timesteps, int):
        raise CheckpointError("not a SpikeYOLO network: its first layer does not say how many timesteps T it has")
    neuron = _neuron(tree)
    return NetworkConfig(
        width=tree.shape("model.7.encode_conv.weight")[0] / 1024,
        repeats=(repeats[0], repeats[1], repeats[2], repeats[3]),
        last_ratio=last_out // last_in,
        num_classes=tree.shape("model.26.cv3.0.2.conv.weight")[0],
        in_channels=tree.shape("model.1.encode_conv.weight")[1],
        timesteps=timesteps,
        **neuron,
    )


def _check_norms(tree: _Tree) -> None:
    for name, node in tree.nodes.items():
        if node.kind.endswith(".BatchNorm2d") and node.get("eps") != BATCH_NORM_EPS:
            eps = quote(node.get("eps"))
            raise CheckpointError(f"{one_line(name)}: batch norm with eps {eps}, SpikeYOLO's is {BATCH_NORM_EPS}")


def _neuron(tree: _Tree) -> dict[str, Any]:
    """Flavour and D of the neurons, which must all be the same."""
    found: set[tuple[str, int, float | None, float | None]] = set()
    for name, node in tree.nodes.items():
        kind = node.kind.rpartition(".")[2]
        if spikes := re.fullmatch(r"MultiSpike(\d{1,3})", kind):
            found.add(("coco", int(spikes[1]), None, None))
        elif kind == "MultiStepLIFNode" and not name.endswith("dfl.lif"):
            tau = node.get("tau")
            if not isinstance(tau, float | int) or tau < 1:
                raise CheckpointError(f"{one_line(name)}: a neuron with tau {quote(tau)}")
            found.add(("gen1", GEN1_MAX_COUNT, 1 - 1 / tau, 1 / tau if node.get("decay_input", True) else 1.0))
    if len(found) != 1:
        raise CheckpointError(f"not a SpikeYOLO network: {len(found)} kinds of spiking neurons, expected one")
    flavour, max_count, decay, gain = found.pop()
    same = (decay, gain) in (FLAVOURS[flavour], (None, None))
    return {"neuron": flavour, "max_count": max_count, **({} if same else {"decay": decay, "gain": gain})}


def _names(root: Node, num_classes: int) -> list[str] | None:
    names = root.get("names")
    if isinstance(names, Mapping):
        names = [names.get(i) for i in range(num_classes)] if len(names) == num_classes else None
    if isinstance(names, list | tuple) and len(names) == num_classes and all(isinstance(n, str) for n in names):
        return list(names)
    return None
