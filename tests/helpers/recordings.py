"""Events for tests: random ones, and hypothesis strategies."""

import numpy as np
from hypothesis import strategies as st

from spikeyolo.events import Events

NAMES = ("t_us", "x", "y", "polarity")


def events_of(t_us, x, y, polarity):
    return Events(np.array(t_us, np.int64), *(np.array(c, d) for c, d in ((x, "u2"), (y, "u2"), (polarity, "u1"))))


def random_events(count, end_us, size_hw=(5, 7), seed=0, start_us=0):
    rng = np.random.default_rng(seed)
    return events_of(
        np.sort(rng.integers(start_us, end_us, count)),
        rng.integers(0, size_hw[1], count),
        rng.integers(0, size_hw[0], count),
        rng.integers(0, 2, count),
    )


def joined(parts):
    parts = [Events.empty(), *parts]
    return Events(*(np.concatenate([getattr(part, name) for part in parts]) for name in NAMES))


def windows(recording, window_us):
    """(start, events) of windows one after the other, from the last multiple of their length before any event."""
    first = recording.start_us // window_us * window_us
    for start in range(first, recording.duration_us, window_us):
        yield start, recording.window(start, start + window_us)


def assert_equal(one, other):
    for name in NAMES:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


@st.composite
def recordings(draw, size_hw=(5, 7), largest_gap_us=2000, first_us=2000, most=60):
    """Some events on a small sensor; many share a time."""
    gaps = st.one_of(st.just(0), st.integers(0, largest_gap_us))
    steps = draw(st.lists(gaps, max_size=most))
    count = len(steps)
    first = draw(st.integers(0, first_us))
    columns = [draw(st.lists(st.integers(0, n - 1), min_size=count, max_size=count)) for n in (*size_hw[::-1], 2)]
    return events_of(first + np.cumsum([0, *steps[1:]])[:count], *columns)
