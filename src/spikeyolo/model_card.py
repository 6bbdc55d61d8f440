"""What is said of weights that are given to others: a model card, made from what is known and silent about the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from .version import __version__

NOT_MEASURED = "Not measured when this card was made."


@dataclass(frozen=True)
class Facts:
    """What is known of weights.

    Attributes:
        names: of the classes.
        config: of the network, as plain values: T, D, neuron and so on.
        sees: what its input is, in words.
        parameters: numbers in the file.
        val: what `Validation.to_json` returns; None: not measured.
        energy: what `EnergyReport.to_json` returns; None: not measured.
        data: name of the data that both were measured on.
        split: the part of it.
        recipe: the settings of the training as YAML; None: not known.
        license: of the weights, by its SPDX name; None: not said.
    """

    names: Sequence[str]
    config: Mapping[str, Any]
    sees: str
    parameters: int
    val: Mapping[str, Any] | None = None
    energy: Mapping[str, Any] | None = None
    data: str = ""
    split: str = ""
    recipe: str | None = None
    license: str | None = None


def config_json(facts: Facts) -> bytes:
    """Return what the Hub shows, and counts downloads by: the network and its classes. Loading does not need it."""
    values = {"model_type": "spikeyolo", "names": list(facts.names), "network": dict(facts.config)}
    return json.dumps(values, indent=2, ensure_ascii=False).encode()


def model_card(facts: Facts, address: str) -> str:
    """Return the card, as Markdown with the Hub's header."""
    is_spiking = facts.config.get("neuron") != "relu"
    sections = {
        "": f"A{' spiking' if is_spiking else 'n artificial'} neural network for object detection, made with "
        f"spikeyolo {__version__}. It finds: {', '.join(facts.names)}.",
        "Use": _use(address),
        "Precision": _precision(facts),
        "Spikes and energy": _energy(facts) if is_spiking else "The ANN twin: ReLU in place of spikes.",
        "The network": _network(facts),
        "How it was trained": f"```yaml\n{facts.recipe.strip()}\n```" if facts.recipe else "Not known to this card.",
        "Limits": _limits(facts),
    }
    parts = [f"## {title}\n\n{text}" if title else text for title, text in sections.items()]
    name = address.rpartition("/")[2].partition("@")[0]
    return "\n\n".join([f"---\n{_header(facts, name)}---\n\n# {name}", *parts]) + "\n"


def _header(facts: Facts, name: str) -> str:
    tags = ["spikeyolo", "object-detection", "spiking-neural-network", "neuromorphic"]
    header: dict[str, Any] = {"library_name": "spikeyolo", "pipeline_tag": "object-detection", "tags": tags}
    if facts.license:
        header["license"] = facts.license
    if facts.val is not None:
        metrics = [
            {"type": key, "value": round(facts.val[key], 4), "name": key}
            for key in ("AP", "AP50")
            if facts.val.get(key) is not None
        ]
        task, data = {"type": "object-detection"}, {"name": facts.data, "type": facts.data, "split": facts.split}
        header["model-index"] = [{"name": name, "results": [{"task": task, "dataset": data, "metrics": metrics}]}]
    text: str = yaml.safe_dump(header, sort_keys=False, allow_unicode=True)
    return text


def _use(address: str) -> str:
    return (
        f'```\npip install "spikeyolo[hub]"\nspikeyolo predict --weights {address} --source image.jpg\n```\n'
        f'```python\nimport spikeyolo\n\nmodel = spikeyolo.load("{address}")\nprint(model.predict("image.jpg"))\n```'
    )


def _precision(facts: Facts) -> str:
    val = facts.val
    if val is None:
        return NOT_MEASURED
    protocol = f"protocol `{val['protocol']}`" if val.get("protocol") else "COCO's rule"
    head = ("AP", "AP50", "AP75")
    row = " | ".join("-" if val.get(key) is None else f"{100 * val[key]:.1f}" for key in head)
    said = f"On the {facts.split} split of {facts.data}, {protocol}, in %:"
    table = f"| {' | '.join(head)} |\n|{'---|' * len(head)}\n| {row} |"
    return f"{said}\n\n{table}"


def _energy(facts: Facts) -> str:
    found = facts.energy
    if found is None:
        return NOT_MEASURED
    technology, one = found["technology"], found["unit"]
    ann, dense = found["ann"]["separable"]["mJ"], found["ann"]["dense"]["mJ"]
    spikes, memory = found["snn_mJ"], found["snn_memory_mJ"]
    rows = [
        ("timesteps T, largest count D", f"{found['timesteps']}, {found['max_count']}"),
        ("firing rate, of the unary slots", f"{100 * found['firing_rate']:.1f} %"),
        (f"additions of one {one}", f"{found['synaptic_ops'] / 1e6:.1f} million"),
        (f"energy of one {one}, operations alone", f"{spikes:.3f} mJ"),
        ("the same network as an ANN, as one would run it", f"{ann:.3f} mJ, {_times(ann, spikes)}"),
        ("the same as an ANN in the dense form, as the literature counts", f"{dense:.3f} mJ, {_times(dense, spikes)}"),
        (
            "with memory traffic: spikes, ANN",
            f"{spikes + memory:.3f} mJ, {ann + found['ann_memory_mJ']:.3f} mJ",
        ),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    label, source = technology.get("label", technology["name"]), technology.get("source", "")
    return (
        f"Counted on the {facts.split} split of {facts.data}, {found['images']} {one}s; what an operation costs is a "
        f"model: {label}{f' ({source})' if source else ''}. No chip was measured.\n\n| | |\n|---|---|\n{table}"
    )


def _times(ann: float, spikes: float) -> str:
    return f"{ann / spikes:.1f} times as much" if spikes else "and none with spikes"


def _network(facts: Facts) -> str:
    rows = {"parameters": f"{facts.parameters:,}", "classes": len(facts.names), "input": facts.sees}
    rows |= {key: facts.config[key] for key in ("timesteps", "max_count", "neuron")}
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in rows.items())


def _limits(facts: Facts) -> str:
    lines = ["It was made for what its training data shows; on anything else its boxes mean little."]
    if facts.val is None:
        lines.append("Its precision was not measured for this card.")
    else:
        lines.append(f"Its precision is that on {facts.data} and says nothing about other data.")
    lines.append("Energy is counted operations times a published cost of each, not a measurement of hardware.")
    if facts.license is None:
        lines.append("Its owner has not named a license: ask before you use it.")
    return "\n".join(f"- {line}" for line in lines)
