"""What a network is made of: its convolutions with shapes, parameters and multiply-accumulates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from ..imaging.image_input import ImageInput
from ..terminal import as_html, as_text
from .blocks import SpikingConv
from .forms.convert import convert
from .forms.form import Form
from .network import SpikingNetwork

if TYPE_CHECKING:
    from rich.table import Table
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class LayerInfo:
    """One unit: neurons, a convolution on their counts, its batch norms.

    Attributes:
        name: of the unit in the network.
        input: channels, rows and columns.
        output: the same.
        parameters: all of it that is learned.
        macs: multiply-accumulates of its convolutions for one timestep, every position of the padded input counted.
    """

    name: str
    input: Shape
    output: Shape
    parameters: int
    macs: int


@dataclass(frozen=True, repr=False)
class NetworkInfo:
    """All units, in the order in which they run. Printed, or shown in a notebook, it is a table.

    Attributes:
        layers: the units.
        form: how the convolutions are held; forms that run on spikes are described as the dense one they are made of.
        size_hw: rows and columns of the image.
        timesteps: T.
        max_count: D.
    """

    layers: tuple[LayerInfo, ...]
    form: str
    size_hw: tuple[int, int]
    timesteps: int
    max_count: int

    @property
    def parameters(self) -> int:
        """Of the whole network."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the whole network for one timestep."""
        return sum(layer.macs for layer in self.layers)

    def table(self) -> Table:
        """Return a row a unit, for `rich.print`."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        rows, columns = self.size_hw
        title = f"{self.form} form, T = {self.timesteps}, D = {self.max_count}, image of {rows} x {columns}"
        caption = "MMAC: of one timestep, in millions; a spiking layer adds where it fires in place of multiplying"
        table = Table(title=title, caption=caption, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        table.add_column("layer", overflow="fold")
        for column in ("input", "output", "parameters", "MMAC"):
            table.add_column(column, justify="right", no_wrap=True)
        for layer in self.layers:
            shapes = (" x ".join(map(str, shape)) for shape in (layer.input, layer.output))
            table.add_row(layer.name, *shapes, f"{layer.parameters:,}", f"{layer.macs / 1e6:.2f}")
        table.add_section()
        table.add_row("all", "", "", f"{self.parameters:,}", f"{self.macs / 1e6:.2f}", style="bold")
        return table

    def __repr__(self) -> str:
        return as_text(self.table())

    def _repr_html_(self) -> str:
        return as_html(self.table())


def _shape(x: Tensor) -> Shape:
    channels, rows, columns = x.shape[-3:]
    return channels, rows, columns


def info_of(network: SpikingNetwork, input: object, imgsz: int | tuple[int, int] | None = None) -> NetworkInfo:
    """Return `network_info` for what a model sees, or for rows and columns in place of it; see `SpikeYOLO.info`."""
    seen = input if imgsz is None else ImageInput.of(imgsz)
    if not isinstance(seen, ImageInput):
        raise ConfigError("imgsz: this model sees recordings of any sensor; give rows and columns")
    return network_info(network, seen.size_hw)


@torch.no_grad()
def network_info(network: SpikingNetwork, size_hw: tuple[int, int]) -> NetworkInfo:
    """Return what a network is made of; nothing is computed but shapes.

    Args:
        network: in any form.
        size_hw: rows and columns of an image, multiples of 32.

    Raises:
        ShapeError: sides that are not.
    """
    config = network.config
    form = Form.DENSE if network.form in (Form.SPIKE_DRIVEN, Form.INTEGER) else network.form
    with torch.device("meta"):
        shape = SpikingNetwork(config).eval()
        convert(shape, form)
        image = torch.zeros(1, config.in_channels, *size_hw)
    layers: list[LayerInfo] = []

    def see(name: str, parameters: int, unit: SpikingConv, inputs: tuple[Any, ...], output: Tensor) -> None:
        positions = output[0, 0, 0].numel()  # every convolution inside a unit but the strided ones keeps the size
        weights = sum(part.weight.numel() for part in unit.conv.modules() if isinstance(part, nn.Conv2d))
        layers.append(LayerInfo(name, _shape(inputs[0]), _shape(output), parameters, weights * positions))

    for name, unit in [pair for pair in shape.named_modules() if isinstance(pair[1], SpikingConv)]:
        parameters = sum(parameter.numel() for parameter in unit.parameters())
        unit.register_forward_hook(partial(see, name, parameters))
        unit.neuron = unit.norm = None  # they change no shape, and without values take most of the time
    shape(image)
    return NetworkInfo(tuple(layers), str(form), size_hw, config.timesteps, config.max_count)
