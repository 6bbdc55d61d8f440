"""What exporting does to average precision, each format beside its own form in PyTorch; several weights give a spread.

    python benchmarks/exported_accuracy.py --weights run*/best.safetensors --data data.yaml --split test --noise 8

The ranges of int8 come from the first images of the training split. `--noise N` measures what there is to be told
apart: the network in PyTorch with every weight changed by a random part of itself, N times.
"""

from __future__ import annotations

import argparse
import copy
from collections import defaultdict
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from spikeyolo import SpikeYOLO, load
from spikeyolo.benchmarking.measure import BenchmarkSettings, accuracy, batches
from spikeyolo.data.open import open_data
from spikeyolo.energy.counting import on_counts
from spikeyolo.exporting.export import export
from spikeyolo.exporting.parity import share_of_same
from spikeyolo.exporting.registry import FORMATS
from spikeyolo.runtime.detector import ExportedDetector

RANGES = 32

EXPORTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("separable", "openvino", {}),
    ("separable", "onnx", {}),
    ("spike-driven", "openvino", {"dense": True}),
    ("spike-driven", "onnx", {"dense": True}),
    ("separable", "openvino", {"precision": "float16"}),
    ("separable", "onnx", {"precision": "float16"}),
    ("dense", "openvino", {"precision": "float16", "dense": True}),
    ("dense", "onnx", {"precision": "float16", "dense": True}),
    ("separable", "openvino", {"precision": "int8"}),
    ("separable", "onnx", {"precision": "int8"}),
    ("dense", "openvino", {"precision": "int8", "dense": True}),
    ("dense", "onnx", {"precision": "int8", "dense": True}),
    ("integer", "integer-onnx", {}),
)

NOISE_BITS = (20, 12)
"""Parts of a weight, 2 to minus these, by which it is changed: some roundings of float32, and one of float16."""

Measured = tuple[float, list[Any]]
Rows = dict[tuple[str, str], list[tuple[float, float, float]]]
"""By what and beside which form: AP, its difference, and the share of detections that are the same."""


def changed(model: SpikeYOLO, bits: int, seed: int) -> SpikeYOLO:
    """A copy with every weight changed by up to 2**-bits of itself."""
    generator, copied = torch.Generator().manual_seed(seed), copy.deepcopy(model)

    def near(weight: Tensor) -> Tensor:
        return 1 + (2 * torch.rand(weight.shape, generator=generator) - 1) * 2.0**-bits

    with torch.no_grad():
        for weight in copied.parameters():
            weight.mul_(near(weight))
    return copied


def measure(weights: str, data: str, split: str, noise: int, rows: Rows) -> None:
    """Add a network's rows."""
    model, opened, settings = load(weights), open_data(data), BenchmarkSettings()
    index, samples = opened.split(split), next(batches(model, opened.split("train"), RANGES)).images
    forms = {
        "trained": model,
        "separable": model.fold(),
        "dense": model.fold(dense=True),
        "spike-driven": on_counts(model),
        "integer": model.to_integer(),
    }
    own: dict[str, Measured] = {name: accuracy(form, index, settings) for name, form in forms.items()}

    def row(what: str, beside: str, found: Measured) -> None:
        ap, detections = own[beside]
        rows[what, beside].append((found[0], found[0] - ap, share_of_same(detections, found[1])))

    for name in ("separable", "dense", "spike-driven", "integer"):
        row(f"{name}, PyTorch", "trained", own[name])
    row("dense, PyTorch", "separable", own["dense"])
    # The same weights, added in another order and more precisely: what a runtime can be asked to agree with.
    with torch.backends.mkldnn.flags(enabled=False):
        row("separable, PyTorch without oneDNN", "separable", accuracy(forms["separable"], index, settings))
    row("separable, PyTorch in float64", "separable", accuracy(model.fold().double(), index, settings))
    for bits in NOISE_BITS if noise else ():
        for seed in range(noise):
            found = accuracy(changed(forms["separable"], bits, seed), index, settings)
            row(f"weights changed by 2^-{bits}", "separable", found)
    with TemporaryDirectory() as folder:
        for number, (form, format, choices) in enumerate(EXPORTS):
            out = Path(folder) / f"{number}{FORMATS[format].suffix}"
            done = export(model, format, out, samples=samples, **choices)
            words = " ".join([format, str(choices.get("precision", "")), "dense" if "dense" in choices else ""]).split()
            row(" ".join(words), form, accuracy(ExportedDetector(done.path, threads=1), index, settings))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True, nargs="+")
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--noise", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows: Rows = defaultdict(list)
    for weights in given.weights:
        measure(weights, given.data, given.split, given.noise, rows)
    table = Table(title=f"{len(given.weights)} networks on {given.data}, {given.split}", caption="float32 unless said")
    for column in ("what", "beside", "AP", "difference", "spread", "same detections"):
        table.add_column(column, justify="left" if column in ("what", "beside") else "right")
    for (what, beside), found in rows.items():
        aps, differences, same = zip(*found, strict=True)
        spread = f"{stdev(differences):.4f}" if len(found) > 1 else ""
        table.add_row(what, beside, f"{mean(aps):.4f}", f"{mean(differences):+.4f}", spread, f"{mean(same):.1%}")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
