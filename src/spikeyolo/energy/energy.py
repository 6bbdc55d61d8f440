"""The 45 nm model of the literature: so much for a multiply-accumulate, so much for an addition; no memory traffic.

Source: Horowitz, Computing's energy problem, ISSCC 2014: 32-bit floating point, multiplication 3.7 pJ, addition 0.9 pJ.
"""

from __future__ import annotations

from collections.abc import Iterable

from .counting import LayerCount

MAC_PICOJOULE = 4.6
"""A multiplication and an addition."""

AC_PICOJOULE = 0.9
"""An addition."""


def snn_millijoule(layers: Iterable[LayerCount]) -> float:
    """Energy of one picture when every layer that is fed by spikes needs additions only."""
    return sum(layer.mac * MAC_PICOJOULE + layer.ac * AC_PICOJOULE for layer in layers) * 1e-9


def ann_millijoule(layers: Iterable[LayerCount]) -> float:
    """Energy of one picture in the same network as an ANN: every operation a multiply-accumulate, once a picture."""
    return sum(layer.macs for layer in layers) * MAC_PICOJOULE * 1e-9
