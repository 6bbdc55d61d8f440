"""A stream of as many events as wanted, for tests of memory and speed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..events import Events


def noise_stream(
    events: int = 50_000_000,
    duration_us: int = 30_000_000,
    size_hw: tuple[int, int] = (240, 304),
    seed: int = 0,
    chunk_us: int = 10_000,
) -> Iterator[Events]:
    """Exactly `events` events, evenly spread over pixels, polarities and 0 <= t < duration_us, chunk by chunk.

    Memory is that of a chunk of `chunk_us`. The same arguments give the same stream.
    """
    rng = np.random.default_rng(seed)
    done = 0
    for start in range(0, duration_us, chunk_us):
        end = min(start + chunk_us, duration_us)
        count = events * end // duration_us - done
        done += count
        t = np.sort(rng.integers(start, end, size=count, dtype=np.int64))
        x = rng.integers(size_hw[1], size=count, dtype=np.uint16)
        y = rng.integers(size_hw[0], size=count, dtype=np.uint16)
        yield Events(t, x, y, rng.integers(2, size=count, dtype=np.uint8))
