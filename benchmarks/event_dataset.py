"""Training from recordings without preparation: start, size of the cache, and speed of the loader.

100 generated recordings of one second, 304 x 240 pixels like Gen1's, a labelled instant every 100 ms, windows of 50 ms
in two timesteps.

    first batch    a new process without an index, the recordings not in the system's cache: seconds from the start of
                   Python, and without its imports
    bytes          of the index on disk for a labelled instant; the published preparation writes about 900,000
    samples/s      of the training loader with augmentation, index warm, beside the limit: reading the same windows and
                   numpy.bincount of their events, in one process; medians of interleaved rounds

    python benchmarks/event_dataset.py [--out FOLDER] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from spikeyolo.data.events.augmentation import EventAugmentation
from spikeyolo.data.events.dataset import EventDataset
from spikeyolo.data.index_cache import IndexCache
from spikeyolo.data.loader import Loader
from spikeyolo.data.open import open_data
from spikeyolo.data.sampler import EpochBatchSampler
from spikeyolo.events import EventInput, open_recording
from spikeyolo.synthetic.recordings import RecordingsConfig, write_recordings

RECORDINGS = RecordingsConfig(
    train=100, val=1, test=1, size_hw=(240, 304), duration_us=1_000_000, label_every_us=100_000
)
PREPARATION = EventInput(timesteps=2, window_us=50_000)
BATCH = 16
PUBLISHED_BYTES = 900_000  # of a labelled instant, as published

FIRST_BATCH = """
import sys, time
from spikeyolo.data.events.augmentation import EventAugmentation
from spikeyolo.data.loader import Loader
from spikeyolo.data.open import open_data
from spikeyolo.data.sampler import EpochBatchSampler
from spikeyolo.events import EventInput
start = time.perf_counter()
index = open_data(sys.argv[1]).split("train")
dataset = index.dataset(EventInput(timesteps=2, window_us=50_000), EventAugmentation())
next(iter(Loader(dataset, EpochBatchSampler(len(dataset), 16, shuffle=True))))
print(time.perf_counter() - start)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/event-dataset"))
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    data = write_recordings(chosen.out, RECORDINGS)
    whole, own = zip(*(first_batch(data) for _ in range(chosen.rounds)), strict=True)
    index = open_data(data).split("train")
    kept = cache_file(data).stat().st_size
    events = sum(len(open_recording(path)) for path in index.recordings)
    print(f"{len(index.recordings)} recordings, {events / 1e6:.1f} M events, {len(index)} labelled instants")
    print(
        f"first batch of {BATCH}: {median(whole):.2f} s from the start of Python, {median(own):.2f} s after its imports"
    )
    each = kept / len(index)
    print(f"index: {each:.0f} bytes a labelled instant ({PUBLISHED_BYTES / each:,.0f} times less than published)")
    dataset = EventDataset(index, PREPARATION, EventAugmentation())
    ways: dict[str, Callable[[int], None]] = {"read and bincount, one process": lambda epoch: limit(dataset)}
    for workers in (0, 1, 2):
        loader = Loader(dataset, EpochBatchSampler(len(dataset), BATCH, shuffle=True), workers=workers)
        ways[f"loader, {workers} workers"] = lambda epoch, loader=loader: drain(loader)  # type: ignore[misc]
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for epoch in range(chosen.rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way(epoch)
            if epoch:  # the first round starts the workers
                rates[name].append(len(dataset) / (time.perf_counter() - start))
    best = median(rates["read and bincount, one process"])
    for name, values in rates.items():
        print(f"{name:<32} {median(values):6.0f} samples/s  {median(values) / best:5.2f} of the limit")


def cache_file(data: Path) -> Path | None:
    return IndexCache.of(data, "train", (), ()).file


def first_batch(data: Path) -> tuple[float, float]:
    """Seconds to the first batch in a new process: in all, and without imports."""
    if kept := cache_file(data):
        kept.unlink()
    for file in (data.parent / "train").iterdir():
        with open(file, "rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    start = time.perf_counter()
    command = [sys.executable, "-c", FIRST_BATCH, str(data)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return time.perf_counter() - start, float(said)


def drain(loader: Loader) -> None:
    for _ in loader:
        pass


def limit(dataset: EventDataset) -> None:
    """The least that any loader must do."""
    rows, columns = dataset.index.sensor_size_hw
    recordings = [open_recording(path) for path in dataset.index.recordings]
    for instant, end_us in enumerate(dataset.index.t_us.tolist()):
        events = recordings[int(dataset.index.recording[instant])].window(end_us - PREPARATION.window_us, end_us)
        step = (events.t_us - end_us + PREPARATION.window_us) * 2 // PREPARATION.window_us
        cells = ((step * 2 + events.polarity) * rows + events.y) * columns + events.x
        np.bincount(cells, minlength=4 * rows * columns)


if __name__ == "__main__":
    main()
