"""`spikeyolo val`: average precision and speed."""

from __future__ import annotations

from typing import Any

from ..terminal import say, show
from ..verbs.val import val as measure
from .options import own_neuron
from .twin import twin_of


@twin_of(measure)
def val(given: frozenset[str] = frozenset(), **options: Any) -> None:
    """Measure the average precision and the speed of a model on labelled images, or on recordings of event cameras.

    On recordings by the protocol that the data.yaml names (gen1, 1mpx), with plain COCO beside it.

    Examples:
        spikeyolo val --weights runs/train/best.safetensors --data data.yaml
        spikeyolo val --weights best.safetensors --data data.yaml --spike-driven --slot-code binary
        spikeyolo val --weights model.onnx --data data.yaml --split test --json numbers.json
    """
    options["neuron"] = own_neuron(options.get("neuron"), given)
    found = measure(**options, progress=say)
    show(*found.tables())
