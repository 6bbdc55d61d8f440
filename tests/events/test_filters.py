"""Filters of events against loops that take the definitions word by word, and by hand."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.recordings import assert_equal, events_of, joined, random_events, recordings

from spikeyolo.errors import ConfigError
from spikeyolo.events import EventFilters, EventInput, filters, open_recording, render, write_dat
from spikeyolo.events.filters import NEVER, Filtering, background, refractory
from spikeyolo.events.windows import window_before

SIZE_HW = (5, 7)


def rested():
    return np.full(SIZE_HW, NEVER)


def refractory_by_word(events, period_us):
    last, kept = {}, []
    for t, x, y in zip(events.t_us.tolist(), events.x.tolist(), events.y.tolist(), strict=True):
        kept.append((x, y) not in last or t - last[x, y] >= period_us)
        if kept[-1]:
            last[x, y] = t
    return np.array(kept, bool)


def background_by_word(events, support_us):
    last, kept = {}, []
    for t, x, y in zip(events.t_us.tolist(), events.x.tolist(), events.y.tolist(), strict=True):
        around = [(x + dx, y + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1) if dx or dy]
        kept.append(any(place in last and t - last[place] <= support_us for place in around))
        last[x, y] = t
    return np.array(kept, bool)


def test_a_pixel_rests_for_a_period_after_what_it_kept():
    """Period 10: of events at 0, 9, 10, 15, 21 those at 9 and 15 are dropped; another pixel rests alone."""
    events = events_of([0, 9, 9, 10, 15, 21], [1, 1, 2, 1, 1, 1], [3] * 6, [0] * 6)
    kept, last = refractory(events, 10, rested())
    assert kept.tolist() == [True, False, True, True, False, True]
    assert (last[3, 1], last[3, 2], last[0, 0]) == (21, 9, NEVER)


def test_an_event_needs_a_neighbour_before_it():
    """Support 5: the first event has none, nor has one of the same pixel; a diagonal one 5 us later has it."""
    events = events_of([0, 3, 5, 11, 11], [0, 0, 1, 0, 3], [0, 0, 1, 0, 1], [1] * 5)
    assert background(events, 5, rested())[0].tolist() == [False, False, True, False, False]
    assert background(events, 6, rested())[0].tolist() == [False, False, True, True, False]


def test_pixels_at_the_right_and_left_border_are_no_neighbours():
    events = events_of([0, 1], [6, 0], [1, 2], [1, 1])
    assert not background(events, 100, rested())[0].any()


@given(recordings(largest_gap_us=30, most=200), st.integers(1, 200), st.integers(0, 200))
@settings(max_examples=30, deadline=None)
def test_filters_are_what_their_words_say(events, period_us, cut):
    for function, by_word in ((refractory, refractory_by_word), (background, background_by_word)):
        whole, last = function(events, period_us, rested())
        np.testing.assert_array_equal(whole, by_word(events, period_us))
        first, between = function(events[:cut], period_us, rested())  # and parts are what one pass is
        second, after = function(events[cut:], period_us, between)
        np.testing.assert_array_equal(np.concatenate([first, second]), whole)
        np.testing.assert_array_equal(after, last)


def test_many_events_in_one_piece_and_in_many(monkeypatch):
    monkeypatch.setattr(filters, "PIECE", 500)
    events = random_events(3_000, 4_000, SIZE_HW)
    for period_us in (1, 100, 1_000_000):
        np.testing.assert_array_equal(refractory(events, period_us, rested())[0], refractory_by_word(events, period_us))
        np.testing.assert_array_equal(background(events, period_us, rested())[0], background_by_word(events, period_us))


def test_steps_in_their_order_are_counted_and_the_region_begins_at_0():
    events = events_of([0, 1, 2, 3, 900], [3, 3, 4, 6, 3], [2, 2, 2, 2, 2], [1] * 5)
    filtering = Filtering(EventFilters(100, 50, (3, 1, 5, 4)), SIZE_HW)
    left = filtering(events)
    # The second rests; the first, the one at x = 6 (none at 5 or 7) and the last have no neighbour.
    assert_equal(left, events_of([2], [1], [1], [1]))
    assert filtering.dropped == Counter({"refractory": 1, "background": 3, "beside the region": 0})


@pytest.mark.parametrize(
    ("seen", "given_filters", "expected"),
    [
        (EventInput(window_us=1000), EventFilters(refractory_us=100), [1020, 1600]),
        (EventInput(window_us=1000), EventFilters(background_us=100), [1020]),
        (EventInput(window_events=4), EventFilters(refractory_us=100), [990, 1020, 1600]),
        (EventInput(window_events=4), EventFilters(background_us=100), [1020]),
    ],
)
def test_windows_look_back_before_their_start(tmp_path, seen, given_filters, expected):
    """Before 2000: at 1010 a pixel rests since 950, which is in no window, and at 1020 one has a neighbour at 990."""
    events = events_of([950, 990, 1010, 1020, 1600], [1, 4, 1, 5, 2], [1, 3, 1, 3, 2], [1] * 5)
    write_dat(tmp_path / "a_td.dat", [events], SIZE_HW)
    window = window_before(open_recording(tmp_path / "a_td.dat"), 2000, replace(seen, filters=given_filters))
    assert window.events.t_us.tolist() == expected


@pytest.mark.parametrize("seen", [EventInput(window_us=5000), EventInput(window_events=120)])
def test_neighbours_of_single_windows_are_those_of_one_pass(tmp_path, seen):
    write_dat(tmp_path / "a_td.dat", [random_events(600, 30_000, SIZE_HW)], SIZE_HW)
    recording = open_recording(tmp_path / "a_td.dat")
    filtered = EventInput.of({**seen.to_dict(), "filters": {"background_us": 300}})
    for end_us in (9_000, 20_000, 30_000):
        whole = window_before(recording, end_us, seen).events
        before = recording.window(0, end_us)
        kept = background(before, 300, rested())[0][len(before) - len(whole) :]
        assert_equal(window_before(recording, end_us, filtered).events, whole[kept])


def test_a_region_has_frames_of_its_size_and_boxes_find_back_to_the_sensor(tmp_path):
    events = events_of([10, 20], [3, 6], [2, 4], [1, 1])
    write_dat(tmp_path / "a_td.dat", [events], SIZE_HW)
    seen = EventInput(window_us=100, timesteps=1, filters={"region": [2, 1, 6, 5]})
    frames, placement = render(open_recording(tmp_path / "a_td.dat"), 100, seen)
    assert seen.frame_hw(SIZE_HW) == (4, 4)
    assert np.argwhere(frames).tolist() == [[0, 1, 1, 1]]  # y 2 - 1, x 3 - 2
    box = np.array([[3.0, 2.0, 5.0, 4.0]])
    assert placement.to_canvas(box).tolist() == [[1, 1, 3, 3]]
    np.testing.assert_allclose(placement.to_original(placement.to_canvas(box)), box)
    grey = EventInput("last_event_frame", window_us=100, letterbox=64, filters={"region": [2, 1, 6, 5]})
    _, placed = render(open_recording(tmp_path / "a_td.dat"), 100, grey)
    np.testing.assert_allclose(placed.to_canvas(np.array([[2.0, 1.0, 6.0, 5.0]])), [[0, 0, 64, 64]])


def test_parts_of_a_stream_are_one_pass():
    events = random_events(900, 20_000, SIZE_HW)
    chosen = EventFilters(500, 200, (1, 1, 6, 5))
    whole, parts = Filtering(chosen, SIZE_HW), Filtering(chosen, SIZE_HW)
    got = joined([parts(events[start : start + 70]) for start in range(0, 900, 70)])
    assert_equal(got, whole(events))
    assert parts.dropped == whole.dropped


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"refractory_us": -1}, "refractory_us: -1 is not an integer in 0"),
        ({"background_us": 2_000_000}, "background_us: 2000000 is not an integer in 0"),
        ({"region": [4, 0, 4, 2]}, "region: .* is not x0, y0, x1, y1"),
        ({"region": [0, 0, 4]}, "region: .* is not x0, y0, x1, y1"),
        ({"refractory": 5}, "filters.refractory: no such setting, did you mean 'refractory_us'?"),
        (5, "filters: expected settings by name"),
    ],
)
def test_bad_filters_name_the_field(given, said):
    with pytest.raises(ConfigError, match=said):
        EventInput.of({"filters": given})


def test_changes_are_made_to_filters_one_by_one():
    seen = EventInput(filters=EventFilters(refractory_us=5, region=(0, 0, 4, 4)))
    changed = EventInput.of(seen, background_us=7, refractory_us=0).filters
    assert changed == EventFilters(0, 7, (0, 0, 4, 4))
    assert str(seen) == (
        "windows of 250 ms of events as count_frames in 2 timesteps, filtered (refractory_us 5, region (0, 0, 4, 4))"
    )
