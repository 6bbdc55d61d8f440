"""Windows by a number of events, and by both bounds: partitions of what comes before an instant."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.recordings import assert_equal, events_of, joined, random_events, recordings

from spikeyolo.errors import ConfigError
from spikeyolo.events import EventInput, open_recording, render, write_dat
from spikeyolo.events.dat import DatFile
from spikeyolo.events.render import frames_of_window, render_window
from spikeyolo.events.representations import REPRESENTATIONS
from spikeyolo.events.windows import window_before

SIZE_HW = (5, 7)


def recording_of(folder, events, size_hw=SIZE_HW):
    write_dat(folder / "a_td.dat", [events], size_hw)
    return open_recording(folder / "a_td.dat")


def counted(window):
    return [len(one.events) for one in window.timesteps]


def spans(window):
    return [(one.start_us, one.end_us) for one in window.timesteps]


@pytest.fixture
def ten(tmp_path):
    """Events at 0, 10, 20, ..., 90 us, in columns 0 to 6 and on."""
    return recording_of(tmp_path, events_of(range(0, 100, 10), [n % 7 for n in range(10)], [0] * 10, [1] * 10))


def test_a_window_of_six_events_in_three_timesteps(ten):
    """Before 85 us come the events at 0 to 80; the last six begin at 30. Time stands still between full timesteps."""
    window = window_before(ten, 85, EventInput(window_events=6, timesteps=3))
    assert [one.events.t_us.tolist() for one in window.timesteps] == [[30, 40], [50, 60], [70, 80]]
    assert spans(window) == [(30, 41), (50, 61), (70, 81)]
    assert window.end_us == 81  # without a bound of time it stands still after the last event


def test_both_bounds_take_what_comes_first(tmp_path):
    """T = 2, at most 3 events and 20 us a timestep: the last ends with three events, the one before with its time."""
    events = events_of([0, 22, 30, 41, 42, 43, 50], [0] * 7, [0] * 7, [1] * 7)
    recording = recording_of(tmp_path, events)
    window = window_before(recording, 55, EventInput(window_us=40, window_events=6, timesteps=2))
    assert [one.events.t_us.tolist() for one in window.timesteps] == [[22, 30, 41], [42, 43, 50]]
    assert spans(window) == [(22, 42), (42, 51)]
    late = window_before(recording, 65, EventInput(window_us=40, window_events=6, timesteps=2))
    assert [one.events.t_us.tolist() for one in late.timesteps] == [[41, 42, 43], [50]]
    assert spans(late) == [(41, 44), (45, 65)]


def test_at_the_start_there_is_what_there_is(ten):
    window = window_before(ten, 25, EventInput(window_events=8, timesteps=4))
    assert counted(window) == [0, 0, 1, 2]
    assert counted(window_before(ten, 0, EventInput(window_events=8, timesteps=4))) == [0, 0, 0, 0]
    frames, _ = render(ten, 25, EventInput(window_events=8, timesteps=4))
    assert frames.sum((1, 2, 3)).tolist() == [0, 0, 1, 2]
    assert not render(ten, 0, EventInput(window_events=8, timesteps=4))[0].any()


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_with_time_to_spare_both_bounds_are_windows_of_time(tmp_path, name):
    recording = recording_of(tmp_path, random_events(300, 90_000, SIZE_HW))
    by_time = EventInput(name, timesteps=2, window_us=40_000)
    both = EventInput(name, timesteps=2, window_us=40_000, window_events=1000)
    for end_us in (10_000, 60_000, 120_000):
        np.testing.assert_allclose(render(recording, end_us, both)[0], render(recording, end_us, by_time)[0], atol=1e-6)


def test_a_time_surface_sees_the_events_of_earlier_timesteps(ten):
    """Of the event at 30, the age is 11 us when the first timestep ends, after 40, and 31 us after 60."""
    seen = EventInput({"name": "time_surface", "decay_us": 100}, window_events=4, timesteps=2)
    frames = frames_of_window(window_before(ten, 65, seen), SIZE_HW, seen)
    np.testing.assert_allclose(frames[0, 1, 0, 3], np.exp(-0.11), rtol=1e-6)
    np.testing.assert_allclose(frames[1, 1, 0, 3], np.exp(-0.31), rtol=1e-6)


cases = st.tuples(recordings(), st.integers(1, 4), st.integers(1, 8), st.one_of(st.none(), st.integers(1, 3000)))


@given(cases, st.integers(0, 130_000))
@settings(max_examples=60, deadline=None)
def test_timesteps_are_a_partition_of_the_last_events(tmp_path_factory, case, end_us):
    events, timesteps, each, step_us = case
    recording = recording_of(tmp_path_factory.mktemp("w"), events)
    window_us = None if step_us is None else step_us * timesteps
    seen = EventInput(window_events=each * timesteps, window_us=window_us, timesteps=timesteps)
    window = window_before(recording, end_us, seen)
    before = events[events.t_us < end_us]
    got = joined([one.events for one in window.timesteps])
    assert_equal(got, before[len(before) - len(got) :])  # the last ones, none twice, none lost between
    assert_equal(got, window.events)
    counts = counted(window)
    if window_us is None:
        assert len(got) == min(len(before), each * timesteps)
        full, rest = divmod(len(got), each)
        assert counts[::-1] == ([each] * full + [rest] * (full < timesteps) + [0] * timesteps)[:timesteps]
    for one, (start, end) in zip(window.timesteps, spans(window), strict=True):
        assert len(one.events) <= each
        assert start < end
        assert ((one.events.t_us >= start) & (one.events.t_us < end)).all()
        if step_us is not None:
            assert end - start <= step_us + 1  # one more where events of one microsecond are parted
    frames, _ = render_window(window, SIZE_HW, seen)
    assert frames.sum((1, 2, 3)).tolist() == counts


def test_the_last_events_are_found_without_reading_the_recording(tmp_path, monkeypatch):
    recording = recording_of(tmp_path, random_events(400_000, 4_000_000, SIZE_HW))
    read, blocks = [], DatFile._words
    monkeypatch.setattr(DatFile, "_words", lambda self, first, count: read.append(count) or blocks(self, first, count))
    window = window_before(recording, 3_000_000, EventInput(window_events=1000))
    assert len(window.events) == 1000
    assert sum(read) <= 4 * 16384  # blocks of the page index around the instant


def test_a_change_of_all_events_keeps_them_in_their_timesteps(ten):
    window = window_before(ten, 85, EventInput(window_events=6, timesteps=3))
    fewer = window.changed(lambda events: events[events.t_us != 50])
    assert [one.events.t_us.tolist() for one in fewer.timesteps] == [[30, 40], [60], [70, 80]]
    none = window.changed(lambda events: events[:0])
    assert counted(none) == [0, 0, 0]
    assert counted(window.changed(lambda events: events)) == [2, 2, 2]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"window_events": 7, "timesteps": 2}, "window_events: a window of 7 events has no 2 equal timesteps; .* as 8"),
        ({"window_events": 0}, "window_events: 0 is not an integer in 1"),
        ({"window_events": 4, "window_us": 5}, "window_us: a window of 5 us has no 2 equal timesteps"),
        ({"window_events": "many"}, "window_events: 'many' is not a whole number"),
    ],
)
def test_windows_that_cannot_be_cut(given, said):
    with pytest.raises(ConfigError, match=said):
        EventInput.of(given)


def test_one_bound_given_alone_replaces_both():
    by_time, by_both = EventInput(window_us=100_000), EventInput(window_us=100_000, window_events=500)
    assert EventInput.of(by_time, window_events=40) == EventInput(window_events=40)
    assert EventInput.of(by_both, window_us=50_000) == EventInput(window_us=50_000)
    assert EventInput.of(by_time, window_events=40, window_us=10) == EventInput(window_us=10, window_events=40)
    assert EventInput(window_events=40).window_us is None
    assert EventInput().window_us == 250_000


def test_what_is_kept_with_the_weights_is_as_before_where_nothing_new_is_said():
    names = {"representation", "timesteps", "window_us", "downscale", "order", "letterbox"}
    assert EventInput().to_dict().keys() == names
    for seen in (
        EventInput(window_events=40),
        EventInput(window_us=40, window_events=40),
        EventInput(filters={"refractory_us": 5, "region": [1, 2, 3, 4]}),
    ):
        assert EventInput.from_dict(seen.to_dict()) == seen
    assert EventInput(filters={"refractory_us": 5}).to_dict()["filters"] == {"refractory_us": 5}
