"""What of a network is given to others: its weights, what it is in JSON, and a card."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..hub import CARD, CONFIG, WEIGHTS, Address
from ..model_card import Facts, config_json, model_card

if TYPE_CHECKING:
    from .detector import SpikeYOLO


def shared_files(model: SpikeYOLO, repo: str, **known: Any) -> dict[str, bytes]:
    """Return the files of a repository by name.

    Args:
        model: the network.
        repo: owner/name on the Hub.
        **known: of `Facts`, what the network does not know itself.
    """
    facts = Facts(
        names=model.names,
        config=model.config.to_dict(),
        sees=str(model.input),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        **known,
    )
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / WEIGHTS)
        weights = (Path(folder) / WEIGHTS).read_bytes()
    return {WEIGHTS: weights, CONFIG: config_json(facts), CARD: model_card(facts, str(Address.of(repo))).encode()}
