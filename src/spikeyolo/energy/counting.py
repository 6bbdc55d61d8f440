from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..model import DENSE, SpikeYOLO
from ..model.blocks import SpikingConv


@dataclass(frozen=True)
class LayerCount:
    """What one convolution of the dense form does for a picture.

    Attributes:
        name: of the unit in the network.
        macs: multiply-accumulates of the convolution for one timestep, every position of the padded input counted.
        mean_count: mean spike count of its input, 0..D, over pictures, timesteps and positions; None for the first
            convolution, which sees the picture.
        timesteps: how often it is computed for a picture; 1 for the first one of a still picture.
        max_count: D.
    """

    name: str
    macs: int
    mean_count: float | None
    timesteps: int
    max_count: int

    @property
    def firing_rate(self) -> float | None:
        """Share of the binary slots that hold a spike: count / D."""
        return None if self.mean_count is None else self.mean_count / self.max_count

    @property
    def ac(self) -> float:
        """Additions for a picture: macs * mean count * T; estimated, as silent positions are taken to be even."""
        return 0.0 if self.mean_count is None else self.macs * self.mean_count * self.timesteps

    @property
    def mac(self) -> int:
        """Multiply-accumulates for a picture."""
        return self.macs * self.timesteps if self.mean_count is None else 0


@torch.no_grad()
def count_layers(model: SpikeYOLO, batches: Iterable[Tensor]) -> list[LayerCount]:
    """Operations and mean spike counts of each convolution, in the order in which they run.

    Args:
        model: of any form; the dense form of it is measured, in evaluation.
        batches: pictures as for the model's forward, all of one size; batches may differ in length, and each picture
            weighs the same.

    Raises:
        ValueError: no pictures at all.
    """
    dense = model.eval() if model.form == DENSE else model.fold(dense=True)
    macs: dict[str, int] = {}
    timesteps: dict[str, int] = {}
    spikes: defaultdict[str, float] = defaultdict(float)  # sums over pictures of the mean count
    pictures = 0

    def seen(name: str, unit: SpikingConv, inputs: tuple[Any, ...], output: Tensor) -> None:
        assert isinstance(unit.conv, nn.Conv2d)
        macs[name] = unit.conv.weight[0].numel() * output[0, 0].numel()
        timesteps[name] = output.shape[0]

    def fired(name: str, neuron: nn.Module, inputs: tuple[Any, ...], counts: Tensor) -> None:
        spikes[name] += counts.mean(dtype=torch.float64).item() * counts.shape[1]

    units = {name: unit for name, unit in dense.named_modules() if isinstance(unit, SpikingConv)}
    hooks = [unit.register_forward_hook(partial(seen, name)) for name, unit in units.items()]
    hooks += [u.neuron.register_forward_hook(partial(fired, n)) for n, u in units.items() if u.neuron is not None]
    try:
        for batch in batches:
            dense(batch)
            pictures += batch.shape[-4]
    finally:
        for hook in hooks:
            hook.remove()
    if not pictures:
        raise ValueError("count_layers: no pictures")
    return [
        LayerCount(
            name,
            macs[name],
            spikes[name] / pictures if name in spikes else None,
            timesteps[name],
            model.config.max_count,
        )
        for name in macs
    ]
