"""What exporting does to average precision, each format beside its own form in PyTorch; several weights give a spread.

    python benchmarks/exported_accuracy.py --weights run*/best.safetensors --data data.yaml --split test --noise 8

The ranges of int8 come from the first images of the training split. `--noise N` measures what there is to be told
apart: the network in PyTorch with every weight changed by a random part of itself, N times. `--orientations` measures
on every image as it is, mirrored and turned (eight times as many, for objects that have no upright way): each is
another draw of which counts a rounding changes, so that the noise of a difference is some third. `--only float16 int8`
leaves out the rows without one of these words, and the forms in PyTorch that nothing is measured beside.
"""

from __future__ import annotations

import argparse
import copy
from collections import defaultdict
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from spikeyolo import SpikeYOLO, load
from spikeyolo.benchmarking.measure import BenchmarkSettings, accuracy, batches
from spikeyolo.data.data_set import Index
from spikeyolo.data.images.index import ImageIndex
from spikeyolo.data.open import open_data
from spikeyolo.exporting.export import export
from spikeyolo.exporting.parity import share_of_same
from spikeyolo.exporting.registry import FORMATS
from spikeyolo.imaging.io import read_rgb, write_rgb
from spikeyolo.metering.counting import on_counts
from spikeyolo.runtime.detector import ExportedDetector
from spikeyolo.synthetic.shapes import yolo_lines

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


def in_eight_orientations(index: ImageIndex, folder: Path) -> Index:
    """The images of a split turned by quarters and mirrored, with their boxes, without a loss."""
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    for number, path in enumerate(index.paths):
        image, (boxes, labels) = read_rgb(path), index.objects(number)
        for orientation in range(8):
            name = f"{number:05d}-{orientation}"
            write_rgb(folder / "images" / f"{name}.png", image)
            (folder / "labels" / f"{name}.txt").write_text(yolo_lines(boxes, labels, image.shape[:2]))
            if orientation % 2:  # transpose
                image, boxes = np.ascontiguousarray(image.transpose(1, 0, 2)), boxes[:, [1, 0, 3, 2]]
            else:  # mirror left and right
                width = image.shape[1]
                image, boxes = np.ascontiguousarray(image[:, ::-1]), boxes.copy()
                boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
    names = "".join(f"  {number}: {name}\n" for number, name in enumerate(index.names))
    (folder / "data.yaml").write_text(f"train: images\nval: images\nnames:\n{names}")
    return open_data(folder / "data.yaml").split("val")


def measure(weights: str, index: Index, ranges: Index, noise: int, only: list[str], rows: Rows) -> None:
    """Add a network's rows."""
    model, settings = load(weights), BenchmarkSettings()
    samples = next(batches(model, ranges, RANGES)).images
    make: dict[str, Callable[[], SpikeYOLO]] = {
        "trained": lambda: model,
        "separable": model.fold,
        "dense": lambda: model.fold(dense=True),
        "spike-driven": lambda: on_counts(model),
        "integer": model.to_integer,
    }

    @cache
    def of_form(name: str) -> Measured:
        return accuracy(make[name](), index, settings)

    def row(what: str, beside: str, measured: Callable[[], Measured]) -> None:
        if only and not any(word in what.split() for word in only):
            return
        (ap, detections), found = of_form(beside), measured()
        rows[what, beside].append((found[0], found[0] - ap, share_of_same(detections, found[1])))

    def plain() -> Measured:
        with torch.backends.mkldnn.flags(enabled=False):
            return accuracy(model.fold(), index, settings)

    for name in ("separable", "dense", "spike-driven", "integer"):
        row(f"{name}, PyTorch", "trained", partial(of_form, name))
    row("dense, PyTorch", "separable", partial(of_form, "dense"))
    # The same weights, added in another order and more precisely: what a runtime can be asked to agree with.
    row("separable, PyTorch without oneDNN", "separable", plain)
    row("separable, PyTorch in float64", "separable", partial(accuracy, model.fold().double(), index, settings))
    for bits in NOISE_BITS if noise else ():
        for seed in range(noise):
            near = changed(model.fold(), bits, seed)
            row(f"weights changed by 2^-{bits}", "separable", partial(accuracy, near, index, settings))
    with TemporaryDirectory() as folder:
        for number, (form, format, choices) in enumerate(EXPORTS):
            out = Path(folder) / f"{number}{FORMATS[format].suffix}"

            def exported(out: Path = out, format: str = format, choices: dict[str, Any] = choices) -> Measured:
                done = export(model, format, out, samples=samples, **choices)
                return accuracy(ExportedDetector(done.path, threads=1), index, settings)

            words = " ".join([format, str(choices.get("precision", "")), "dense" if "dense" in choices else ""]).split()
            row(" ".join(words), form, exported)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True, nargs="+")
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--noise", type=int, default=0)
    parser.add_argument("--orientations", action="store_true")
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD")
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = open_data(given.data)
    rows: Rows = defaultdict(list)
    index = data.split(given.split)
    with TemporaryDirectory() as folder:
        if given.orientations:
            if not isinstance(index, ImageIndex):
                parser.error("--orientations: of images, not of recordings")
            index = in_eight_orientations(index, Path(folder))
        for weights in given.weights:
            measure(weights, index, data.split("train"), given.noise, given.only, rows)
    table = Table(
        title=f"{len(given.weights)} networks on {given.data}, {given.split}, {len(index)} images",
        caption="float32 unless said",
    )
    for column in ("what", "beside", "AP", "difference", "spread", "same detections"):
        table.add_column(column, justify="left" if column in ("what", "beside") else "right")
    for (what, beside), found in rows.items():
        aps, differences, same = zip(*found, strict=True)
        spread = f"{stdev(differences):.4f}" if len(found) > 1 else ""
        table.add_row(what, beside, f"{mean(aps):.4f}", f"{mean(differences):+.4f}", spread, f"{mean(same):.1%}")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
