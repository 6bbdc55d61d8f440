"""The integer leaky integrate-and-fire neuron (I-LIF) and the way from its counts to binary spikes."""

from .ilif import FLAVOURS, MAX_COUNT_LIMIT, ilif, ilif_sequence, ilif_step
from .neuron import ILIF, NeuronState
from .slots import SlotCode, binary_slots, counts_to_slots, slots_to_counts

__all__ = [
    "FLAVOURS",
    "ILIF",
    "MAX_COUNT_LIMIT",
    "NeuronState",
    "SlotCode",
    "binary_slots",
    "counts_to_slots",
    "ilif",
    "ilif_sequence",
    "ilif_step",
    "slots_to_counts",
]
