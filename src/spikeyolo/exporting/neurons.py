"""The neurons of a graph, and reading them off a network's layers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import nn

from ..errors import ConfigError
from ..model.blocks import ClippedReLU
from ..model.forms.integer import IntegerILIF, scaled_thresholds
from ..spiking import ILIF, SpikingNeuron, scale_in_use
from ..spiking.spiking_neuron import ilif_of


@dataclass(frozen=True)
class Neuron:
    """The neurons in front of a unit's convolutions.

    Attributes:
        name: in the network's state.
        max_count: D.
        decay: share of the potential left after a timestep.
        gain: factor on the input.
        spiking: False for the ANN twin, which clips to 0..D.
        shifts: of the integer form: right shifts of the input and of the potential; the second is None for decay 0.
        scale: one number, or one a channel, that stands for a spike; of the integer form in the format of potentials.
            None: 1.
    """

    name: str
    max_count: int
    decay: float = 0.0
    gain: float = 1.0
    spiking: bool = True
    shifts: tuple[int, int | None] | None = None
    scale: tuple[float, ...] | None = None

    @property
    def step(self) -> float:
        """What 1 stands for in 8 bits: one spike; of the twin's values, a part of the range that both signs have."""
        return 1.0 if self.spiking else self.max_count / 127

    @property
    def one_scale(self) -> bool:
        """Whether all channels fire alike."""
        return self.scale is None or len(self.scale) == 1

    @property
    def rate(self) -> np.ndarray:
        """(1 or channels, 1, 1) float32: 1 / scale."""
        assert self.scale is not None
        return (np.float32(1) / np.array(self.scale, np.float32)).reshape(-1, 1, 1)

    @property
    def reset(self) -> np.ndarray:
        """(1 or channels, 1, 1) the scale: what a spike takes off the potential."""
        assert self.scale is not None
        return np.array(self.scale).reshape(-1, 1, 1)

    @property
    def thresholds(self) -> np.ndarray:
        """(D, 1 or channels, 1, 1) of the integer form with scales: the least potentials that fire 1, 2, ... D."""
        assert self.scale is not None
        return np.stack(scaled_thresholds(self.max_count, np.array(self.scale, np.int64).reshape(-1, 1, 1)))


def neuron_of(module: nn.Module | None) -> Neuron | None:
    """Return the neurons of a unit; ConfigError for a layer that no graph has."""
    match module:
        case None:
            return None
        case ILIF():
            scale = None if module.scale is None else tuple(scale_in_use(module.scale).tolist())
            return Neuron(module.name, module.max_count, module.decay, module.gain, scale=scale)
        case SpikingNeuron():
            return neuron_of(ilif_of(module, "export"))
        case IntegerILIF():
            shifts = module.gain_shift, module.decay_shift
            scale = None if module.scale is None else tuple(module.scale.tolist())
            gain = 2.0**-module.gain_shift
            return Neuron(module.name, module.max_count, module.decay, gain, shifts=shifts, scale=scale)
        case ClippedReLU():
            return Neuron("", module.max_count, spiking=False)
    raise ConfigError(f"export: {type(module).__name__} is no neuron of a graph")
