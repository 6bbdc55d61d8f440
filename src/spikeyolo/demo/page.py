"""The page of a demo: what it found, average precision beside the ANN twin's, and energy; it needs no network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation.metrics import Metrics
from ..files import write_whole
from ..metering.measure import Measurement
from ..metering.page import bars_of, energy_values, image_address, render
from ..metering.report import to_json
from ..metering.technology import DEFAULT, find_technology
from .look import Look

WIDEST = 480  # pixels of an image on the page


@dataclass(frozen=True)
class Trained:
    """What a demo has trained and measured.

    Attributes:
        title: of this part.
        pairs: of each sample, as labelled and as found; (H, W, 3) uint8 RGB.
        metrics: average precision with spikes, by name of a row.
        measurement: operations and spikes.
        twin: what is said of the twin, where it was not trained.
    """

    title: str
    pairs: list[tuple[np.ndarray, np.ndarray]]
    metrics: dict[str, Metrics]
    measurement: Measurement
    twin: str


def write_demo_page(file: Path, command: str, look: Look, trained: Trained | None = None) -> None:
    """Write the page, whole; without what is trained it says that this comes, and a browser looks again by itself.

    Args:
        file: the page.
        command: that made it.
        look: the shipped model at work.
        trained: what the demo trained, when it has.

    Raises:
        WriteError: the file cannot be written.
    """
    values: dict[str, Any] = {"title": "spikeyolo demo", "command": command, "look": _look(look), "trained": None}
    if trained is not None:
        values |= {"trained": _trained(trained), **energy_values(trained.measurement, find_technology(DEFAULT))}
    write_whole(file, render("demo.html", Path(__file__).parent, **values).encode())


def _look(look: Look) -> dict[str, Any]:
    values = to_json(look.measurement, find_technology(DEFAULT))
    return {
        "model": look.model,
        "recipe": look.model.recipe,
        "lines": look.model.lines()[:-1],
        "shown": [
            {"found": _photo(found), "spikes": _photo(spikes), "words": words or "nothing"}
            for (found, spikes), words in zip(look.images, look.found, strict=True)
        ],
        **costs(values),
    }


def _trained(trained: Trained) -> dict[str, Any]:
    values = to_json(trained.measurement, find_technology(DEFAULT))
    rows = [(name, metrics.AP, metrics.AP50) for name, metrics in trained.metrics.items()]
    best = next(iter(trained.metrics.values()))
    return {
        "title": trained.title,
        "pairs": [tuple(map(_photo, pair)) for pair in trained.pairs],
        "rows": rows,
        "best": best,
        "twin": trained.twin,
        **costs(values),
    }


def costs(values: dict[str, Any]) -> dict[str, Any]:
    """Return bars of energy with spikes in both slot codes and as an ANN, and how many times the ANN costs.

    Args:
        values: from `to_json`, of a technology that knows what memory traffic costs.
    """
    codes = values["slot_codes"]
    labels = {"unary": "with spikes, unary slots", "binary": "with spikes, binary slots"}
    operations = {label: codes[code]["snn_mJ"] for code, label in labels.items()}
    memory = {label: codes[code]["snn_memory_mJ"] for code, label in labels.items()}
    ann, separable = "the same network as an ANN, dense", "as an ANN, folded as one would run it"
    operations[ann], memory[ann] = values["ann_mJ"], values["ann_memory_mJ"]
    operations[separable] = values["ann"]["separable"]["mJ"]  # its memory traffic is not counted
    whole = {label: value + memory[label] for label, value in operations.items() if label in memory}
    return {
        "one": f"{'an' if values['unit'] == 'image' else 'a'} {values['unit']}",
        "firing_rate": values["firing_rate"],
        "ratios": [
            (text, *(cost[ann] / cost[labels[code]] for code in ("binary", "unary")))
            for text, cost in (("operations alone", operations), ("with memory traffic", whole))
        ],
        "groups": [
            (text, bars_of([{"label": label, "value": cost[label], "snn": label in labels.values()} for label in cost]))
            for text, cost in (("Operations alone", operations), ("Operations and memory traffic", whole))
        ],
    }


def _photo(image: np.ndarray) -> str:
    import cv2

    if image.shape[1] > WIDEST:
        size = (WIDEST, round(image.shape[0] * WIDEST / image.shape[1]))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return image_address(image, "jpeg")
