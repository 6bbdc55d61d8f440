"""What a spike-driven network does for an image: spikes by layer, and the operations they cause, counted exactly.

The network is measured in the form in which it would run on hardware: dense, its sums exact (`model.spike_driven`), so
that the counts do not depend on the batch size, the number of processes or the order of addition. Every figure is a
sum over images, divided once at the end; nothing runs that is not an image of the data (no warm-up).

T and D are handled once, here: a mean count is per neuron and *timestep*, 0..D; operations are per *image*, all T
timesteps together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import DataError
from ..model.blocks import SpikingConv
from ..model.detector import SpikeYOLO
from ..model.forms.form import Form
from ..model.forms.spike_driven import SpikeDrivenConv, run_on_slots
from ..spiking import SlotCode
from .layer_count import LayerCount


@dataclass
class UnitTally:
    """Sums over images for one unit; see LayerCount."""

    macs: int
    timesteps: int
    max_count: int
    inputs: int
    outputs: int
    weights: int
    histogram: Tensor | None = None  # (places in time, D + 1) int64
    silent: int = 0
    synaptic_ops: Tensor | None = None  # (places in time) int64
    digit_ops: Tensor | None = None

    def add(self, other: UnitTally) -> None:
        """Take the sums of other images."""
        if (self.macs, self.timesteps, self.inputs) != (other.macs, other.timesteps, other.inputs):
            raise DataError("images of different sizes cannot be counted together")
        for name in ("histogram", "synaptic_ops", "digit_ops"):
            ours, theirs = getattr(self, name), getattr(other, name)
            setattr(self, name, theirs if ours is None else ours if theirs is None else ours + theirs)
        self.silent += other.silent


@dataclass
class Tally:
    """Sums over images for all units, in the order in which they run. Tallies of parts of a data set add up.

    Attributes:
        images: looked at, from rest each; 0 of recordings that were followed.
        units: by name.
        followed: of recordings that were followed, timesteps at each place in time; see `following`.
    """

    images: int = 0
    units: dict[str, UnitTally] = field(default_factory=dict)
    followed: Tensor | None = None

    def add(self, other: Tally) -> None:
        """Take the sums of other images.

        Raises:
            DataError: they have another size.
        """
        self.images += other.images
        if other.followed is not None:
            self.followed = other.followed if self.followed is None else self.followed + other.followed
        for name, unit in other.units.items():
            if name in self.units:
                self.units[name].add(unit)
            else:
                self.units[name] = unit

    def layers(self) -> list[LayerCount]:
        """Return the figures of an image.

        Raises:
            ValueError: no images.
        """
        if not self.images:
            raise ValueError("energy: no images to count on")
        return [_layer(name, unit, self.images) for name, unit in self.units.items()]


def _layer(name: str, unit: UnitTally, images: int) -> LayerCount:
    sizes: dict[str, Any] = {"inputs": unit.inputs, "outputs": unit.outputs, "weights": unit.weights}
    if unit.histogram is None:
        ops = None if unit.synaptic_ops is None else _sum(unit.synaptic_ops) / images
        return LayerCount(name, unit.macs, None, unit.timesteps, unit.max_count, ops, ops, **sizes)
    neurons = unit.inputs * images
    spikes = int((unit.histogram * torch.arange(unit.max_count + 1)).sum())
    return LayerCount(
        name,
        unit.macs,
        spikes / (neurons * unit.timesteps),
        unit.timesteps,
        unit.max_count,
        synaptic_ops=_sum(unit.synaptic_ops) / images,
        digit_ops=_sum(unit.digit_ops) / images,
        histogram=tuple(tuple(share / neurons for share in row) for row in unit.histogram.tolist()),
        silent=unit.silent / neurons,
        **sizes,
    )


def _sum(counts: Tensor | None) -> int:
    return 0 if counts is None else int(counts.sum())


def reach(kernel: int, stride: int, padding: int, before: int, after: int) -> Tensor:
    """Return (before,) float64: how many outputs along an axis a spike at each position reaches; exact at borders.

    Args:
        kernel: positions of the convolution along this axis.
        stride: of the convolution.
        padding: of the convolution, at either end.
        before: positions of the input.
        after: positions of the output.
    """
    starts = torch.arange(after).unsqueeze(1) * stride - padding
    touched = (starts + torch.arange(kernel)).flatten()
    touched = touched[(touched >= 0) & (touched < before)]
    return torch.bincount(touched, minlength=before).double()


def fan_out(conv: nn.Conv2d, in_hw: Sequence[int], out_hw: Sequence[int]) -> Tensor:
    """Return (H, W) float64: how many outputs a spike at each input position of a channel reaches; exact at borders."""
    rows, columns = (
        reach(conv.kernel_size[axis], conv.stride[axis], int(conv.padding[axis]), in_hw[axis], out_hw[axis])
        for axis in (0, 1)
    )
    return torch.outer(rows, columns) * (conv.out_channels // conv.groups)


@contextmanager
def watched(network: SpikeYOLO, see: Callable[[str, nn.Conv2d, Tensor, Tensor], None]) -> Iterator[None]:
    """Inside, `see(name, convolution, input (T * B, C, H, W), output)` is called for every convolution that runs."""
    units = {n: m for n, m in network.named_modules() if isinstance(m, SpikeDrivenConv | SpikingConv)}

    def hook(name: str, conv: nn.Conv2d, inputs: tuple[Any, ...], output: Tensor) -> None:
        see(name, conv, inputs[0], output)

    hooks = []
    for name, unit in units.items():
        conv = unit.synapses if isinstance(unit, SpikeDrivenConv) else unit.conv
        assert isinstance(conv, nn.Conv2d)
        hooks.append(conv.register_forward_hook(partial(hook, name)))
    try:
        yield
    finally:
        for handle in hooks:
            handle.remove()


def on_counts(model: SpikeYOLO) -> SpikeYOLO:
    """Return the spike-driven form of a model, run on counts: the same spikes as on unary slots, sooner.

    Raises:
        ConfigError: an ANN twin or an integer network.
    """
    network = model.to_spike_driven("unary")
    run_on_slots(network, on_slots=False)
    return network


@torch.no_grad()
def tally(network: SpikeYOLO, batches: Iterable[Tensor]) -> Tally:
    """Count the spikes and operations of a network from `on_counts`.

    Args:
        network: in its spike-driven form, on counts.
        batches: images as for the model's forward, all of one size; of any length.
    """
    assert network.form is Form.SPIKE_DRIVEN
    max_count = network.config.max_count
    total = Tally()
    for batch in batches:
        here = Tally(batch.shape[-4])

        def see(name: str, conv: nn.Conv2d, x: Tensor, y: Tensor, here: Tally = here) -> None:
            here.units[name] = _unit(conv, x, y, here.images, max_count, name == "backbone.stem")

        def see_sums(x: Tensor, y: Tensor, here: Tally = here) -> None:
            unit = sums_of(x, y, max_count, torch.arange(len(x)).repeat_interleave(here.images))
            here.units["backbone.leaks"], unit.timesteps = unit, len(x)

        with watched(network, see), sums_watched(network, see_sums):
            network(batch.to(network.device, network.dtype))
        total.add(here)
    return total


@contextmanager
def sums_watched(network: SpikeYOLO, see: Callable[[Tensor, Tensor], None]) -> Iterator[None]:
    """Inside, `see(bins, sums)` is called where leaky sums run before the first convolution; both (T, B, C, H, W)."""
    sums = network.backbone.leaks
    hook = None if sums is None else sums.register_forward_hook(lambda _, inputs, output: see(inputs[0], output))
    try:
        yield
    finally:
        if hook is not None:
            hook.remove()


def sums_of(x: Tensor, y: Tensor, max_count: int, places: Tensor) -> UnitTally:
    """Return what leaky sums did: two additions a sum and bin, everywhere; arguments as for `unit_of`, (T, B, ...)."""
    done = torch.bincount(places) * (2 * y[0, 0].numel() * (x.shape[2] // 2))
    return UnitTally(0, 1, max_count, x[0, 0].numel(), y[0, 0].numel(), 0, synaptic_ops=done, digit_ops=done)


def unit_of(conv: nn.Conv2d, x: Tensor, y: Tensor, max_count: int, first: bool, places: Tensor) -> UnitTally:
    """Return what a convolution did.

    Args:
        conv: the convolution.
        x: its input (N, C, H, W), spike counts but of the first one.
        y: its output.
        max_count: D.
        first: it is fed by images.
        places: (N) int64 on the CPU, the place in time of each sample, 0, 1, ...
    """
    count = int(places.max()) + 1
    unit = UnitTally(
        macs=conv.weight[0].numel() * y[0].numel(),
        timesteps=1,
        max_count=max_count,
        inputs=x[0].numel(),
        outputs=y[0].numel(),
        weights=conv.weight.numel(),
    )
    if first:
        return unit
    steps = [x[(places == place).to(x.device)].flatten() for place in range(count)]
    unit.histogram = torch.stack([torch.bincount(s.long(), minlength=max_count + 1) for s in steps]).cpu()
    reach = fan_out(conv, x.shape[-2:], y.shape[-2:]).to(x.device)
    digits = torch.tensor(SlotCode.BINARY.spikes(max_count), dtype=torch.uint8, device=x.device)[x.long()]
    unit.synaptic_ops, unit.digit_ops = (
        _at_places((spikes.sum(1, dtype=torch.float64) * reach).sum((1, 2)), places, count) for spikes in (x, digits)
    )
    return unit


def _at_places(values: Tensor, places: Tensor, count: int) -> Tensor:
    """Sums (count) int64 of values (N) that are whole numbers."""
    return torch.zeros(count, dtype=torch.int64).index_add_(0, places, values.cpu().round().long())


def _unit(conv: nn.Conv2d, x: Tensor, y: Tensor, images: int, max_count: int, first: bool) -> UnitTally:
    timesteps = len(x) // images
    unit = unit_of(conv, x, y, max_count, first, torch.arange(timesteps).repeat_interleave(images))
    unit.timesteps = timesteps
    if not first:
        unit.silent = int((x.reshape(timesteps, images, -1).sum(0) == 0).sum())
    return unit


def count_layers(model: SpikeYOLO, batches: Iterable[Tensor]) -> list[LayerCount]:
    """Return operations and spikes of each convolution, in the order in which they run.

    Args:
        model: trained or folded; its spike-driven form is measured.
        batches: images as for the model's forward, all of one size; batches may differ in length, and each image
            weighs the same.

    Raises:
        ValueError: no images at all.
        ConfigError: an ANN twin or an integer network.
    """
    return tally(on_counts(model), batches).layers()


@torch.no_grad()
def operation_maps(network: SpikeYOLO, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return where on each image the spikes and the additions are.

    Args:
        network: from `on_counts`.
        images: as for the model's forward.

    Returns:
        spikes and additions, each (B, H / 4, W / 4) float64; a layer's share is spread evenly over the pixels that a
        neuron stands for, so that the sum of a map is the image's number of spikes, or of additions.
    """
    batch_size, rows, columns = images.shape[-4], images.shape[-2] // 4, images.shape[-1] // 4
    maps = torch.zeros(2, batch_size, rows, columns, dtype=torch.float64)

    def see(name: str, conv: nn.Conv2d, x: Tensor, y: Tensor) -> None:
        if name == "backbone.stem":
            return
        spikes = x.double().sum(1).reshape(-1, batch_size, *x.shape[-2:]).sum(0)
        reach = fan_out(conv, x.shape[-2:], y.shape[-2:]).to(x.device)
        side = rows // x.shape[-2]
        both = torch.stack([spikes, spikes * reach]).cpu() / side**2
        maps.add_(both.repeat_interleave(side, -2).repeat_interleave(side, -1))

    with watched(network, see):
        network(images.to(network.device, network.dtype))
    return maps[0], maps[1]


@torch.no_grad()
def macs_of_forms(model: SpikeYOLO, size_hw: tuple[int, int]) -> dict[str, int]:
    """Return multiply-accumulates for one look at an image by the same network as an ANN, in each of its forms.

    Args:
        model: in its trained form.
        size_hw: rows and columns of the image.

    Returns:
        "unfolded": as trained, convolutions alone; "norms": what its batch norms add, one a value;
        "separable" and "dense": the folded forms.
    """
    with torch.device("meta"):
        shape = SpikeYOLO(model.config).eval()
        image = torch.zeros(1, model.config.in_channels, *size_hw)
    totals = dict.fromkeys(("unfolded", "separable", "dense", "norms"), 0)

    def count(normed: int, unit: SpikingConv, inputs: tuple[Any, ...], output: Tensor) -> None:
        positions = output[0, 0, 0].numel()  # every convolution inside a unit but the strided ones keeps the size
        totals["unfolded"] += _weights(unit.conv, dense=False) * positions
        totals["separable"] += _weights(unit.conv, dense=False) * positions  # folding alone changes no kernel
        totals["dense"] += _weights(unit.conv, dense=True) * positions
        totals["norms"] += normed * positions

    for unit in [module for module in shape.modules() if isinstance(module, SpikingConv)]:
        normed = sum(norm.num_features for norm in unit.modules() if isinstance(norm, nn.BatchNorm2d))
        unit.register_forward_hook(partial(count, normed))
        unit.neuron = unit.norm = None  # they change no shape, and without values take most of the time
    shape(image)
    return totals


def _weights(conv: nn.Module, dense: bool) -> int:
    """Weights of a unit's convolution, as trained or as one dense convolution (see `model.forms.folding`)."""
    convs = [part for part in conv.modules() if isinstance(part, nn.Conv2d)]
    if dense and len(convs) > 1:
        kernel = max(part.weight[0, 0].numel() for part in convs)
        return convs[0].in_channels * convs[-1].out_channels * kernel
    return sum(part.weight.numel() for part in convs)
