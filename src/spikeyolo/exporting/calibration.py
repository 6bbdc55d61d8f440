"""What int8 needs to know of values that are no counts: their ranges on sample images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..model.blocks import SpikingConv
from ..model.network import SpikingNetwork
from .quantise import Ranges

CHAIN = 3
"""Convolutions of a RepConv in the separable form: 1x1, depthwise, 1x1."""


def calibrate(network: SpikingNetwork, batches: Iterable[Tensor]) -> Ranges:
    """Return the ranges of what the last convolution takes in each chain of three; none of a dense network.

    Args:
        network: folded.
        batches: what the network takes, like what it will see.
    """
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def watch(name: str, conv: nn.Module) -> Any:
        def widen(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            low, high = (
                values.double().cpu().numpy() for values in (inputs[0].amin((0, 2, 3)), inputs[0].amax((0, 2, 3)))
            )
            before = found.get(name, (low, high))
            found[name] = np.minimum(before[0], low), np.maximum(before[1], high)

        return conv.register_forward_pre_hook(widen)

    chains = {
        name: module.conv
        for name, module in network.named_modules()
        if isinstance(module, SpikingConv) and isinstance(module.conv, nn.Sequential) and len(module.conv) == CHAIN
    }
    handles = [watch(name, chain[-1]) for name, chain in chains.items()]
    try:
        with torch.inference_mode():
            for batch in batches:
                network(batch)
    finally:
        for handle in handles:
            handle.remove()
    return found
