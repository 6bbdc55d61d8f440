"""What exporting does to average precision, each format beside its own form in PyTorch.

    python benchmarks/exported_accuracy.py --weights best.safetensors --data data.yaml --split test

The ranges of int8 come from the first images of the training split.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from rich.console import Console
from rich.table import Table

from spikeyolo import load
from spikeyolo.benchmarking.measure import BenchmarkSettings, accuracy, batches
from spikeyolo.data.open import open_data
from spikeyolo.energy.counting import on_counts
from spikeyolo.exporting.export import export
from spikeyolo.exporting.parity import share_of_same
from spikeyolo.exporting.registry import FORMATS
from spikeyolo.runtime.detector import ExportedDetector

RANGES = 32

EXPORTS = (
    ("separable", "openvino", {}),
    ("separable", "onnx", {}),
    ("spike-driven", "openvino", {"dense": True}),
    ("spike-driven", "onnx", {"dense": True}),
    ("separable", "openvino", {"precision": "float16"}),
    ("separable", "onnx", {"precision": "float16"}),
    ("separable", "openvino", {"precision": "int8"}),
    ("dense", "openvino", {"precision": "int8", "dense": True}),
    ("separable", "onnx", {"precision": "int8"}),
    ("dense", "onnx", {"precision": "int8", "dense": True}),
    ("integer", "integer-onnx", {}),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", default="val")
    given = parser.parse_args()
    torch.set_num_threads(1)
    model, data, settings = load(given.weights), open_data(given.data), BenchmarkSettings()
    index, samples = data.split(given.split), next(batches(model, data.split("train"), RANGES)).images
    forms = {
        "trained": model,
        "separable": model.fold(),
        "dense": model.fold(dense=True),
        "spike-driven": on_counts(model),
        "integer": model.to_integer(),
    }
    own = {name: accuracy(form, index, settings) for name, form in forms.items()}
    table = Table(title=f"{given.weights} on {given.data}, {given.split}", caption="float32 unless said")
    for column in ("what", "beside", "AP", "difference", "same detections"):
        table.add_column(column, justify="left" if column in ("what", "beside") else "right")

    def row(what: str, beside: str, found: tuple[float, list]) -> None:
        ap, same = own[beside][0], share_of_same(own[beside][1], found[1])
        table.add_row(what, beside, f"{found[0]:.4f}", f"{found[0] - ap:+.4f}", f"{same:.1%}")

    for name in ("separable", "dense", "spike-driven", "integer"):
        row(f"{name}, PyTorch", "trained", own[name])
    row("dense, PyTorch", "separable", own["dense"])
    with TemporaryDirectory() as folder:
        for number, (form, format, choices) in enumerate(EXPORTS):
            out = Path(folder) / f"{number}{FORMATS[format].suffix}"
            done = export(model, format, out, samples=samples, **choices)
            words = " ".join([format, str(choices.get("precision", "")), "dense" if "dense" in choices else ""]).split()
            row(" ".join(words), form, accuracy(ExportedDetector(done.path, threads=1), index, settings))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
