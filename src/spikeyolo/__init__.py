"""Object detection with spiking neural networks, from training to the chip."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import SpikeYOLOError
from .version import __version__

if TYPE_CHECKING:
    from .benchmarking.benchmark import benchmark
    from .exporting.export import export
    from .interop.reference import load_reference
    from .model.detector import SpikeYOLO, load
    from .model.forms.verify import verify_spike_driven
    from .model.presets import NetworkConfig
    from .spiking import ILIF, OverTime, SpikingNeuron, counts_to_slots, ilif, slots_to_counts
    from .structures import Detections
    from .verbs.energy import energy
    from .verbs.hub_push import push_to_hub
    from .verbs.predict import predict
    from .verbs.spikes import firing_rates, membrane_trace, spike_raster
    from .verbs.train import train
    from .verbs.val import val

__all__ = [
    "ILIF",
    "Detections",
    "NetworkConfig",
    "OverTime",
    "SpikeYOLO",
    "SpikeYOLOError",
    "SpikingNeuron",
    "__version__",
    "benchmark",
    "counts_to_slots",
    "energy",
    "export",
    "firing_rates",
    "ilif",
    "load",
    "load_reference",
    "membrane_trace",
    "predict",
    "push_to_hub",
    "slots_to_counts",
    "spike_raster",
    "train",
    "val",
    "verify_spike_driven",
]

_HOMES = {
    "Detections": "structures",
    "ILIF": "spiking.neuron",
    "NetworkConfig": "model.presets",
    "OverTime": "spiking.over_time",
    "SpikeYOLO": "model.detector",
    "SpikingNeuron": "spiking.spiking_neuron",
    "benchmark": "benchmarking.benchmark",
    "counts_to_slots": "spiking.slots",
    "energy": "verbs.energy",
    "export": "exporting.export",
    "firing_rates": "verbs.spikes",
    "ilif": "spiking.ilif",
    "load": "model.detector",
    "load_reference": "interop.reference",
    "membrane_trace": "verbs.spikes",
    "predict": "verbs.predict",
    "push_to_hub": "verbs.hub_push",
    "slots_to_counts": "spiking.slots",
    "spike_raster": "verbs.spikes",
    "train": "verbs.train",
    "val": "verbs.val",
    "verify_spike_driven": "model.forms.verify",
}


def __getattr__(name: str) -> Any:
    """Imports what is asked for when it is: torch takes a second, and `spikeyolo --help` needs none of it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
