"""What an exported network says of itself, from the model and from how it is written."""

from __future__ import annotations

import json
from typing import Any

from ..artefact import Artefact, Outputs
from ..model.detector import SpikeYOLO
from ..model.inputs import Input, to_metadata
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
    decay, gain = model.config.dynamics
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
        slot_code=(1,) * model.config.max_count,
        fraction_bits=model.fraction_bits,
        spikeyolo=__version__,
    )


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """As they are read back: lists for tuples."""
    found: dict[str, Any] = json.loads(json.dumps(values))
    return found
