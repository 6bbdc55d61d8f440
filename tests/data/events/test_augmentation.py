from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.recordings import assert_equal, random_events

from spikeyolo.data.events.augmentation import EventAugmentation, mirror, turned, zoom
from spikeyolo.errors import ConfigError

NONE = {"hflip": 0, "turn": 0, "zoom": 0, "drop": 0, "jitter_us": 0, "polarity": 0}


def blob(size=(40, 50), box=(10, 8, 20, 14)):
    """Frames with ones exactly inside a box."""
    frames = np.zeros((2, 2, *size), dtype=np.float32)
    x1, y1, x2, y2 = box
    frames[:, :, y1:y2, x1:x2] = 1
    return frames, np.array([box], dtype=np.float32), np.array([1])


def extent(frames):
    y, x = np.nonzero(frames[0, 0])
    return [x.min(), y.min(), x.max() + 1, y.max() + 1]


def test_none_changes_nothing():
    events, rng = random_events(100, 1000), np.random.default_rng(0)
    assert_equal(EventAugmentation.none().events(events, rng), events)
    labelled = blob()
    for given_, got in zip(labelled, EventAugmentation.none().frames(labelled, rng), strict=True):
        np.testing.assert_array_equal(given_, got)


def test_boxes_follow_what_is_mirrored_and_mirroring_twice_is_nothing():
    frames, boxes, labels = mirror(*blob())
    assert extent(frames) == boxes[0].tolist() == [30, 8, 40, 14]
    again = mirror(frames, boxes, labels)
    np.testing.assert_array_equal(again[0], blob()[0])
    np.testing.assert_array_equal(again[1], blob()[1])


def test_a_quarter_turn_is_clockwise_and_boxes_follow_it():
    # x from the left becomes y from the top; y from the top becomes x from the right: of 40 rows, 40 - 14 to 40 - 8.
    frames, boxes, _ = turned(*blob(box=(10, 8, 20, 14)), 1)
    assert frames.shape == (2, 2, 50, 40)
    assert extent(frames) == boxes[0].tolist() == [26, 10, 32, 20]
    corner = np.zeros((1, 1, 2, 2))
    corner[..., 0, 0] = 1  # above on the left, then above on the right, then below on the right
    places = [np.argwhere(turned(corner, boxes, boxes, n)[0][0, 0]).tolist() for n in (1, 2, 3)]
    assert places == [[[0, 1]], [[1, 1]], [[1, 0]]]


@given(quarters=st.integers(0, 3), left=st.integers(0, 30), top=st.integers(0, 25))
def test_boxes_follow_what_is_turned_and_turning_on_to_a_whole_turn_is_nothing(quarters, left, top):
    given_ = blob(box=(left, top, left + 15, top + 12))
    there = turned(*given_, quarters)
    assert extent(there[0]) == there[1][0].tolist()
    for before, after in zip(given_, turned(*there, 4 - quarters), strict=True):
        np.testing.assert_array_equal(before, after)


def test_frames_are_turned_by_every_quarter_where_they_are_square_and_by_a_half_elsewhere():
    def seen(size):
        frames, boxes, labels = blob(size, box=(3, 4, 11, 9))
        turn = EventAugmentation(**NONE | {"turn": 0.75})
        found = [turn.frames((frames, boxes, labels), np.random.default_rng(seed)) for seed in range(400)]
        assert all(extent(f) == b[0].tolist() for f, b, _ in found)
        assert {f.shape[-2:] for f, _, _ in found} == {size}
        return Counter(tuple(b[0].tolist()) for _, b, _ in found)

    assert all(70 < count < 130 for count in seen((40, 40)).values())
    assert len(seen((40, 40))) == 4
    half = seen((40, 50))
    assert set(half) == {(3, 4, 11, 9), (39, 31, 47, 36)}
    assert 250 < half[39, 31, 47, 36] < 350


def test_without_turns_no_random_number_is_taken_for_them():
    plain, counted = np.random.default_rng(3), np.random.default_rng(3)
    EventAugmentation(**NONE).drawn(plain, (40, 40))
    EventAugmentation(**NONE).frames(blob(), plain)
    counted.random(1 + 3 + 3)  # share, three kinds, factor and centre
    counted.random(2)  # mirrored, zoomed
    assert plain.random() == counted.random()


@given(
    factor=st.floats(0.5, 2), x=st.floats(0, 50), y=st.floats(0, 40), left=st.integers(0, 30), top=st.integers(0, 25)
)
def test_boxes_follow_what_is_zoomed(factor, x, y, left, top):
    frames, boxes, _ = zoom(*blob(box=(left, top, left + 15, top + 12)), factor, (x, y))
    if frames.any():
        np.testing.assert_allclose(boxes[0], extent(frames), atol=1.01)  # pixels are whole, boxes are not
    assert frames.shape == (2, 2, 40, 50)
    assert set(np.unique(frames)) <= {0, 1}


def test_a_box_that_is_hardly_seen_any_more_is_dropped_and_its_surroundings_are_without_events():
    frames, boxes, labels = blob(box=(0, 0, 10, 10))
    _, kept, kept_labels = zoom(frames, boxes, labels, 2.0, (49, 39), min_visible=0.3)
    assert (len(kept), len(kept_labels)) == (0, 0)
    grey = np.full((1, 3, 8, 8), 200, dtype=np.uint8)
    smaller, _, _ = zoom(grey, np.zeros((0, 4)), np.zeros(0, int), 0.5, (4, 4), nothing=127)
    assert (smaller[0, 0, 2:6, 2:6] == 200).all()
    assert (smaller == 127).sum() == 3 * (64 - 16)


def test_dropped_events_are_a_part_of_them_in_order():
    events = random_events(5000, 100_000)
    seen = set()
    for seed in range(20):
        left = EventAugmentation(**NONE | {"drop": 0.5}).events(events, np.random.default_rng(seed))
        assert 0.45 * len(events) < len(left) <= len(events)
        assert (np.diff(left.t_us) >= 0).all()
        seen.add(len(left))
    assert len(seen) > 10


def test_jitter_moves_times_alone_by_its_deviation():
    events = random_events(20_000, 10_000_000)
    moved = EventAugmentation(**NONE | {"jitter_us": 500.0}).events(events, np.random.default_rng(1))
    assert (np.diff(moved.t_us) >= 0).all()
    codes = [np.sort(e.x.astype(int) * 1000 + e.y * 2 + e.polarity) for e in (events, moved)]
    np.testing.assert_array_equal(*codes)
    assert abs(moved.t_us.mean() - events.t_us.mean()) < 20
    alone = random_events(1, 1000)
    far = [EventAugmentation(**NONE | {"jitter_us": 500.0}).events(alone, np.random.default_rng(s)) for s in range(500)]
    assert 430 < np.std([f.t_us[0] - alone.t_us[0] for f in far]) < 570


def test_polarity_is_swapped_for_all_events_or_none():
    events, shares = random_events(50, 1000), []
    for seed in range(200):
        got = EventAugmentation(**NONE | {"polarity": 0.25}).events(events, np.random.default_rng(seed))
        swapped = got.polarity != events.polarity
        assert swapped.all() or not swapped.any()
        shares.append(swapped.all())
    assert 0.15 < np.mean(shares) < 0.35


def test_empty_windows_stay_empty():
    events = EventAugmentation(drop=1, jitter_us=10, polarity=1).events(random_events(0, 1), np.random.default_rng(0))
    assert len(events) == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [("hflip", 1.5), ("drop", -0.1), ("zoom_range", 0.5), ("jitter_us", -1), ("zoom", "x"), ("turn", 2)],
)
def test_values_out_of_range_are_named(field, value):
    with pytest.raises(ConfigError, match=f"event_augmentation.{field}"):
        EventAugmentation(**{field: value})
