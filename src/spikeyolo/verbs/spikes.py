"""What the neurons of a network do on images: rates by layer, spikes in their slots, potentials over time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..errors import ConfigError, quote
from ..evaluation.plots import png_of, save_figure
from ..imaging.given import Image
from ..imaging.tensors import as_input
from ..metering.counting import count_layers, on_counts
from ..metering.layer_count import LayerCount
from ..metering.report import weighted_rate
from ..model.detector import SpikeYOLO
from ..model.forms.spike_driven import SpikeDrivenConv
from ..optional import optional_module
from ..spiking import ILIF, NeuronState, binary_slots, scale_in_use
from ..spiking.spiking_neuron import SpikingNeuron, ilif_of
from ..strict import closest
from ..terminal import as_html, as_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

MOST_LABELS = 32
"""Slots that are labelled one by one."""

Images = Tensor | Image | Sequence[Image]


@dataclass(frozen=True)
class LayerRate:
    """How often the neurons before a convolution fire.

    Attributes:
        firing_rate: share of the binary slots that hold a spike: mean count / D.
        mean_count: mean spike count of a timestep, 0..D.
        silent: share of neurons that do not fire in any timestep of an image.
        saturated: share of counts that are D.
    """

    firing_rate: float
    mean_count: float
    silent: float
    saturated: float


class FiringRates(Mapping[str, LayerRate]):
    """Rates by the name of the layer, in the order in which they run; printed, or in a notebook, a table.

    Attributes:
        overall: share of all slots of the network that hold a spike, each neuron the same weight.
        images: how many were looked at.
    """

    def __init__(self, layers: Sequence[LayerCount], images: int) -> None:
        spiking = [layer for layer in layers if layer.mean_count is not None]  # the first one sees the image
        self.overall, self.images = weighted_rate(spiking), images
        self._rates = {layer.name: _rate(layer) for layer in spiking}

    def __getitem__(self, name: str) -> LayerRate:
        return self._rates[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rates)

    def __len__(self) -> int:
        return len(self._rates)

    def table(self) -> Table:
        """Return a row a layer, for `rich.print`."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        title = f"Firing rates, mean of {self.images} image{'s' if self.images > 1 else ''}: {self.overall:.1%} in all"
        table = Table(title=title, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        table.add_column("layer", overflow="fold")
        for column in ("firing rate", "mean count", "silent", "at D"):
            table.add_column(column, justify="right", no_wrap=True)
        for name, rate in self._rates.items():
            shares = (f"{rate.silent:.1%}", f"{rate.saturated:.1%}")
            table.add_row(name, f"{rate.firing_rate:.1%}", f"{rate.mean_count:.3f}", *shares)
        return table

    def __repr__(self) -> str:
        return as_text(self.table())

    def _repr_html_(self) -> str:
        return as_html(self.table())


def _rate(layer: LayerCount) -> LayerRate:
    values = layer.firing_rate, layer.mean_count, layer.silent, layer.saturated
    assert all(value is not None for value in values)
    return LayerRate(*values)  # type: ignore[arg-type]


def firing_rates(
    model: SpikeYOLO, images: Images, *, imgsz: int | tuple[int, int] | None = None, batch: int = 8
) -> FiringRates:
    """Count how often the neurons of each layer fire; exactly, so that the batch does not matter.

    Args:
        model: trained or folded; it is counted in the form that runs on spikes, and stays as it is.
        images: as for `SpikeYOLO.predict`; event frames (T, B, C, H, W) as a tensor.
        imgsz: rows and columns of the canvas (one number: square), in place of the model's own.
        batch: images looked at together.

    Returns:
        A mapping of the names of layers to their `LayerRate`.

    Raises:
        ConfigError: a model without spikes, or of integers.
        DataError: an image that cannot be read.
        ShapeError: an array or tensor that is no image.
    """
    if batch < 1:
        raise ConfigError(f"batch: {batch} is below 1")
    axis = -4
    if isinstance(images, Tensor):
        parts: list[Any] = list(images.split(batch, axis))
    else:
        several = list(images) if isinstance(images, Sequence) and not isinstance(images, str) else [images]
        parts = [several[start : start + batch] for start in range(0, len(several), batch)]
    count = 0

    def batches() -> Iterator[Tensor]:
        nonlocal count
        for part in parts:
            tensor, _ = model.seen(part, imgsz)
            count += tensor.shape[axis]
            yield as_input(tensor, model.device, model.dtype)

    if not parts:
        raise ConfigError("images: none are given")
    layers = count_layers(model, batches())
    return FiringRates(layers, count)


class Plot:
    """A figure; a notebook shows it.

    Attributes:
        figure: the matplotlib figure.
    """

    def __init__(self, figure: Figure) -> None:
        self.figure = figure

    def __repr__(self) -> str:
        return "Plot(shown by notebooks; save(path) writes it, figure is matplotlib's)"

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it as a PNG, whole or not at all.

        Raises:
            WriteError: the file cannot be written.
        """
        return save_figure(self.figure, path)

    def _repr_png_(self) -> bytes:
        return png_of(self.figure)


@torch.no_grad()
def _currents(
    model: SpikeYOLO, image: Images, layer: str, imgsz: Any, asked: str
) -> tuple[ILIF | SpikingNeuron, Tensor]:
    """The neurons before a convolution, as I-LIF if they are, and their currents (T, C, H, W) for the first image."""
    network = on_counts(model)
    units = {name: unit for name, unit in network.named_modules() if isinstance(unit, SpikeDrivenConv)}
    if layer not in units:
        raise ConfigError(f"layer: {quote(layer)} is none of this network's; {closest(layer, units)}")
    neuron, received = units[layer].neuron, list[Tensor]()
    hook = neuron.register_forward_pre_hook(lambda _, inputs: received.append(inputs[0]))
    tensor, _ = model.seen(image, imgsz)
    network(as_input(tensor.narrow(-4, 0, 1), network.device, network.dtype))
    hook.remove()
    own = isinstance(neuron, SpikingNeuron) and neuron.as_ilif() is None
    return neuron if own else ilif_of(neuron, asked), received[0][:, 0]


@torch.no_grad()
def _fire(neuron: ILIF | SpikingNeuron, currents: Tensor) -> tuple[Tensor, Tensor]:
    """Counts (T, N) and states after each timestep (T, variables, N), of currents (T, C, H, W)."""
    state, counts, states = NeuronState(), [], []
    for current in currents:
        outputs = neuron(current[None, None], state)
        counts.append(neuron.counts(outputs).flatten())
        states.append(state[neuron.name].reshape(-1, current.numel()))
    return torch.stack(counts).cpu(), torch.stack(states).cpu()


def _some(counts: Tensor, how_many: int) -> Tensor:
    """Indices of so many neurons, evenly spaced among those that fire at all; of a silent layer its first ones."""
    firing = counts.sum(0).nonzero().flatten()
    firing = firing if len(firing) else torch.arange(counts.shape[1])
    return firing[torch.linspace(0, len(firing) - 1, min(how_many, len(firing))).long()]


def spike_raster(
    model: SpikeYOLO,
    image: Images,
    layer: str,
    *,
    neurons: int = 48,
    slot_code: str = "unary",
    imgsz: int | tuple[int, int] | None = None,
) -> Plot:
    """Draw when the neurons before a convolution fire for an image: a row a neuron, a column a binary slot.

    Args:
        model: trained or folded, with spikes.
        image: one, as for `SpikeYOLO.predict`; event frames (T, 1, C, H, W) as a tensor.
        layer: name of the convolution, a key of `firing_rates`.
        neurons: so many are drawn, evenly spaced among those that fire at all.
        slot_code: unary or binary: how a count becomes spikes.
        imgsz: rows and columns of the canvas (one number: square), in place of the model's own.

    Raises:
        ConfigError: no such layer, a model without spikes, or another code.
        MissingPackage: matplotlib is not installed.
    """
    from ..spiking import SlotCode

    code = SlotCode.of(slot_code)
    neuron, currents = _currents(model, image, layer, imgsz, "spike_raster")
    counts, _ = _fire(neuron, currents)
    shown = counts[:, _some(counts, neurons)]
    # (T, slots, N) -> a column a slot
    slots = torch.stack(list(binary_slots(shown, neuron.max_count, code)), dim=1).flatten(0, 1)
    weights = code.weights(neuron.max_count)
    figure = optional_module("matplotlib.figure", "train").Figure(figsize=(7, 5), layout="constrained")
    axes = figure.add_subplot()
    axes.eventplot([row.nonzero().flatten().tolist() for row in slots.T], linelengths=0.8, linewidths=2, color="black")
    for timestep in range(1, len(shown)):
        axes.axvline(timestep * len(weights) - 0.5, color="tab:red", linewidth=1)
    axes.set_xlim(-0.5, len(slots) - 0.5)
    labelled = range(len(slots)) if len(slots) <= MOST_LABELS else []
    axes.set_xticks(labelled, [str(weights[slot % len(weights)]) for slot in labelled])
    axes.set_xlabel(f"slots by their weight, {code} code; T = {len(shown)} timestep{'s' if len(shown) > 1 else ''}")
    axes.set_ylabel(f"{shown.shape[1]} of the neurons that fire")
    axes.set_yticks([])
    rate = float(counts.double().mean()) / neuron.max_count
    silent = float((counts.sum(0) == 0).double().mean())
    axes.set_title(f"{layer}: {counts.shape[1]} neurons, firing rate {rate:.1%}, {silent:.1%} silent", fontsize=10)
    return Plot(figure)


def membrane_trace(
    model: SpikeYOLO,
    image: Images,
    layer: str,
    *,
    neurons: int = 4,
    imgsz: int | tuple[int, int] | None = None,
) -> Plot:
    """Draw the membrane potentials before a convolution over the timesteps of an image, before and after each reset.

    Of a neuron of one's own, which is no I-LIF, its state after each timestep is drawn, every variable of it.

    Args:
        model: trained or folded, with spikes.
        image: one, as for `SpikeYOLO.predict`; event frames (T, 1, C, H, W) as a tensor.
        layer: name of the convolution, a key of `firing_rates`.
        neurons: so many are drawn, each in a panel, evenly spaced among those that fire at all.
        imgsz: rows and columns of the canvas (one number: square), in place of the model's own.

    Raises:
        ConfigError: no such layer, or a model without spikes.
        MissingPackage: matplotlib is not installed.
    """
    neuron, currents = _currents(model, image, layer, imgsz, "membrane_trace")
    counts, states = _fire(neuron, currents)
    chosen = _some(counts, neurons)
    figure = optional_module("matplotlib.figure", "train").Figure(
        figsize=(7, 1.6 * len(chosen) + 0.8), layout="constrained"
    )
    panels = np.atleast_1d(figure.subplots(len(chosen), sharex=True))
    if isinstance(neuron, ILIF):
        drawn = "membrane potential in units of the threshold"
        before = states[:, 0] + counts * _spike_weight(neuron, currents).cpu()
        for axes, index in zip(panels, chosen.tolist(), strict=True):
            _draw_potential(axes, before[:, index].numpy(), states[:, 0, index].numpy(), counts[:, index].tolist())
    else:
        drawn = "state after each timestep"
        rest = neuron.rest(currents[0][None]).reshape(1, -1, counts.shape[1]).cpu()
        along = torch.cat([rest, states])
        for axes, index in zip(panels, chosen.tolist(), strict=True):
            _draw_state(axes, along[..., index].numpy(), counts[:, index].tolist())
    for axes, index in zip(panels, chosen.tolist(), strict=True):
        axes.axhline(0, color="black", linewidth=0.5)
        axes.margins(x=0.06, y=0.25)
        axes.set_ylabel(f"neuron\n{index}", fontsize=8)
    figure.legend(*panels[0].get_legend_handles_labels(), fontsize=8, loc="outside lower right", ncols=2)
    figure.suptitle(f"{layer}\n{drawn}; the numbers are spike counts", fontsize=10)
    panels[-1].set_xticks(range(len(counts) + 1))
    panels[-1].set_xlabel("timestep (0: at rest)")
    return Plot(figure)


def _draw_potential(axes: Any, h: np.ndarray, v: np.ndarray, counts: Sequence[float]) -> None:
    """Potentials (T,) before firing and after the reset, of a neuron."""
    times = np.arange(1, len(counts) + 1)
    axes.plot(np.append(0, np.repeat(times, 2)), np.append(0, np.stack([h, v], 1)), color="grey", linewidth=1)
    axes.plot(times, h, "o", color="tab:blue", label="before firing")
    axes.plot(times, v, "o", color="tab:orange", label="after the reset")
    _write_counts(axes, h, counts)


def _draw_state(axes: Any, states: np.ndarray, counts: Sequence[float]) -> None:
    """Variables (1 + T, variables) of a neuron, from rest on."""
    for number, along in enumerate(states.T):
        axes.plot(along, "o-", linewidth=1, label=f"state[{number}]" if states.shape[1] > 1 else "state")
    _write_counts(axes, states[1:, 0], counts)


def _write_counts(axes: Any, heights: np.ndarray, counts: Sequence[float]) -> None:
    for time, (height, count) in enumerate(zip(heights, counts, strict=True), 1):
        axes.annotate(f"{count:.0f}", (time, height), xytext=(6, 2), textcoords="offset points", fontsize=8)


def _spike_weight(neuron: ILIF, currents: Tensor) -> Tensor:
    """What a spike takes off the potential, of each neuron or of all."""
    if neuron.scale is None:
        return torch.ones(1)
    return scale_in_use(neuron.scale).view(-1, 1, 1).expand(currents.shape[1:]).flatten()
