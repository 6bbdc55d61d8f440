import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.recordings import events_of, joined, random_events, recordings

from spikeyolo.errors import ConfigError, ShapeError
from spikeyolo.events import (
    Events,
    RepresentationConfig,
    count_frames,
    exponential_surfaces,
    last_event_frame,
    stacked_histogram,
    time_surface,
    voxel_grid,
)
from spikeyolo.events.representations import REPRESENTATIONS

SIZE = (5, 7)
windows = st.tuples(st.integers(-100, 3000), st.integers(1, 5000), st.integers(1, 5)).map(
    lambda w: (w[0], w[0] + w[1], w[2])
)


def inside(events, start, end, timesteps):
    """(timestep, exact time within it as a share, x, y, polarity) of each event in the window, by the definition."""
    for t, x, y, p in zip(*(column.tolist() for column in vars(events).values()), strict=True):
        if start <= t < end:
            place = Fraction((t - start) * timesteps, end - start)
            yield math.floor(place), place - math.floor(place), x, y, p


@given(recordings(), windows)
def test_count_frames_by_definition(events, window):
    start, end, steps = window
    expected = np.zeros((steps, 2, *SIZE))
    for k, _, x, y, p in inside(events, start, end, steps):
        expected[k, p, y, x] += 1
    frames = count_frames(events, start, end, SIZE, steps)
    assert frames.dtype == np.float32
    np.testing.assert_array_equal(frames, expected)


@given(recordings(), windows, st.integers(1, 4), st.integers(1, 3))
def test_stacked_histogram_by_definition(events, window, bins, cutoff):
    start, end, steps = window
    expected = np.zeros((steps, 2 * bins, *SIZE))
    for k, share, x, y, p in inside(events, start, end, steps):
        expected[k, p * bins + math.floor(share * bins), y, x] += 1
    frames = stacked_histogram(events, start, end, SIZE, steps, bins=bins, cutoff=cutoff)
    assert frames.dtype == np.uint8
    np.testing.assert_array_equal(frames, expected.clip(max=cutoff))


@given(recordings(), windows, st.integers(1, 4))
def test_voxel_grid_by_definition(events, window, bins):
    start, end, steps = window
    expected = np.zeros((steps, bins, *SIZE))
    for k, share, x, y, p in inside(events, start, end, steps):
        for b in range(bins):
            expected[k, b, y, x] += (2 * p - 1) * max(0, 1 - abs(b - share * (bins - 1)))
    frames = voxel_grid(events, start, end, SIZE, steps, bins=bins)
    assert frames.dtype == np.float32
    np.testing.assert_allclose(frames, expected, atol=1e-5)


@given(recordings(), windows, st.integers(1, 3000))
def test_time_surface_by_definition(events, window, decay):
    start, end, steps = window
    expected = np.zeros((steps, 2, *SIZE))
    for k, share, x, y, p in inside(events, start, end, steps):
        for later in range(k, steps):
            age = (later + 1 - (k + share)) * Fraction(end - start, steps)
            expected[later, p, y, x] = math.exp(-age / decay)
    frames = time_surface(events, start, end, SIZE, steps, decay_us=decay)
    assert frames.dtype == np.float32
    np.testing.assert_allclose(frames, expected, rtol=1e-5, atol=1e-30)


@given(recordings(), windows, st.lists(st.integers(1, 3000), min_size=1, max_size=3).map(tuple))
def test_exponential_surfaces_by_definition(events, window, decays):
    start, end, steps = window
    expected = np.zeros((steps, 2, len(decays), *SIZE))
    for k, share, x, y, p in inside(events, start, end, steps):
        for later in range(k, steps):
            age = (later + 1 - (k + share)) * Fraction(end - start, steps)
            expected[later, p, :, y, x] += [math.exp(-age / decay) for decay in decays]
    frames = exponential_surfaces(events, start, end, SIZE, steps, decays_us=decays)
    assert frames.dtype == np.float32
    np.testing.assert_allclose(frames, expected.reshape(frames.shape), rtol=1e-5, atol=1e-30)


@given(recordings(), windows)
def test_last_event_frame_by_definition(events, window):
    start, end, steps = window
    expected = np.full((steps, 3, *SIZE), 127)
    for k, _, x, y, p in inside(events, start, end, steps):
        expected[k, :, y, x] = 255 * p
    frames = last_event_frame(events, start, end, SIZE, steps)
    assert frames.dtype == np.uint8
    np.testing.assert_array_equal(frames, expected)


@given(recordings(), windows, st.integers(-100, 3000))
def test_no_event_is_lost_and_none_counted_twice(events, window, cut):
    start, end, steps = window
    within = (events.t_us >= start) & (events.t_us < end)
    counts = count_frames(events, start, end, SIZE, steps)
    assert counts.sum() == within.sum()
    histogram = stacked_histogram(events, start, end, SIZE, steps, bins=3, cutoff=255)
    np.testing.assert_array_equal(histogram.reshape(steps, 2, 3, *SIZE).sum(2), counts)
    grid = voxel_grid(events, start, end, SIZE, steps, bins=4)
    np.testing.assert_allclose(grid.sum(1), counts[:, 1] - counts[:, 0], atol=1e-5)
    # Two windows side by side hold what one over both holds.
    if start < cut < end:
        parts = (count_frames(events, *span, SIZE, 1) for span in ((start, cut), (cut, end)))
        np.testing.assert_array_equal(sum(parts)[0], counts.sum(0))


def test_histogram_saturates_and_never_wraps():
    events = events_of([5] * 1000, [3] * 1000, [2] * 1000, [1] * 1000)
    for cutoff in (10, 255):
        frames = stacked_histogram(events, 0, 10, SIZE, 1, bins=1, cutoff=cutoff)
        assert frames[0, 1, 2, 3] == cutoff == frames.sum()
    assert count_frames(events, 0, 10, SIZE, 1).max() == 1000


def test_worked_example():
    """Three events of one pixel in a window of 100 us, two timesteps."""
    events = events_of([0, 40, 75], [6, 6, 6], [4, 4, 4], [1, 0, 1])
    assert count_frames(events, 0, 100, SIZE, 2)[:, :, 4, 6].tolist() == [[1, 1], [0, 1]]
    assert stacked_histogram(events, 0, 100, SIZE, 2, bins=2)[:, :, 4, 6].tolist() == [[0, 1, 1, 0], [0, 0, 0, 1]]
    np.testing.assert_allclose(
        voxel_grid(events, 0, 100, SIZE, 2, bins=3)[:, :, 4, 6], [[1, -0.4, -0.6], [0, 1, 0]], atol=1e-6
    )
    np.testing.assert_allclose(
        time_surface(events, 0, 100, SIZE, 2, decay_us=50)[:, :, 4, 6],
        np.exp([[-0.2, -1], [-1.2, -0.5]]),
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        exponential_surfaces(events, 0, 100, SIZE, 2, decays_us=(50, 10))[:, :, 4, 6],
        [
            np.exp([-0.2, -1, -1, -5]),
            [np.exp(-1.2), np.exp(-6), np.exp(-2) + np.exp(-0.5), np.exp(-10) + np.exp(-2.5)],
        ],
        rtol=1e-6,
    )
    assert last_event_frame(events, 0, 100, SIZE, 2)[:, :, 4, 6].tolist() == [[0] * 3, [255] * 3]


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_every_representation_by_name(name):
    config = RepresentationConfig(name, bins=3)
    events = random_events(500, 10_000)
    before = joined([events])
    frames = config.render(events, 1000, 9000, SIZE, 4)
    assert frames.shape == (4, config.channels, *SIZE)
    assert frames.flags.c_contiguous
    for column, kept in zip(vars(events).values(), vars(before).values(), strict=True):
        np.testing.assert_array_equal(column, kept)
    empty = config.render(Events.empty(), 1000, 9000, SIZE, 4)
    assert (empty.shape, empty.dtype) == (frames.shape, frames.dtype)
    assert set(empty.ravel().tolist()) == {127 if name == "last_event_frame" else 0}
    # Far from the origin of time nothing changes.
    far = Events(events.t_us + 10**15, events.x, events.y, events.polarity)
    np.testing.assert_array_equal(config.render(far, 10**15 + 1000, 10**15 + 9000, SIZE, 4), frames)


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_what_cannot_be_drawn_is_refused(name):
    render = RepresentationConfig(name).render
    one = events_of([5], [0], [0], [1])
    for start, end, steps in ((5, 5, 1), (6, 5, 1), (0, 10, 0)):
        with pytest.raises(ConfigError, match="cannot be cut"):
            render(one, start, end, SIZE, steps)
    for x, y in ((7, 0), (0, 5)):
        with pytest.raises(ShapeError, match="beyond the sensor"):
            render(events_of([5], [x], [y], [1]), 0, 10, SIZE, 1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "histogram"}, "choose from count_frames"),
        ({"bins": 0}, "bins"),
        ({"cutoff": 256}, "cutoff"),
        ({"decay_us": 0}, "decay_us"),
        ({"decays_us": (5, 0)}, "decays_us"),
        ({"decays_us": ()}, "decays_us: "),
        ({"decays_us": 5}, "decays_us: 5 is not a list"),
        ({"leaks": 17}, "leaks"),
    ],
)
def test_settings_out_of_range_are_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        RepresentationConfig(**wrong)
