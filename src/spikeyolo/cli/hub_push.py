"""`spikeyolo hub push`: weights with a card, sent to the Hugging Face Hub."""

from __future__ import annotations

from typing import Any

from ..terminal import say
from ..verbs.hub_push import push_to_hub as send
from .options import own_neuron
from .twin import twin_of


@twin_of(send)
def push(given: frozenset[str] = frozenset(), **options: Any) -> None:
    """Send weights to the Hugging Face Hub, as safetensors, with a card that says what is known of them.

    Average precision, spikes and energy are measured on the data that is named; without, the card says that they were
    not. Where the weights lie in the folder of their training, its settings are on the card. Needs a token: `hf auth
    login`, or the variable HF_TOKEN.

    Examples:
        spikeyolo hub push --weights best.safetensors --repo me/cells --data data.yaml --license mit
        spikeyolo hub push --weights best.safetensors --repo me/cells --out look-first
    """
    options["neuron"] = own_neuron(options.get("neuron"), given)
    done = send(**options, progress=say)
    say(f"written to {done}; nothing was sent" if options.get("out") else f"sent to {done}")
