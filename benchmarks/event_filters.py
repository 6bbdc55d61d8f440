"""Events a second that the filters take, beside a loop in plain Python that does the same.

    python benchmarks/event_filters.py [--events 4000000] [--rate 1600000]

A moving edge of seven events in ten and noise, on Gen1's and on a 1 Mpx sensor. Processor time of one thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from spikeyolo.events import Events
from spikeyolo.events.filters import NEVER, background, refractory

SENSORS = {"304 x 240": (240, 304), "1280 x 720": (720, 1280)}
LOOPED = 100_000  # events, for the loop in Python


def scene(count: int, rate: int, size_hw: tuple[int, int]) -> Events:
    """An edge that moves two pixels a millisecond, and noise."""
    rng, (height, width) = np.random.default_rng(0), size_hw
    t_us = np.sort(rng.integers(0, int(count / rate * 1e6), count))
    edge = (t_us // 500 + rng.integers(-2, 3, count)) % width
    x = np.where(rng.random(count) < 0.7, edge, rng.integers(0, width, count))
    y, polarity = rng.integers(0, height, count), rng.integers(0, 2, count)
    return Events(t_us, x.astype(np.uint16), y.astype(np.uint16), polarity.astype(np.uint8))


def loop_refractory(events: Events, period_us: int) -> list[bool]:
    """The filter, word by word."""
    last, kept = dict[tuple[int, int], int](), []
    for t, x, y in zip(events.t_us.tolist(), events.x.tolist(), events.y.tolist(), strict=True):
        kept.append((x, y) not in last or t - last[x, y] >= period_us)
        if kept[-1]:
            last[x, y] = t
    return kept


def loop_background(events: Events, support_us: int) -> list[bool]:
    """The filter, word by word."""
    last, kept = dict[tuple[int, int], int](), []
    around = [(dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1) if dx or dy]
    for t, x, y in zip(events.t_us.tolist(), events.x.tolist(), events.y.tolist(), strict=True):
        kept.append(any(t - last.get((x + dx, y + dy), NEVER) <= support_us for dx, dy in around))
        last[x, y] = t
    return kept


def measured(run: Callable[..., object], events: Events, *rest: object) -> str:
    """The speed of a call."""
    start = time.process_time()
    run(events, *rest)
    return f"{len(events) / (time.process_time() - start) / 1e6:.2f} M events/s"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=4_000_000)
    parser.add_argument("--rate", type=int, default=1_600_000, help="events a second")
    given = parser.parse_args()
    pairs = {"refractory": (refractory, loop_refractory), "background": (background, loop_background)}
    for name, size_hw in SENSORS.items():
        events = scene(given.events, given.rate, size_hw)
        state, few = np.full(size_hw, NEVER), events[:LOOPED]
        for step, (fast, loop) in pairs.items():
            for period_us in (300, 1000, 5000):
                assert fast(few, period_us, state)[0].tolist() == loop(few, period_us)
                ours, loops = measured(fast, events, period_us, state), measured(loop, few, period_us)
                print(f"{name:<11} {step:<10} {period_us:>5} us: {ours}; loop in Python: {loops}")


if __name__ == "__main__":
    main()
