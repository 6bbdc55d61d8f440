"""The format `web`: a page that finds objects in the browser, with all that it needs beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..files import make_folder
from ..imaging.draw import class_colour, ink_on
from ..imaging.io import encode_png, read_rgb
from ..imaging.letterbox import PAD_VALUE
from ..imaging.tensors import as_input
from ..metering.cost import ann_millijoule
from ..metering.counting import macs_of_forms, on_counts, tally
from ..metering.linear import linear_cost
from ..metering.page import TEMPLATES as REPORTS
from ..metering.technology import DEFAULT, find_technology
from ..model.detector import SpikeYOLO
from ..model.presets import RELU
from ..runtime.sessions import PAGE_NETWORK
from ..text import visible
from .configs import GraphConfig, WebConfig
from .graph import read_graph
from .job import Job
from .onnx_format import Further, build_onnx
from .onnx_spikes import CODES, fan, spike_output
from .registry import IMAGE_ENDINGS, MOST_SAMPLES
from .web_runtime import FOLDER, MACHINE, PROGRAM, VERSION, write_runtime

TEMPLATES = Path(__file__).with_name("web")


def write(job: Job, config: WebConfig, folder: Path) -> SpikeYOLO:
    """Write the folder; return the network in PyTorch that it is to equal.

    Raises:
        ConfigError: a network that sees recordings.
        DataError: the runtime cannot be had, or a sample is no image.
    """
    if not job.seen.still:
        raise ConfigError("web: a page looks at images, and this network sees recordings of event cameras")
    write_runtime(config.runtime_files, folder)
    graph_config = GraphConfig(dense=config.dense, thresholds=config.thresholds)
    model = job.folded(graph_config)
    artefact = job.described(model, graph_config, graph_config.precision)
    energy, further = (None, None) if model.config.neuron == RELU else _energy(job)
    network = build_onnx(read_graph(model), graph_config, artefact, further=further).SerializeToString()
    (folder / PAGE_NETWORK).write_bytes(network)
    about = {
        "names": model.names,
        "colours": [_colours(label) for label in range(len(model.names))],
        "size_hw": job.size_hw,
        "timesteps": model.config.timesteps,
        "max_count": None if energy is None else model.config.max_count,
        "grey": PAD_VALUE,
        "thresholds": asdict(config.thresholds),
        "files": _files(len(network)),
        "samples": _write_samples(job.files[:MOST_SAMPLES], folder / "samples"),
        "energy": energy,
        "spikeyolo": artefact.spikeyolo,
    }
    (folder / "page.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
    for template in TEMPLATES.iterdir():
        (folder / template.name).write_bytes(template.read_bytes())
    style = (REPORTS / "style.css", TEMPLATES / "style.css")
    (folder / "style.css").write_text("".join(part.read_text("utf-8") for part in style), encoding="utf-8")
    return model


def _energy(job: Job) -> tuple[dict[str, Any], Further]:
    """What spikes cost as factors of what the graph counts, and what has it count."""
    network, technology = on_counts(job.model), find_technology(DEFAULT)
    layers = tally(network, [as_input(job.samples[:1], "cpu", network.dtype)]).layers()
    costs = [linear_cost(layers, technology, code) for code in CODES]
    dense, names = read_graph(network), [layer.name for layer in costs[0].layers]
    macs = macs_of_forms(job.model, job.size_hw)["separable"]
    energy = {
        "technology": technology.label,
        "source": technology.source,
        "ann_mJ": ann_millijoule(macs, technology),
        "codes": [{"name": str(cost.code), "slots": cost.slots, "fixed_mJ": cost.fixed_mJ} for cost in costs],
        "layers": [
            {
                "name": layer.name,
                "neurons": layer.neurons,
                "mJ": [cost.layers[number].addition_mJ * fan(dense, layer.name) for cost in costs],
            }
            for number, layer in enumerate(costs[0].layers)
        ],
    }
    channels = job.model.config.in_channels
    return energy, spike_output(dense, names, (channels, *job.size_hw), job.model.config.max_count)


def _colours(label: int) -> list[str]:
    colour = class_colour(label)
    return [f"rgb({red} {green} {blue})" for red, green, blue in (colour, ink_on(colour))]


def _files(network: int) -> dict[str, Any]:
    """What the page loads, with bytes, so that it can say how far it is."""
    return {
        "network": {"path": PAGE_NETWORK, "bytes": network},
        "machine": {"path": f"{FOLDER}/{MACHINE.served}", "bytes": MACHINE.size},
        "program": f"{FOLDER}/{PROGRAM.served}",
        "runtime": f"ONNX Runtime Web {VERSION}",
    }


def _write_samples(files: Sequence[Path], folder: Path) -> list[dict[str, str]]:
    """Images as they are, or as PNG where browsers do not read their format."""
    written = []
    for number, file in enumerate(files, start=1):
        ending = file.suffix.lower()
        ending, content = (
            (ending, file.read_bytes()) if ending in IMAGE_ENDINGS else (".png", encode_png(read_rgb(file)))
        )
        place = make_folder(folder) / f"sample{number}{ending}"
        place.write_bytes(content)
        written.append({"path": f"{folder.name}/{place.name}", "name": visible(file.stem)})
    return written
