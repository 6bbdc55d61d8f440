"""What an exported network says of itself: in the file's metadata or in a JSON beside it. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from .errors import CheckpointError, ConfigError, one_line, quote
from .strict import build

FORMAT = "spikeyolo-export"
VERSION = 1
KEY = "spikeyolo"
"""Of the metadata of an ONNX file, and of OpenVINO's `rt_info`."""

IMAGES = "images"
"""The input: (B, C, H, W) still images, or (T, B, C, H, W) event frames."""

STATE, NEW_STATE = "state/", "new_state/"
"""Before the name of a neuron: its membrane potentials (B, C, H, W) as an input, and as an output."""

LOGITS = ("logits8", "logits16", "logits32")
"""Outputs `logits`: (B, 4 * REG_MAX + classes, H / stride, W / stride)."""

BOXES = ("boxes", "scores")
"""Outputs `boxes`: (B, A, 4) xyxy in pixels of the canvas, (B, A, classes) in 0..1."""

DETECTIONS = ("boxes", "scores", "labels", "image_index")
"""Outputs `detections`: (N, 4) xyxy in pixels of the canvas, (N,), (N,) and (N,) int64, best first for each image."""

SPIKES = "spikes"
"""An output that a graph may have beside those: (layers, slot codes, 2) spikes that feed each layer, and the same times
the positions that each reaches; see `exporting.onnx_spikes`."""

Outputs = Literal["logits", "boxes", "detections"]

SlotCodeName = Literal["unary", "binary"]
"""How a spike count becomes binary slots; see `spiking.slots`."""


@dataclass(frozen=True)
class Artefact:
    """What whoever runs an exported network needs to know.

    Attributes:
        names: class names.
        input: what it sees: values of an `ImageInput` or `EventInput`, with their `kind`.
        config: of the network, as in its own file.
        form: of the network.
        precision: float32, float16, int8, or integer.
        timesteps: T of one run: the network's, and 1 of a stream.
        streaming: membrane potentials are inputs and outputs.
        outputs: what the graph gives.
        size_hw: rows and columns of the input; None where they are free.
        batch: images of a run; None where it is free.
        strides: of the levels of logits.
        decay: of the neurons; None where each layer has its own.
        gain: the same.
        max_count: D.
        slot_code: weights of the binary slots of a count, in their order: D of 1, or the digits' ..., 4, 2, 1. What
            computes on counts gives the same numbers whichever they are.
        fraction_bits: of integers: logits and potentials are in units of 2**-fraction_bits.
        spikeyolo: version of this package that wrote it.
    """

    names: tuple[str, ...]
    input: dict[str, Any]
    config: dict[str, Any]
    form: str
    precision: str
    timesteps: int
    streaming: bool
    outputs: Outputs
    size_hw: tuple[int, int] | None
    batch: int | None
    strides: tuple[int, ...]
    decay: float | None
    gain: float | None
    max_count: int
    slot_code: tuple[int, ...]
    fraction_bits: int | None
    spikeyolo: str

    def to_json(self) -> str:
        """Return all as text."""
        return json.dumps({"format": FORMAT, "version": VERSION, **asdict(self)})


def read_artefact(text: str | None, source: str) -> Artefact:
    """Return what a file says of itself.

    Args:
        text: what stands under `KEY`; None if nothing does.
        source: the file, for errors.

    Raises:
        CheckpointError: it is not of this program, of a later version, or edited so that it makes no sense.
    """
    if text is None:
        raise CheckpointError(f"{source}: not written by spikeyolo export (its metadata has no {KEY!r})")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{source}: its metadata is no JSON ({one_line(error)})") from error
    if not isinstance(values, Mapping) or values.get("format") != FORMAT:
        raise CheckpointError(f"{source}: not written by spikeyolo export (its metadata says {quote(values)})")
    if values.get("version") != VERSION:
        raise CheckpointError(
            f"{source}: format version {quote(values.get('version'))}, this spikeyolo reads {VERSION}; "
            "install a newer one"
        )
    values = {key: value for key, value in values.items() if key not in ("format", "version")}
    try:
        found: Artefact = build(Artefact, values, "metadata")
    except ConfigError as error:
        raise CheckpointError(f"{source}: its metadata cannot be used ({error})") from error
    return found
