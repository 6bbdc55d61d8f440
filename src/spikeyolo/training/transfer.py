"""The network that a training starts from: new, or with the weights of a saved one where they fit."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CheckpointError, ConfigError
from ..hub import is_address
from ..imaging.tensors import as_input
from ..interop.reference import load_any
from ..model.blocks import SpikingConv
from ..model.detector import SpikeYOLO
from ..model.forms.form import Form
from ..model.inputs import Input
from ..model.presets import PRESETS, RELU
from ..spiking.scales import scaled_layers, start_scales
from ..strict import nearest
from ..structures import Batch
from ..weights.shipped import is_shipped, shipped_models
from .settings import TrainSettings

OF_THE_NETWORK = ("timesteps", "max_count", "neuron", "learned_scale", "surrogate_width")
"""Settings that stand in place of the model's."""


@dataclass(frozen=True)
class TransferReport:
    """Which weights of a saved model a new one took over.

    Attributes:
        source: the file.
        taken: names of the tensors taken over.
        reinitialized: names of tensors that start anew, with the reason.
        unused: names of tensors of the file for which there was no place.
        twin: what was done with the weights of an ANN twin that now drive spikes, if they are.
    """

    source: str
    taken: tuple[str, ...]
    reinitialized: tuple[tuple[str, str], ...]
    unused: tuple[str, ...]
    twin: str = ""

    @property
    def new_scales(self) -> tuple[str, ...]:
        """Names of learned scales that the file does not have: they are set from data, see `scales_from_data`."""
        return tuple(name for name, _ in self.reinitialized if name.endswith(".neuron.scale"))

    def lines(self) -> list[str]:
        """Return the same in a few lines to print."""
        total = len(self.taken) + len(self.reinitialized)
        lines = [f"{self.source}: {len(self.taken)} of {total} tensors taken over"]
        named = [(name, why) for name, why in self.reinitialized if name not in self.new_scales]
        lines += [f"  starts anew: {name} ({why})" for name, why in named]
        if self.unused:
            lines.append(f"  not used: {', '.join(self.unused)}")
        if self.twin:
            lines.append(f"  {self.twin}")
        return lines


def is_preset(model: str) -> bool:
    """Whether the option names a preset and no file."""
    return model in PRESETS


def read_model(path: str) -> SpikeYOLO:
    """Load a saved model or a published checkpoint, by its ending, or a model that comes with the package.

    Raises:
        CheckpointError: the file cannot be used.
        ConfigError: neither a file nor the name of a preset.
    """
    named = is_shipped(path) or is_address(path)
    if not Path(path).suffix and not os.path.exists(path) and not named:
        known = f"neither a preset ({', '.join(PRESETS)}), a model of the package ({', '.join(shipped_models())}) nor"
        near = nearest(Path(path).name, [*PRESETS, *shipped_models()])
        raise ConfigError(f"model: {path!r} is {known} a file" + (f"; did you mean {near!r}?" if near else ""))
    return load_any(path)


def starting_model(
    settings: TrainSettings, names: Sequence[str], input: Input
) -> tuple[SpikeYOLO, TransferReport | None]:
    """Return the network that training starts from, with a class for each name, and what it took over from a file.

    Args:
        settings: the recipe.
        names: of the classes.
        input: what the network is to see; it decides the channels and levels, of recordings also the timesteps.

    Raises:
        ConfigError: no such preset or file, an invalid setting, or a part to freeze that does not exist.
        CheckpointError: a file that cannot be used, or a folded network, which cannot be trained.
    """
    changes: dict[str, Any] = {name: value for name in OF_THE_NETWORK if (value := getattr(settings, name)) is not None}
    changes["num_classes"] = len(names)
    changes |= input.network_fields
    source = None if is_preset(settings.model) else read_model(settings.model)
    if source is not None and source.form is not Form.TRAINABLE:
        raise CheckpointError(f"{settings.model}: a folded network cannot be trained; take the file before folding")
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        model = SpikeYOLO(settings.model if source is None else source.config, names=names, input=input, **changes)
    transfer = None if source is None else load_matching(model, source, settings.model)
    if transfer is not None and source is not None and source.config.neuron == RELU != model.config.neuron:
        transfer = replace(transfer, twin=spike_like_twin(model))
    freeze(model, settings.freeze)
    return model, transfer


def load_matching(model: SpikeYOLO, source: SpikeYOLO, path: str) -> TransferReport:
    """Give a model the tensors of another one whose names and shapes are the same; raise CheckpointError if none is."""
    own, given = model.state_dict(), source.state_dict()
    taken, reinitialized = [], []
    for name, value in own.items():
        if name not in given:
            reinitialized.append((name, "not in the file"))
        elif given[name].shape != value.shape:
            reinitialized.append((name, f"{tuple(given[name].shape)} in the file, {tuple(value.shape)} here"))
        else:
            taken.append(name)
    if not taken:
        raise CheckpointError(f"{path}: none of its weights fits the network")
    model.load_state_dict({**own, **{name: given[name].to(own[name].dtype) for name in taken}})
    left = [name for name in given if name not in taken]
    return TransferReport(path, tuple(taken), tuple(reinitialized), tuple(left))


@torch.no_grad()
def spike_like_twin(model: SpikeYOLO) -> str:
    """Make neurons that have a twin's weights receive what the twin's did, and return what was done.

    Clipping is the twin's already, and rounding is what the training has to learn. A gain other than 1 would scale
    every current: the norms, by which each reaches its neurons, are divided by it. At T = 1 that is exact.
    """
    said = "from an ANN twin: its values are counts from now on, rounded"
    gain = model.config.dynamics[1]
    if gain == 1.0:
        return f"{said}; weights stay as they are"
    for unit in model.modules():
        if isinstance(unit, SpikingConv) and isinstance(unit.norm, nn.BatchNorm2d):
            unit.norm.weight.div_(gain)
            unit.norm.bias.div_(gain)
    return f"{said}; norms are divided by the neurons' gain, {gain:g}"


def scales_from_data(model: SpikeYOLO, batches: Iterable[Batch], device: torch.device) -> str:
    """Set the learned scales of a model whose weights are another's, see `start_scales`, and return what was done.

    Args:
        model: on the CPU, where it is afterwards, too.
        batches: a few, of the training.
        device: to compute on.
    """
    images = 0

    def prepared() -> Iterator[Tensor]:
        nonlocal images
        for batch in batches:
            images += batch.batch_size
            yield as_input(batch.images, device, model.dtype)

    model.to(device)
    start_scales(model, prepared())
    model.to("cpu")
    scales = torch.cat([layer.scale.detach() for layer in scaled_layers(model) if layer.scale is not None])
    low, middle, high = (float(value) for value in (scales.min(), scales.median(), scales.max()))
    return f"  learned scales set from the potentials of {images} images: {low:.2g} to {high:.2g}, median {middle:.2g}"


def is_frozen(name: str, prefixes: Sequence[str]) -> bool:
    """Whether a parameter or module belongs to one of these parts: `backbone` has `backbone.stem`, not `backbone2`."""
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def freeze(model: SpikeYOLO, prefixes: Sequence[str]) -> None:
    """Take parameters out of training.

    Raises:
        ConfigError: a prefix that no parameter has, or nothing left to train.
    """
    names = [name for name, _ in model.named_parameters()]
    for prefix in prefixes:
        if not any(is_frozen(name, [prefix]) for name in names):
            parts = ", ".join(name for name, _ in model.named_children())
            raise ConfigError(f"freeze: no part of the network is called {prefix!r}; its parts are {parts}")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not is_frozen(name, prefixes))
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError("freeze: nothing is left to train")
