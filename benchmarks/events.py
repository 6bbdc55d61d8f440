"""Events a second: reading of .dat, and each representation, beside numpy.bincount of the same events (the limit).

    OMP_NUM_THREADS=1 python benchmarks/events.py --events 3000000

The events are generated, uniform over a sensor of 1 Mpx halved; windows are of 50 ms. Every stage is timed in turn,
round after round, so that other work on the machine slows all alike.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from spikeyolo.events import Events, Recording, RepresentationConfig, open_recording, write_dat
from spikeyolo.events.representations import REPRESENTATIONS

WINDOW_US = 50_000
LIMIT = "numpy.bincount"


def generate(path: Path, count: int, rate: int, size_hw: tuple[int, int]) -> Recording:
    """A recording of `count` events at `rate` events a second."""
    rng = np.random.default_rng(0)
    t_us = np.sort(rng.integers(0, count * 10**6 // rate, count))
    x, y, polarity = (rng.integers(0, n, count, dtype=np.uint16) for n in (size_hw[1], size_hw[0], 2))
    write_dat(path, [Events(t_us, x, y, polarity.astype(np.uint8))], size_hw)
    return open_recording(path)


def cut(recording: Recording) -> Iterator[tuple[int, Events]]:
    """Windows one after the other, each with its start."""
    for start in range(0, recording.duration_us, WINDOW_US):
        yield start, recording.window(start, start + WINDOW_US)


def stages(recording: Recording, timesteps: int) -> dict[str, Callable[[], object]]:
    """What is timed; each handles all events of the recording, window by window."""
    size_hw = recording.sensor_size_hw
    cells = size_hw[0] * size_hw[1]
    windows = list(cut(recording))
    pixels = [part.y.astype(np.intp) * size_hw[1] + part.x for _, part in windows]

    def render(config: RepresentationConfig) -> Callable[[], object]:
        def run() -> None:
            for start, part in windows:
                config.render(part, start, start + WINDOW_US, size_hw, timesteps)

        return run

    return {
        LIMIT: lambda: [np.bincount(part, minlength=cells) for part in pixels],
        ".dat, windows of 50 ms": lambda: [len(part) for _, part in cut(recording)],
        **{name: render(RepresentationConfig(name)) for name in REPRESENTATIONS},
    }


def measure(
    events: int = 3_000_000,
    rate: int = 10_000_000,
    size_hw: tuple[int, int] = (360, 640),
    timesteps: int = 2,
    rounds: int = 9,
) -> None:
    """Prints the medians.

    Args:
        events: generated events
        rate: events a second of the recording
        size_hw: rows and columns of the sensor
        timesteps: of each window
        rounds: how often each stage is timed, after one round that is not
    """
    with tempfile.TemporaryDirectory() as folder:
        recording = generate(Path(folder) / "x.dat", events, rate, size_hw)
        run = stages(recording, timesteps)
        seconds: dict[str, list[float]] = {name: [] for name in run}
        for _ in range(rounds + 1):
            for name, stage in run.items():
                start = time.perf_counter()
                stage()
                seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    windows = -(-recording.duration_us // WINDOW_US)
    show(medians, events, f"{events:,} events in {windows} windows, sensor {size_hw}, {timesteps} timesteps")


def show(medians: dict[str, float], events: int, title: str) -> None:
    """The table; the ratio is of the time to that of bincount."""
    table = Table("stage", "million events/s", "time / bincount", title=title)
    for name, value in medians.items():
        table.add_row(name, f"{events / value / 1e6:.0f}", f"{value / medians[LIMIT]:.1f}")
    table.columns[1].justify = table.columns[2].justify = "right"
    Console().print(table)


if __name__ == "__main__":
    import sys

    from spikeyolo.cli.main import run_script

    sys.exit(run_script(measure, sys.argv[1:]))
