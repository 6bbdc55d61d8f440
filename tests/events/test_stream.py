"""Windows that follow each other: a partition of the recording, whatever bounds them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.recordings import assert_equal, events_of, joined, random_events, recordings

from spikeyolo.errors import ConfigError
from spikeyolo.events import EventInput, open_recording, write_dat
from spikeyolo.events.filters import Filtering
from spikeyolo.events.render import render_window
from spikeyolo.events.stream import StreamWindows
from spikeyolo.events.windows import window_before

SIZE_HW = (5, 7)


def recording_of(folder, events):
    write_dat(folder / "a_td.dat", [events], SIZE_HW)
    return open_recording(folder / "a_td.dat")


@pytest.fixture
def ten(tmp_path):
    """Events at 0, 10, 20, ..., 90 us."""
    return recording_of(tmp_path, events_of(range(0, 100, 10), [n % 7 for n in range(10)], [0] * 10, [1] * 10))


def times(one):
    return [part.events.t_us.tolist() for part in one.window.timesteps]


def test_windows_end_with_every_fourth_event_and_the_last_with_what_there_is(ten):
    steps = list(StreamWindows(ten, EventInput(window_events=4, timesteps=2)))
    assert [times(step) for step in steps] == [[[0, 10], [20, 30]], [[40, 50], [60, 70]], [[], [80, 90]]]
    assert [step.end_us for step in steps] == [31, 71, 91]
    assert [step.fresh for step in steps] == [True, False, False]


def test_carried_a_timestep_ends_with_every_second_event(ten):
    stream = StreamWindows(ten, EventInput(window_events=4, timesteps=2), carry=True)
    assert [times(step) for step in stream] == [[[t, t + 10]] for t in range(0, 100, 20)]
    assert stream.total == 5


def test_with_both_bounds_a_timestep_ends_with_the_first_that_is_met(tmp_path):
    """At most 2 events and 50 us: events at 1, 2, 3 fill one; then come 50 us with one event, none, one."""
    recording = recording_of(tmp_path, events_of([1, 2, 3, 120], [0] * 4, [0] * 4, [1] * 4))
    steps = list(StreamWindows(recording, EventInput(window_events=4, window_us=100, timesteps=2), carry=True))
    assert [times(step)[0] for step in steps] == [[1, 2], [3], [], [120]]
    assert [step.end_us for step in steps] == [3, 53, 103, 153]
    whole = list(StreamWindows(recording, EventInput(window_events=4, window_us=100, timesteps=2)))
    assert [times(step) for step in whole] == [[[1, 2], [3]], [[], [120]]]


def test_silence_is_left_out_and_the_network_starts_anew(tmp_path):
    recording = recording_of(tmp_path, events_of([10, 60_000_025], [0] * 2, [0] * 2, [1] * 2))
    both = EventInput(window_events=20, window_us=100, timesteps=2)
    with pytest.warns(UserWarning, match=r"60 s left out, in which there is no event"):
        steps = list(StreamWindows(recording, both))
    assert [(step.fresh, times(step)) for step in steps] == [(True, [[], [10]]), (True, [[], [60_000_025]])]
    by_number = list(StreamWindows(recording, EventInput(window_events=2)))  # whose time stands still anyway
    assert [(step.fresh, len(step.events)) for step in by_number] == [(True, 2)]


@pytest.mark.parametrize("carry", [False, True])
@pytest.mark.parametrize(
    ("bounds", "first_us", "count"),
    [({"window_us": 4000}, 8_000, (2, 4)), ({"window_events": 200, "window_us": 4000}, 10_000, (2, 3))],
)
def test_time_before_the_first_event_is_left_out(tmp_path, bounds, first_us, count, carry):
    """Events at 11 and 15 ms; windows of 4 ms on the clock of the recording, or timesteps of 2 ms until they are full.

    With the potentials carried on, a stream of equal windows starts where it starts without.
    """
    recording = recording_of(tmp_path, events_of([11_000, 15_000], [0] * 2, [0] * 2, [1] * 2))
    stream = StreamWindows(recording, EventInput(**bounds, timesteps=2), carry)
    steps = list(stream)
    assert (steps[0].start_us, len(steps)) == (first_us, count[carry])
    assert stream.total in (None, len(steps))
    assert [step.events.t_us.tolist() for step in steps if len(step.events)] == [[11_000], [15_000]]


@pytest.mark.parametrize("carry", [False, True])
@given(recordings(), st.integers(1, 3), st.integers(1, 6), st.one_of(st.none(), st.integers(1, 900)))
@settings(max_examples=12, deadline=None)
def test_no_event_is_lost_and_none_comes_twice(tmp_path_factory, carry, events, timesteps, each, step_us):
    recording = recording_of(tmp_path_factory.mktemp("s"), events)
    window_us = None if step_us is None else step_us * timesteps
    seen = EventInput(window_events=each * timesteps, window_us=window_us, timesteps=timesteps)
    stream = StreamWindows(recording, seen, carry)
    steps = list(stream)
    assert_equal(joined([step.events for step in steps]), events)
    assert_equal(joined([step.window.events for step in steps]), events)
    assert [step.end_us for step in steps] == sorted(step.end_us for step in steps)
    if step_us is None:
        most = each if carry else each * timesteps
        assert [len(step.events) for step in steps[:-1]] == [most] * (len(steps) - 1)
        assert len(steps) == stream.total == -(-len(events) // most)
    drawn = [render_window(step.window, SIZE_HW, stream.seen)[0].sum() for step in steps]
    assert sum(drawn) == len(events)


@pytest.mark.parametrize("name", ["stacked_histogram", "voxel_grid", "time_surface"])
def test_a_whole_window_of_a_stream_is_the_one_that_is_trained_on(tmp_path, name):
    recording = recording_of(tmp_path, random_events(100, 9_000, SIZE_HW))
    seen = EventInput(name, window_events=20, timesteps=4)
    for step in StreamWindows(recording, seen):
        trained = window_before(recording, step.end_us, seen)
        got, expected = (render_window(window, SIZE_HW, seen)[0] for window in (step.window, trained))
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("seen", [EventInput(window_us=2000), EventInput(window_events=30)])
def test_a_stream_is_filtered_as_in_one_pass(tmp_path, seen):
    recording = recording_of(tmp_path, random_events(400, 20_000, SIZE_HW))
    filters = {"refractory_us": 700, "background_us": 90, "region": [1, 0, 6, 4]}
    filtered = EventInput.of({**seen.to_dict(), "filters": filters})
    whole = Filtering(filtered.filters, SIZE_HW)(recording.window(0, 20_000))
    assert 0 < len(whole) < 400
    assert_equal(joined([step.window.events for step in StreamWindows(recording, filtered)]), whole)


def test_what_cannot_be_streamed(ten):
    with pytest.raises(ConfigError, match="carry: the network sees the timesteps of a window newest-first"):
        StreamWindows(ten, EventInput(window_events=4, order="newest-first"), carry=True)
    with pytest.raises(ConfigError, match="region: 0, 0, 8, 5 reaches beyond the sensor of 7 columns and 5 rows"):
        StreamWindows(ten, EventInput(filters={"region": [0, 0, 8, 5]}))
