"""A folded network as a list of a few kinds of nodes: what every format is written from.

The nodes are read off the network's own forward (by `torch.fx`), so that the order of layers is said once, in `model`.
Shapes are those of one timestep: (B, C, H, W).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from ..errors import ConfigError
from ..model.blocks import SpikingConv
from ..model.forms.convert import as_dense
from ..model.forms.form import Form
from ..model.forms.integer import IntegerConv
from ..model.forms.spike_driven import LevelConvolution
from ..model.network import SpikingNetwork
from .neurons import Neuron, neuron_of

INPUT = "input"

Shape = tuple[int, int, int]
"""Channels, rows and columns."""

EXPORTABLE = (Form.SEPARABLE, Form.DENSE, Form.SPIKE_DRIVEN, Form.INTEGER)
"""The forms that have a graph, the spike-driven one on counts; the trained one is folded first."""


@dataclass(frozen=True, eq=False)
class Convolution:
    """A zero-padded convolution.

    Attributes:
        weight: (out, in / groups, kh, kw), floating point, or int8 in the integer form and with a scale.
        bias: (out,) floating point, or int32 in the format of potentials, or of the sums of weights.
        stride: rows and columns.
        padding: rows above and below, columns left and right.
        groups: 1, or the number of channels of a depthwise one.
        shift: (out,) int8 of the integer form: left shift from sums of weights to potentials.
        scale: (out,) float32 of int8 weights, see `quantise`: factor from sums of weights to potentials.
        rounded: what it takes is rounded to -128..127: int8 between the convolutions of a chain.
        more: a convolution of the same input, whose sums are added.
    """

    weight: np.ndarray
    bias: np.ndarray | None
    stride: tuple[int, int]
    padding: tuple[int, int]
    groups: int
    shift: np.ndarray | None = None
    scale: np.ndarray | None = None
    rounded: bool = False
    more: Convolution | None = None


@dataclass(frozen=True, eq=False)
class Node:
    """What all nodes have.

    Attributes:
        name: the network's name of the layer, or what was done and a number.
        sources: names of the nodes whose results it takes.
    """

    name: str
    sources: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Unit(Node):
    """Neurons, if any, and the convolutions on their counts: one, or in the separable form up to three in a chain."""

    neuron: Neuron | None
    convolutions: tuple[Convolution, ...]

    def named_convolutions(self) -> list[tuple[str, Convolution]]:
        """Return its convolutions and a name for each."""
        if len(self.convolutions) == 1:
            return [(self.name, self.convolutions[0])]
        return [(f"{self.name}.{index}", conv) for index, conv in enumerate(self.convolutions)]


@dataclass(frozen=True, eq=False)
class Add(Node):
    """The sum of two potentials: a shortcut."""


@dataclass(frozen=True, eq=False)
class Concatenate(Node):
    """Channels of several potentials one after the other."""


@dataclass(frozen=True, eq=False)
class Upsample(Node):
    """Each potential repeated twice along rows and columns."""


@dataclass(frozen=True, eq=False)
class MaxPool(Node):
    """The largest potential around each position, which keeps its size; beyond the border there is nothing."""

    kernel_size: int


@dataclass(frozen=True, eq=False)
class Graph:
    """A network, each node after those it needs.

    Attributes:
        nodes: the first is the unit that sees the input.
        levels: for each level of logits the names of the nodes that give boxes and classes; the logits are their
            means over time, joined along the channels.
        form: of the network.
        fraction_bits: of the integer form; the logits are divided by 2 to their power.
        input_levels: of the spike-driven form: the first unit sees the input times this.
    """

    nodes: tuple[Node, ...]
    levels: tuple[tuple[str, str], ...]
    form: Form
    fraction_bits: int | None
    input_levels: int | None = None

    @property
    def units(self) -> Iterator[Unit]:
        """The units, in order."""
        return (node for node in self.nodes if isinstance(node, Unit))

    @property
    def neurons(self) -> list[Neuron]:
        """The neurons, in order."""
        return [unit.neuron for unit in self.units if unit.neuron is not None]


class _Layers(nn.Module):
    """The network without the checks of its input."""

    def __init__(self, network: SpikingNetwork):
        super().__init__()
        self.backbone, self.neck, self.head = network.backbone, network.neck, network.head

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        levels: tuple[Tensor, ...] = self.head(self.neck(*self.backbone(images, 1)))
        return levels


class _Tracer(fx.Tracer):
    """Takes a unit as one thing."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, SpikingConv | IntegerConv | nn.MaxPool2d)


SAME = {"expand", "flatten", "unflatten", "unsqueeze", "float", "movedim"}
"""Methods that change nothing at one timestep, or only how axes lie until they lie as before."""


class _Reader:
    """Turns the traced operations into nodes."""

    def __init__(self, modules: dict[str, nn.Module]):
        self.modules = modules
        self.nodes: dict[str, Node] = {}
        self.names: dict[fx.Node, str] = {}
        self.means: dict[fx.Node, tuple[str, ...]] = {}

    def add(self, at: fx.Node, make: Callable[[str, tuple[str, ...]], Node], name: str, sources: Sequence[Any]) -> None:
        found = make(name, tuple(self.names[source] for source in sources))
        self.nodes[found.name] = found
        self.names[at] = found.name

    def read(self, at: fx.Node) -> None:
        """Take one operation."""
        if at.op == "placeholder":
            self.names[at] = INPUT
        elif at.op == "call_module":
            self.module(at, self.modules[str(at.target)])
        elif at.target in SAME and at.op == "call_method":
            first = at.args[0]
            assert isinstance(first, fx.Node)
            if first in self.means:
                self.means[at] = self.means[first]
            else:
                self.names[at] = self.names[first]
        elif at.op == "call_method" and at.target == "mean":
            assert isinstance(at.args[0], fx.Node)
            self.means[at] = (self.names[at.args[0]],)
        elif at.op == "call_function":
            self.function(at)
        elif at.op != "output":
            raise ConfigError(f"export: {at.op} {at.target} is no operation of a graph")

    def module(self, at: fx.Node, module: nn.Module) -> None:
        """Take a unit or a pool."""
        name = str(at.target)
        if isinstance(module, nn.MaxPool2d):
            size = module.kernel_size
            assert isinstance(size, int)
            assert (module.stride, module.padding) == (1, size // 2)
            pools = sum(isinstance(node, MaxPool) for node in self.nodes.values())
            self.add(at, lambda n, s: MaxPool(n, s, size), f"{name}.{pools}", at.args[:1])
        else:
            self.add(at, lambda n, s: _unit(n, s, module), name, at.args[:1])

    def function(self, at: fx.Node) -> None:
        """Take what the network does between its units."""
        first: Any = at.args[0]
        if at.target is operator.add:
            self.add(at, Add, f"add.{len(self.nodes)}", at.args)
        elif at.target is torch.cat:
            if all(part in self.means for part in first):
                self.means[at] = tuple(name for part in first for name in self.means[part])
            else:
                self.add(at, Concatenate, f"concatenate.{len(self.nodes)}", first)
        elif at.target is F.interpolate:
            assert (at.kwargs["scale_factor"], at.kwargs["mode"]) == (2.0, "nearest")
            self.add(at, Upsample, f"upsample.{len(self.nodes)}", at.args[:1])
        elif at.target is operator.truediv and first in self.means:
            self.means[at] = self.means[first]  # the integer head's, said by fraction_bits
        elif at.target not in (getattr, operator.getitem):
            raise ConfigError(f"export: {getattr(at.target, '__name__', at.target)} is no operation of a graph")


def _array(tensor: Tensor) -> np.ndarray:
    array: np.ndarray = tensor.detach().cpu().contiguous().numpy()
    return array


def _unit(name: str, sources: tuple[str, ...], module: nn.Module) -> Unit:
    if isinstance(module, IntegerConv):
        conv = Convolution(_array(module.weight), _array(module.bias), **module.geometry, shift=_array(module.shift))
        return Unit(name, sources, neuron_of(module.neuron), (conv,))
    assert isinstance(module, SpikingConv)
    assert module.norm is None
    convs = module.conv if isinstance(module.conv, nn.Sequential) else [module.conv]
    return Unit(name, sources, neuron_of(module.neuron), tuple(_convolution(conv) for conv in convs))


def _convolution(conv: Any) -> Convolution:
    bias = None if conv.bias is None else _array(conv.bias)
    weight = conv.level_weight if isinstance(conv, LevelConvolution) else conv.weight
    return Convolution(_array(weight), bias, conv.stride, conv.padding, conv.groups)


def read_graph(network: SpikingNetwork) -> Graph:
    """Return the graph of a folded network.

    Args:
        network: in one of the forms of `EXPORTABLE`.

    Raises:
        ConfigError: another form, or an operation or neuron that no graph has.
    """
    if network.form not in EXPORTABLE:
        forms = ", ".join(map(str, EXPORTABLE))
        raise ConfigError(f"export: the {network.form} form has no graph; one of {forms} has")
    seen = network.config.input_levels if network.form is Form.SPIKE_DRIVEN else None
    layers = _Layers(network if seen is None else as_dense(network))
    reader = _Reader(dict(layers.named_modules()))
    traced = _Tracer().trace(layers)
    for at in traced.nodes:
        reader.read(at)
    (result,) = (at for at in traced.nodes if at.op == "output")
    outputs: Any = result.args[0]
    levels = tuple((boxes, classes) for boxes, classes in (reader.means[level] for level in outputs))
    return Graph(tuple(reader.nodes.values()), levels, network.form, network.fraction_bits, seen)


def shapes(graph: Graph, into: Shape) -> dict[str, Shape]:
    """Return channels, rows and columns of what each node gives.

    Args:
        graph: of a network.
        into: channels, rows and columns of the input.
    """
    found: dict[str, Shape] = {INPUT: into}
    for node in graph.nodes:
        given = [found[source] for source in node.sources]
        channels, rows, columns = given[0]
        match node:
            case Unit(convolutions=convolutions):
                for conv in convolutions:
                    rows, columns = (
                        (side + 2 * padding - kernel) // stride + 1
                        for side, padding, kernel, stride in zip(
                            (rows, columns), conv.padding, conv.weight.shape[2:], conv.stride, strict=True
                        )
                    )
                channels = len(convolutions[-1].weight)
            case Concatenate():
                channels = sum(shape[0] for shape in given)
            case Upsample():
                rows, columns = 2 * rows, 2 * columns
        found[node.name] = channels, rows, columns
    return found
