"""What an exported network says of itself, from the model and from how it is written."""

from __future__ import annotations

import json
from typing import Any

from ..artefact import Artefact, Outputs
from ..model.detector import SpikeYOLO
from ..model.forms.integer import IntegerILIF
from ..model.inputs import Input, to_metadata
from ..spiking import SpikingNeuron
from ..spiking.spiking_neuron import ilif_of, is_own
from ..structures import STRIDES
from ..version import __version__


def describe(
    model: SpikeYOLO,
    seen: Input,
    *,
    size_hw: tuple[int, int] | None,
    precision: str = "float32",
    outputs: Outputs = "boxes",
    batch: int | None = 1,
    streaming: bool = False,
) -> Artefact:
    """Return what an exported network says of itself.

    Args:
        model: in the form that is written.
        seen: its input.
        size_hw: rows and columns of the graph's input; None where they are free.
        precision: of the numbers.
        outputs: of the graph.
        batch: images of a run; None where it is free.
        streaming: potentials come in and go out.
    """
    decay, gain = _dynamics(model)
    return Artefact(
        names=model.names,
        input=_plain(to_metadata(seen)),
        config=_plain(model.config.to_dict()),
        form=str(model.form),
        precision=precision,
        timesteps=1 if streaming else model.config.timesteps,
        streaming=streaming,
        outputs=outputs,
        size_hw=size_hw,
        batch=batch,
        strides=STRIDES,
        decay=decay,
        gain=gain,
        max_count=model.config.max_count,
        slot_code=model.slot_code.weights(model.config.max_count),
        fraction_bits=model.fraction_bits,
        spikeyolo=__version__,
    )


def _dynamics(model: SpikeYOLO) -> tuple[float | None, float | None]:
    """Decay and gain of the neurons; of those from outside the package, of the I-LIF neurons that they are."""
    if not is_own(model.config.neuron):
        return model.config.dynamics
    found = set()
    for part in model.modules():
        if isinstance(part, SpikingNeuron):
            same = ilif_of(part, "export")
            found.add((same.decay, same.gain))
        elif isinstance(part, IntegerILIF):
            found.add((part.decay, 2.0**-part.gain_shift))
    return found.pop() if len(found) == 1 else (None, None)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """As they are read back: lists for tuples."""
    found: dict[str, Any] = json.loads(json.dumps(values))
    return found
