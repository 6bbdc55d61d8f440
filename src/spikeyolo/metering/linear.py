"""The energy of an image as a sum, for those who count spikes elsewhere: so much always, and so much for each addition.

It holds no equation of its own: the numbers are read off `cost`, which is linear in what is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..spiking import SlotCode
from .cost import layer_millijoule
from .layer_count import LayerCount
from .technology import Technology

MANY = 1e12
"""Additions, beside which what a layer costs without any is lost in no digit."""


@dataclass(frozen=True)
class LayerCost:
    """What spikes into a layer cost.

    Attributes:
        name: of the unit in the network.
        neurons: counts of an image that feed it, all timesteps together.
        addition_mJ: of each addition of a weight.
    """

    name: str
    neurons: int
    addition_mJ: float  # noqa: N815 - as in `metering.report.to_json`


@dataclass(frozen=True)
class LinearCost:
    """What an image costs in a slot code, operations alone.

    Attributes:
        code: of the slots.
        slots: of a timestep.
        fixed_mJ: whatever the image shows: the first convolution, and doublings.
        layers: all others, in the order in which they run.
    """

    code: SlotCode
    slots: int
    fixed_mJ: float  # noqa: N815
    layers: tuple[LayerCost, ...]


def linear_cost(layers: Sequence[LayerCount], technology: Technology, code: SlotCode) -> LinearCost:
    """Return what an image costs as a sum over the additions of each layer.

    Args:
        layers: of any image; what was counted on it does not matter.
        technology: what an operation costs.
        code: of the slots.
    """

    def millijoule(layer: LayerCount, additions: float) -> float:
        return layer_millijoule(replace(layer, synaptic_ops=additions, digit_ops=additions), technology)

    coded = [layer.in_code(code) for layer in layers]
    fed = [layer for layer in coded if layer.mean_count is not None]
    costs = [
        LayerCost(layer.name, layer.inputs * layer.timesteps, (millijoule(layer, MANY) - millijoule(layer, 0)) / MANY)
        for layer in fed
    ]
    return LinearCost(code, fed[0].slots, sum(millijoule(layer, 0) for layer in coded), tuple(costs))
