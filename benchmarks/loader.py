"""How fast images come: mosaic at 640 with 0, 1 and 2 workers, beside plain decoding and resizing (the limit).

    python benchmarks/loader.py [data.yaml or COCO JSON] [--imgsz 640] [--rounds 5] [--cache-mb 0]

The ways run in turn, round after round, so that a busy machine is unfair to none; medians are told. By default on
coco128 in the shared data beside the repository.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import torch
from rich.console import Console
from rich.table import Table

from spikeyolo.data.images.augmentation import Augmentation
from spikeyolo.data.images.dataset import ImageDataset
from spikeyolo.data.images.index import ImageIndex
from spikeyolo.data.loader import Loader
from spikeyolo.data.open import open_data
from spikeyolo.data.sampler import EpochBatchSampler
from spikeyolo.errors import SpikeYOLOError
from spikeyolo.imaging.io import read_rgb
from spikeyolo.imaging.letterbox import letterbox

DEFAULT = Path(__file__).resolve().parents[1] / "../shared/data/coco128/data.yaml"


def plain(index: ImageIndex, imgsz: int) -> Callable[[], int]:
    def run() -> int:
        for path in index.paths:
            letterbox(read_rgb(path), (imgsz, imgsz))
        return len(index)

    return run


def epochs(dataset: ImageDataset, workers: int, batch: int) -> Callable[[], int]:
    """One epoch a call; the workers live on between the calls."""
    loader = Loader(dataset, EpochBatchSampler(len(dataset), batch, shuffle=True), workers=workers)

    def run() -> int:
        return sum(batch.batch_size for batch in loader)

    return run


def measure(ways: dict[str, Callable[[], int]], rounds: int) -> dict[str, float]:
    """Median images a second of each way, after a first round that is not counted."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, run in ways.items():
            start = time.perf_counter()
            images = run()
            if number:
                rates[name].append(images / (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in rates.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", default=DEFAULT, help="a data.yaml or COCO JSON (its first split)")
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cache-mb", type=float, default=0)
    options = parser.parse_args()
    cv2.setNumThreads(0)  # one thread everywhere: workers have one too
    torch.set_num_threads(1)
    try:
        data = open_data(options.data)
        index = data.split(data.splits[0])
        dataset = ImageDataset(index, options.imgsz, Augmentation(), cache_mb=options.cache_mb)
    except SpikeYOLOError as error:
        raise SystemExit(f"{error}") from None
    ways = {"plain decode and resize": plain(index, options.imgsz)}
    ways |= {f"mosaic, {n} workers": epochs(dataset, n, options.batch) for n in (0, 1, 2)}
    rates = measure(ways, options.rounds)
    title = f"{len(index)} images at {options.imgsz}, {options.rounds} rounds, cache {options.cache_mb:g} MB"
    table = Table("way", "images/s", "of the limit", title=title)
    for name, rate in rates.items():
        table.add_row(name, f"{rate:.1f}", f"{rate / rates['plain decode and resize']:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
