"""The layers of a network as nodes of ONNX, in the arithmetic of choice.

Shapes are (T * B, C, H, W): the timesteps stand one after the other where convolutions see them, and are taken apart
where neurons fire.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..artefact import NEW_STATE, STATE
from .graph import INPUT, Add, Concatenate, Convolution, Graph, MaxPool, Node, Unit, Upsample
from .neurons import Neuron
from .onnx_builder import Builder


class Arithmetic(ABC):
    """How numbers are held and what is done with them; one for each kind of network.

    Attributes:
        potential: type of membrane potentials in inputs and outputs.
    """

    potential: Any = np.float32

    def __init__(self, build: Builder):
        self.build = build

    @abstractmethod
    def convolve(self, x: str, unit: Unit) -> str:
        """Weigh counts, or the input: potentials."""

    def fuses(self, neuron: Neuron) -> bool:
        """Whether `weigh_and_fire` is quicker for these neurons than one after the other."""
        return False

    def weigh_and_fire(self, x: str, unit: Unit, neuron: Neuron) -> str:
        """Weigh counts and let the neurons behind fire, from rest, where nobody else needs their potentials."""
        return self.fire(self.charge(self.convolve(x, unit), None, neuron), neuron)

    @abstractmethod
    def charge(self, current: str, v: str | None, neuron: Neuron) -> str:
        """Return H of a timestep."""

    @abstractmethod
    def fire(self, h: str, neuron: Neuron) -> str:
        """Return the counts of a timestep, as they are passed on."""

    @abstractmethod
    def reset(self, h: str, counts: str, neuron: Neuron) -> str:
        """Return V after a timestep."""

    @abstractmethod
    def pool_potentials(self, x: str, kernel_size: int) -> str:
        """Max-pool potentials."""

    @abstractmethod
    def logits(self, levels: list[str], timesteps: int) -> str:
        """Return the mean over time, joined along the channels, in float32."""

    def pool(self, x: str, kernel_size: int) -> str:
        """Max-pool what ONNX's operator takes."""
        half = kernel_size // 2
        return self.build.op("MaxPool", x, kernel_shape=[kernel_size] * 2, pads=[half] * 4, strides=[1, 1])

    def convolution(self, x: str, conv: Convolution, *more: str, kind: str = "Conv") -> str:
        """Add the operator with this geometry."""
        return self.build.op(
            kind,
            x,
            *more,
            kernel_shape=list(conv.weight.shape[2:]),
            strides=list(conv.stride),
            pads=[*conv.padding] * 2,
            group=conv.groups,
        )


class FloatArithmetic(Arithmetic):
    """Floating point: the folded network as it is.

    Args:
        build: the graph.
        dtype: float32 or float16 of weights and of what flows.
        memory: potentials are kept from timestep to timestep; they are float32 in both, as in `spiking.equation`.
    """

    def __init__(self, build: Builder, dtype: Any, memory: bool):
        super().__init__(build)
        self.dtype = np.dtype(dtype)
        self.half = self.dtype == np.float16
        self.memory = memory

    def _widened(self, neuron: Neuron) -> bool:
        """Whether half precision is left while neurons fire: a half H that is X itself loses nothing."""
        return self.half and (self.memory or neuron.gain != 1 or neuron.scale is not None)

    def _number(self, value: Any, neuron: Neuron) -> str:
        return self.build.constant(value, np.float32 if self._widened(neuron) else self.dtype)

    def convolve(self, x: str, unit: Unit) -> str:
        """Weigh by one convolution after the other."""
        for name, conv in unit.named_convolutions():
            x = self.weigh(x, conv, name, unit.neuron)
        return x

    def weigh(self, x: str, conv: Convolution, name: str, neuron: Neuron | None) -> str:
        """Weigh by one convolution of a unit with these neurons."""
        more = [self.build.constant(conv.weight, self.dtype, f"{name}.weight")]
        if conv.bias is not None:
            more.append(self.build.constant(conv.bias, self.dtype, f"{name}.bias"))
        return self.convolution(x, conv, *more)

    def charge(self, current: str, v: str | None, neuron: Neuron) -> str:
        """Return H, in float32 where it is widened."""
        h = self.build.cast(current, np.float32) if self._widened(neuron) else current
        if neuron.gain != 1:
            h = self.build.op("Mul", h, self._number(neuron.gain, neuron))
        if v is not None and neuron.decay:
            h = self.build.op("Add", h, self.build.op("Mul", v, self._number(neuron.decay, neuron)))
        return h

    def fire(self, h: str, neuron: Neuron) -> str:
        """Clip and round half to even, as numbers of the type that flows."""
        counts = self.in_counts(h, neuron)
        if neuron.spiking:
            counts = self.build.op("Round", counts)
        return self.build.cast(counts, self.dtype) if self._widened(neuron) else counts

    def reset(self, h: str, counts: str, neuron: Neuron) -> str:
        """Return V in float32."""
        return self.build.op(
            "Sub", h, self.fallen(self.build.cast(counts, np.float32) if self.half else counts, neuron)
        )

    def in_counts(self, h: str, neuron: Neuron) -> str:
        """Return H in units of the neurons' scale, clipped to 0..D.

        Clipped first: a product right behind a convolution is moved into its weights by runtimes, which rounds them.
        """
        zero = self._number(0, neuron)
        if neuron.scale is None:
            return self.build.op("Clip", h, zero, self._number(neuron.max_count, neuron))
        most = self._number(neuron.reset * neuron.max_count, neuron)
        clipped = self.build.op("Min", self.build.op("Max", h, zero), most)
        return self.build.op("Mul", clipped, self._number(neuron.rate, neuron))

    def fallen(self, counts: str, neuron: Neuron) -> str:
        """Return what the spikes of float32 counts take off the potentials."""
        return counts if neuron.scale is None else self.build.op("Mul", counts, self._number(neuron.reset, neuron))

    def pool_potentials(self, x: str, kernel_size: int) -> str:
        """Pool by ONNX's operator."""
        return self.pool(x, kernel_size)

    def logits(self, levels: list[str], timesteps: int) -> str:
        """Return the mean over time in float32."""
        build = self.build
        joined = build.op("Concat", *levels, axis=1)
        if self.half:
            joined = build.cast(joined, np.float32)
        if timesteps == 1:
            return joined
        steps = build.ops("Split", joined, number=timesteps, axis=0, num_outputs=timesteps, name="step")
        return build.op("Mul", build.op("Sum", *steps), build.constant(1 / timesteps, np.float32))


@dataclass
class NetworkWriter:
    """Writes the nodes of a graph; every value once, and only if it is needed.

    Attributes:
        build: the ONNX graph.
        graph: the network.
        arithmetic: how.
        timesteps: T of a run.
        repeat: the input is a still image, shown T times after the first unit.
        state_shapes: for each neuron the shape of its potentials; None from rest.
        fed: by unit, the name of the counts that its convolutions see; none of those that are fused with others.
    """

    build: Builder
    graph: Graph
    arithmetic: Arithmetic
    timesteps: int
    repeat: bool
    state_shapes: dict[str, list[int]] | None = None
    values: dict[str, str] = field(default_factory=dict)
    fired: dict[tuple[str, Any], str] = field(default_factory=dict)
    fed: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.nodes: dict[str, Node] = {node.name: node for node in self.graph.nodes}
        fuses = self.state_shapes is None and all(map(self.arithmetic.fuses, self.graph.neurons))
        self.fused = self._seen_by_neurons_alone() if fuses else set()

    def _seen_by_neurons_alone(self) -> set[str]:
        """Units that end in an int8 convolution whose potentials go nowhere but into neurons."""
        wanted = {name for level in self.graph.levels for name in level}
        for node in reversed(self.graph.nodes):
            if isinstance(node, Add) or (node.name in wanted and not isinstance(node, Unit)):
                wanted.update(node.sources)
        units = (unit for unit in self.graph.units if unit.convolutions[-1].scale is not None)
        return {unit.name for unit in units} - wanted

    def write(self, images: str) -> list[str]:
        """Add the network on an input; return the logits of each level, float32."""
        self.values[INPUT] = images
        for node in self.graph.nodes:  # in order, so that the recursion below stays shallow
            if isinstance(node, Unit | Add) and node.name not in self.fused:
                self.potentials(node.name)
        levels = [[self.potentials(name) for name in level] for level in self.graph.levels]
        return [self.arithmetic.logits(level, self.timesteps) for level in levels]

    def potentials(self, name: str) -> str:
        """The value of a node."""
        if name not in self.values:
            node, build = self.nodes[name], self.build
            match node:
                case Unit():
                    self.values[name] = self._unit(node)
                case Add():
                    self.values[name] = build.op("Add", *map(self.potentials, node.sources), name=name)
                case Concatenate():
                    self.values[name] = build.op("Concat", *map(self.potentials, node.sources), axis=1, name=name)
                case Upsample():
                    self.values[name] = self.repeated(self.potentials(node.sources[0]))
                case MaxPool():
                    source = self.potentials(node.sources[0])
                    self.values[name] = self.arithmetic.pool_potentials(source, node.kernel_size)
        return self.values[name]

    def _unit(self, unit: Unit) -> str:
        if unit.neuron is None:
            x = self.arithmetic.convolve(self.values[INPUT], unit)
            shown = self.timesteps if self.repeat else 1
            return x if shown == 1 else self.build.op("Concat", *[x] * shown, axis=0)
        counts = self.fed[unit.name] = self.counts(unit.sources[0], unit.neuron)
        return self.arithmetic.convolve(counts, unit)

    def counts(self, source: str, neuron: Neuron) -> str:
        """What neurons make of a node; without a state it is shared by all that see the same.

        A neuron sees its own position alone, so it may as well fire before potentials are joined or repeated: that
        moves smaller numbers, and fewer. For a pool that holds for one timestep from rest; see `SpikeDrivenSPPF`. For a
        concatenation it does not if channels have scales of their own.
        """
        if self.state_shapes is not None:
            return self.fire(self.potentials(source), neuron)
        kind = neuron.max_count, neuron.decay, neuron.gain, neuron.spiking, neuron.scale
        key = source, kind
        if key not in self.fired:
            node = self.nodes.get(source)
            match node:
                case Concatenate() if neuron.one_scale:
                    parts = [self.counts(part, neuron) for part in node.sources]
                    self.fired[key] = self.build.op("Concat", *parts, axis=1)
                case Upsample():
                    self.fired[key] = self.repeated(self.counts(node.sources[0], neuron))
                case MaxPool() if self.timesteps == 1:
                    inner = self.counts(node.sources[0], neuron)
                    self.fired[key] = self.arithmetic.pool(inner, node.kernel_size)
                case Unit(neuron=Neuron() as before) if source in self.fused:
                    inner = self.counts(node.sources[0], before)
                    self.fired[key] = self.arithmetic.weigh_and_fire(inner, node, neuron)
                case _:
                    self.fired[key] = self.fire(self.potentials(source), neuron)
        return self.fired[key]

    def fire(self, x: str, neuron: Neuron) -> str:
        """T timesteps of neurons: (T * B, C, H, W) potentials -> counts."""
        build, arithmetic, v = self.build, self.arithmetic, None
        if self.state_shapes is not None:
            v = build.input(f"{STATE}{neuron.name}", arithmetic.potential, self.state_shapes[neuron.name])
        if self.timesteps == 1 or not neuron.spiking:
            steps = [x]
        else:
            steps = build.ops("Split", x, number=self.timesteps, axis=0, num_outputs=self.timesteps, name="step")
        counts = []
        for t, current in enumerate(steps):
            h = arithmetic.charge(current, v, neuron)
            counts.append(arithmetic.fire(h, neuron))
            if self.state_shapes is not None or t < len(steps) - 1:
                v = arithmetic.reset(h, counts[-1], neuron)
        if self.state_shapes is not None:
            assert v is not None
            shape = self.state_shapes[neuron.name]
            build.output(f"{NEW_STATE}{neuron.name}", v, arithmetic.potential, shape)
        return counts[0] if len(counts) == 1 else build.op("Concat", *counts, axis=0)

    def repeated(self, x: str) -> str:
        """Each position twice along rows and columns."""
        return self.build.op(
            "Resize",
            x,
            "",
            self.build.constant([1, 1, 2, 2], np.float32),
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
