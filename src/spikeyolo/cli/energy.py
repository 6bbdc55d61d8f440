"""`spikeyolo energy`: spikes, operations and what they cost."""

from __future__ import annotations

import sys
from typing import Any

from ..terminal import say, show
from ..verbs.energy import energy as measure
from .options import own_neuron
from .twin import twin_of


@twin_of(measure)
def energy(layers: bool = True, given: frozenset[str] = frozenset(), **options: Any) -> None:
    """Count spikes and operations of a model on images or recordings, and what they cost, with spikes and as an ANN.

    Spikes are those of the unary slot code, as published; what the binary code needs for the same counts stands beside.

    Args:
        layers: print a row for every layer

    Examples:
        spikeyolo energy --weights best.safetensors --data data.yaml
        spikeyolo energy --weights best.safetensors --data data.yaml --json energy.json --html energy.html
    """
    options["neuron"] = own_neuron(options.get("neuron"), given)
    found = measure(**options, progress=say)
    # A file or a pipe has no narrow screen: names of layers in one piece.
    width = None if sys.stdout.isatty() else 120
    show(*([found.layers()] if layers else []), *found.tables(), width=width)
    say(*found.lines())
