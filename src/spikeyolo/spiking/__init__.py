"""The integer leaky integrate-and-fire neuron (I-LIF) and the way from its counts to binary spikes."""

from . import neurons  # its classes are known where files name them
from .comparing import ComparingILIF
from .ilif import FLAVOURS, MAX_COUNT_LIMIT, ilif, ilif_sequence, ilif_step
from .neuron import ILIF, NeuronState, scale_in_use
from .over_time import OverTime
from .slots import SlotCode, binary_slots, counts_to_slots, slots_to_counts
from .spiking_neuron import SpikingNeuron

__all__ = [
    "FLAVOURS",
    "ILIF",
    "MAX_COUNT_LIMIT",
    "ComparingILIF",
    "NeuronState",
    "OverTime",
    "SlotCode",
    "SpikingNeuron",
    "binary_slots",
    "counts_to_slots",
    "ilif",
    "ilif_sequence",
    "ilif_step",
    "neurons",
    "scale_in_use",
    "slots_to_counts",
]
