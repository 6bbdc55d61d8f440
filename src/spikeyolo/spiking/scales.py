"""Learned scales of a network: where they start, and that they stay positive."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from .equation import widen
from .neuron import ILIF, LARGEST_SCALE, LEAST_SCALE


def scaled_layers(network: nn.Module) -> list[ILIF]:
    """Return the layers of a network that have a learned scale."""
    return [layer for layer in network.modules() if isinstance(layer, ILIF) and layer.scale is not None]


@torch.no_grad()
def keep_scales_positive(network: nn.Module) -> None:
    """Move learned scales back into 2**-10..2**10, in place: for after a step of an optimiser."""
    for layer in scaled_layers(network):
        assert layer.scale is not None
        layer.scale.clamp_(LEAST_SCALE, LARGEST_SCALE)


@torch.no_grad()
def start_scales(network: nn.Module, batches: Iterable[Tensor], percentile: float = 99.9) -> None:
    """Set the learned scales of a network so that D spikes reach a high percentile of its potentials.

    s = (percentile of H) / D, over a layer or each channel, the mean over the batches; H is `gain` times the input
    current, without what the leak left of timesteps before. While it is measured, the network runs with the scales
    that it has. A channel that is silent takes its layer's, a silent layer keeps its scale.

    Args:
        network: in its trainable form, in whatever mode; changed in place.
        batches: what its forward takes.
        percentile: above 0, to 100.

    Raises:
        ConfigError: a percentile out of range, a network without learned scales, or no batches.
    """
    layers = scaled_layers(network)
    if not layers:
        raise ConfigError("start_scales: the network has no learned scales; set learned_scale to layer or channel")
    if not 0 < percentile <= 100:
        raise ConfigError(f"percentile: {percentile} is outside 0..100")
    seen: dict[ILIF, list[tuple[Tensor, Tensor]]] = {layer: [] for layer in layers}

    def watch(layer: ILIF) -> Callable[..., None]:
        def look(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            h = widen(inputs[0].detach()).movedim(2, 0).flatten(1) * layer.gain
            seen[layer].append((_percentile(h, percentile), _percentile(h.flatten().unsqueeze(0), percentile)))

        return look

    handles = [layer.register_forward_pre_hook(watch(layer)) for layer in layers]
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        for batch in batches:
            network(batch)
    finally:
        for module, mode in modes:
            module.training = mode
        for handle in handles:
            handle.remove()
    for layer, found in seen.items():
        if not found:
            raise ConfigError("start_scales: no batches to measure potentials on")
        _set(layer, *(torch.stack(parts).mean(0) for parts in zip(*found, strict=True)))


def _percentile(values: Tensor, percentile: float) -> Tensor:
    """Of each row of (rows, numbers)."""
    rank = max(1, round(values.shape[1] * percentile / 100))
    return values.kthvalue(rank, dim=1).values


def _set(layer: ILIF, of_channels: Tensor, of_layer: Tensor) -> None:
    assert layer.scale is not None
    if float(of_layer) <= 0:
        return
    reached = of_layer if layer.scale.numel() == 1 else torch.where(of_channels > 0, of_channels, of_layer)
    layer.scale.copy_((reached / layer.max_count).clamp(LEAST_SCALE, LARGEST_SCALE))
