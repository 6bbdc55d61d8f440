"""Golden values of an integer network: what enters and leaves each layer on real images, timestep by timestep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from ..model.detector import SpikeYOLO
from ..model.forms.exact import MAX_INPUT
from ..model.forms.integer import IntegerConv
from ..spiking import NeuronState
from ..structures import STRIDES
from .graph import INPUT, Concatenate, Graph, Shape, Unit, shapes

Arrays = dict[str, np.ndarray]


def golden_bytes(graph: Graph, known: Mapping[str, Shape], images: int, timesteps: int) -> int:
    """Return how many bytes the golden values take: 4 a value that leaves, 5 a value that enters neurons.

    Args:
        graph: of the network.
        known: channels, rows and columns of what each node gives, see `graph.shapes`.
        images: B.
        timesteps: T.
    """
    numbers = {name: channels * rows * columns for name, (channels, rows, columns) in known.items()}
    entering = sum(5 * numbers[unit.sources[0]] for unit in graph.units if unit.neuron is not None)
    leaving = sum(4 * numbers[node.name] for node in graph.nodes)
    logits = 8 * sum(numbers[name] for level in graph.levels for name in level)
    return images * (timesteps * (2 * numbers[INPUT] + entering + leaving) + logits)


class _Recorder:
    """Takes the values of one timestep after the other."""

    def __init__(self, timesteps: int):
        self.timesteps, self.t, self.arrays = timesteps, 0, Arrays()

    def take(self, name: str, values: Tensor, dtype: type[np.generic]) -> None:
        """Keep the values (1, B, C, H, W) or (B, C, H, W) of this timestep."""
        found = values.detach().numpy()
        found = found[0] if found.ndim == 5 else found
        whole = self.arrays.setdefault(name, np.empty((self.timesteps, *found.shape), dtype))
        whole[self.t] = found


@contextmanager
def _watched(network: nn.Module, graph: Graph, recorder: _Recorder) -> Iterator[None]:
    """Inside, the recorder is told the values of every node.

    What is no unit gives what enters the unit that takes it, or a part of the concatenation that takes it.
    """
    modules = dict(network.named_modules())
    nodes = {node.name: node for node in graph.nodes}
    channels = {name: shape[0] for name, shape in shapes(graph, (1, STRIDES[-1], STRIDES[-1])).items()}
    handles = []

    def take(name: str, values: Tensor) -> None:
        recorder.take(f"{name}.out", values, np.int32)
        if isinstance(nodes[name], Concatenate):
            sources = nodes[name].sources
            parts = values.split([channels[source] for source in sources], dim=2)
            for source, part in zip(sources, parts, strict=True):
                take(source, part)

    def unit_hook(unit: Unit) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if unit.sources[0] != INPUT:
                take(unit.sources[0], inputs[0])
            take(unit.name, output)

        return hook

    def neuron_hook(name: str) -> Callable[..., None]:
        return lambda module, inputs, counts: recorder.take(f"{name}.counts", counts, np.uint8)

    for unit in graph.units:
        handles.append(modules[unit.name].register_forward_hook(unit_hook(unit)))
        if unit.neuron is not None:
            handles.append(modules[unit.neuron.name].register_forward_hook(neuron_hook(unit.name)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def golden_values(network: SpikeYOLO, graph: Graph, images: Tensor) -> Arrays:
    """Return the golden arrays of a package by name; `manifest.TENSORS` says which there are.

    Args:
        network: of integers, on the CPU.
        graph: the same.
        images: (B, C, H, W) still images or (T, B, C, H, W) event frames, as `network.forward` takes them.
    """
    timesteps = network.config.timesteps
    frames = images if images.ndim == 5 else images.expand(timesteps, *images.shape)
    levels = (frames * network.config.input_levels).round().clamp(-MAX_INPUT, MAX_INPUT)
    recorder, state = _Recorder(timesteps), NeuronState()
    neurons = {unit.name: unit.neuron.name for unit in graph.units if unit.neuron is not None}
    with _watched(network, graph, recorder):
        for t in range(timesteps):
            recorder.t = t
            recorder.take(INPUT, levels[t], np.int16)
            _, state = network(frames[t : t + 1], state)
            for unit, neuron in neurons.items():
                recorder.take(f"{unit}.potentials", state[neuron], np.int32)
    arrays = recorder.arrays
    for stride, level in zip(STRIDES, graph.levels, strict=True):
        parts = [arrays[f"{name}.out"].sum(0, dtype=np.int64) for name in level]
        arrays[f"logits{stride}"] = np.concatenate(parts, 1)
    return arrays


def count_at_once(network: nn.Module) -> None:
    """Let an integer network weigh counts and not slots one by one: the same integers in less time."""
    for module in network.modules():
        if isinstance(module, IntegerConv):
            module.on_slots = False
