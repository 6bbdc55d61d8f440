"""From operations to energy: so much for a multiply-accumulate, so much for an addition, so much for a memory access.

Computation alone is the model of the literature, of the SpikeYOLO paper too. With memory it is the model of Lemaire et
al., An analytical estimation of spiking neural networks energy efficiency, ICONIP 2022: no value is kept in a register
or used twice, every layer has memories of its own of just the size it needs.

    a layer fed by spikes reads   each spike; a weight and a potential an addition; a bias and a potential an output;
                                  a potential a doubling
                          writes  a potential an addition, an output and a doubling
    a layer fed by values reads   a value and a weight a multiply-accumulate; a bias an output
                          writes  an output
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .layer_count import LayerCount
from .technology import Technology


def layer_millijoule(layer: LayerCount, technology: Technology) -> float:
    """Return the computation of one layer for an image; 0 for the first one where the technology cannot multiply.

    A doubling is charged as an addition, though a shift costs less.
    """
    additions = layer.ac + layer.doublings
    return (layer.mac * (technology.mac_pj or 0.0) + additions * technology.ac_pj) * 1e-9


def snn_millijoule(layers: Sequence[LayerCount], technology: Technology) -> float:
    """Return the computation for an image when every layer that is fed by spikes needs additions only."""
    return sum(layer_millijoule(layer, technology) for layer in layers)


def by_formula(layers: Sequence[LayerCount]) -> list[LayerCount]:
    """Return the same layers with additions by the literature's formula, macs * mean spikes * T, not as counted."""
    return [replace(layer, synaptic_ops=None, digit_ops=None) for layer in layers]


def ann_millijoule(macs: float, technology: Technology) -> float | None:
    """Return the computation for an image in an ANN, all multiply-accumulates; None where there are none."""
    return None if technology.mac_pj is None else macs * technology.mac_pj * 1e-9


def memory_millijoule(layer: LayerCount, technology: Technology, ann: bool = False) -> float:
    """Return the memory traffic of one layer for an image; with `ann` as if it were fed by values, once an image.

    Raises:
        ConfigError: no memory figures for this technology.
    """
    weight, potential = technology.weight_bits, technology.potential_bits
    weights = technology.access_pj(weight, layer.weights * weight / 8)
    if ann or layer.mean_count is None:
        times = 1 if ann else layer.timesteps
        values = technology.access_pj(weight, layer.inputs * weight / 8)
        outputs = technology.access_pj(weight, layer.outputs * weight / 8)
        return times * (layer.macs * (values + weights) + layer.outputs * (weights + outputs)) * 1e-9
    events = technology.access_pj(potential, layer.inputs * layer.slots / 8)
    potentials = technology.access_pj(potential, layer.outputs * potential / 8)
    updates = layer.ac + layer.outputs * layer.timesteps
    doubling = layer.doublings * 2 * potentials
    return (layer.spikes * events + updates * (weights + 2 * potentials) + doubling) * 1e-9


@dataclass(frozen=True)
class Storage:
    """Bytes that a network needs on a chip.

    Attributes:
        weights: all weights and biases.
        potentials: one for every neuron; needed where something is carried from a timestep to the next.
    """

    weights: float
    potentials: float


def storage(layers: Sequence[LayerCount], parameters: int, technology: Technology) -> Storage:
    """Return what the weights and potentials take in a technology's widths."""
    neurons = sum(layer.inputs for layer in layers if layer.mean_count is not None)
    return Storage(parameters * technology.weight_bits / 8, neurons * technology.potential_bits / 8)
