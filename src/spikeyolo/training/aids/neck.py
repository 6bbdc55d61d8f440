"""Watching what a network's neck gives to its head."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from ...model.network import SpikingNetwork
from ...spiking.equation import widen

Levels = tuple[Tensor, ...]


@contextmanager
def neck_features(network: SpikingNetwork) -> Iterator[list[Levels]]:
    """Inside, the list takes what the neck gives: a tuple of levels (B, channels, H, W), averaged over T, a pass."""
    found: list[Levels] = []

    def keep(levels: Levels) -> None:
        found.append(tuple(widen(level).mean(0) for level in levels))

    network.watchers.append(keep)
    try:
        yield found
    finally:
        network.watchers.remove(keep)
