"""The network that a training learns from: read, checked, and known again by its content."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import CheckpointError, ConfigError, quote
from ...events.event_input import EventInput
from ...files import write_whole
from ...imaging.tensors import as_input
from ...interop.reference import load_any
from ...model.detector import SpikeYOLO
from ...model.forms.form import Form
from ...model.inputs import Input
from ...model.presets import PRESETS
from ...strict import value_of
from ...text_files import read_json
from ...weights.shipped import weights_file
from .neck import Levels, neck_features

LARGEST_RECORD = 2**16


class Teacher:
    """A trained detector that looks at the batches of a training and does not change.

    No module, and copied by no one: what holds it neither trains it nor saves it.

    Args:
        file: a saved network, or a published checkpoint; batch norms are folded.
        names: of the training's classes, which must be the teacher's, in order.
        input: what the network in training sees; the teacher must take it.

    Attributes:
        file: the same.
        digest: BLAKE2b of its content.
        network: folded, in eval mode, without gradients.

    Raises:
        CheckpointError: the file cannot be used, or holds a form that has no floating-point features.
        ConfigError: no file, or a network of other classes or another input.
    """

    def __init__(self, file: str, names: Sequence[str], input: Input) -> None:
        if file in PRESETS and not os.path.exists(file):
            raise ConfigError(f"teacher: {file!r} is a preset; name the file of a trained network")
        try:
            network = load_any(file)
        except CheckpointError as error:
            raise CheckpointError(f"teacher: {error}") from error
        if network.form in (Form.SPIKE_DRIVEN, Form.INTEGER):
            raise CheckpointError(
                f"teacher: {file} holds the {network.form} form of a network; take the file that it was made from"
            )
        _check_classes(file, network.names, names)
        _check_input(file, network, input)
        self.file = file
        self.digest = _digest(weights_file(file))
        self.network = network.fold() if network.form is Form.TRAINABLE else network
        self.network.eval().requires_grad_(False)

    def __str__(self) -> str:
        config, millions = self.network.config, sum(p.numel() for p in self.network.parameters()) / 1e6
        return (
            f"{Path(self.file).name}, {millions:.1f} M parameters, neuron {config.neuron}, T = {config.timesteps}, "
            f"D = {config.max_count}"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Teacher:
        return self

    @torch.no_grad()
    def look(self, images: Tensor) -> tuple[Levels, Sequence[Tensor]]:
        """Return the neck's features and the logits, level by level, of images as the training's network sees them."""
        if self.network.device != images.device:
            self.network.to(images.device)
        with neck_features(self.network) as found:
            logits = self.network(as_input(images, images.device, self.network.dtype))
        return found[0], logits

    def keep_record(self, record: Path) -> None:
        """Write which file it is, or compare with what a run that is resumed has written.

        Raises:
            ConfigError: the run has learnt from another file, or the record cannot be read.
        """
        if os.path.lexists(record):
            kept = read_json(record, LARGEST_RECORD, ConfigError)
            try:
                before, digest = (value_of(kept[key], str, key) for key in ("file", "blake2b"))
            except (TypeError, KeyError, ConfigError) as error:
                raise ConfigError(
                    f"{record}: not what a run keeps of its teacher; remove it to go on without"
                ) from error
            if digest != self.digest:
                raise ConfigError(
                    f"teacher: {self.file} is not the file that this run has learnt from so far (then {before}); "
                    "bring that one back, or start a new run"
                )
        write_whole(record, json.dumps({"file": self.file, "blake2b": self.digest}).encode())


def _check_classes(file: str, own: Sequence[str], names: Sequence[str]) -> None:
    if len(own) != len(names):
        raise ConfigError(
            f"teacher: {file} knows {len(own)} classes, the data have {len(names)}; they must be the same"
        )
    for number, (theirs, ours) in enumerate(zip(own, names, strict=True)):
        if theirs != ours:
            raise ConfigError(
                f"teacher: class {number} is {quote(theirs)} to {file} and {quote(ours)} in the data; they must be the "
                "same, in the same order"
            )


def _check_input(file: str, network: SpikeYOLO, input: Input) -> None:
    try:
        network.check_input(input)
    except ConfigError as error:
        raise ConfigError(f"teacher: {file} does not see what the network in training does: {error}") from error
    own = network.input
    if isinstance(input, EventInput) and isinstance(own, EventInput):
        for name in ("representation", "order"):
            theirs, ours = getattr(own, name), getattr(input, name)
            if theirs != ours:
                raise ConfigError(f"teacher: {file} was trained with {name} {theirs}, the training has {ours}")


def _digest(file: str | os.PathLike[str]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with open(file, "rb") as content:
        while part := content.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()
