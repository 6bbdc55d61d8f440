import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeyolo.errors import ConfigError, DataError, ShapeError
from spikeyolo.events import Events
from spikeyolo.synthetic.event_camera import CameraConfig, EventCamera, film

# Binary fractions, so that what is worked out by hand is what floating point gives.
IDEAL = CameraConfig(0.25, 0.25, threshold_spread=0.0, refractory_us=0, noise_hz=0.0, floor=1e-6)


def joined(chunks):
    chunks = list(chunks)
    return Events(
        *(np.concatenate([getattr(c, name) for c in chunks]) for name in ("t_us", "x", "y", "polarity")),
    )


def seen(levels, config=IDEAL, seed=0):
    """Events of the log intensities {t_us: (H, W) or a number, for a single pixel}."""
    images = [(t, np.exp(np.atleast_2d(np.asarray(level, dtype=np.float64)))) for t, level in levels.items()]
    camera = EventCamera(images[0][1].shape, config, np.random.default_rng(seed))
    return joined(film(images, camera))


def times(levels, config=IDEAL):
    events = seen(levels, config)
    return list(zip(events.t_us.tolist(), np.where(events.polarity, "+", "-").tolist(), strict=True))


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ({0: 0, 1000: 1.01}, [(248, "+"), (495, "+"), (743, "+"), (990, "+")]),  # one each 0.25 / 1.01 of the way
        ({0: 0, 1000: -1.01}, [(248, "-"), (495, "-"), (743, "-"), (990, "-")]),
        ({0: 0, 1000: 0.24}, []),  # not far enough
        ({0: 0, 1000: 0.24, 2000: 0.26}, [(1500, "+")]),  # the way goes on over images
        ({0: 0, 1000: 0.5 + 1e-9, 2000: 0.26}, [(500, "+"), (1000, "+")]),  # back by 0.24: nothing
        ({0: 0, 1000: 0.5 + 1e-9, 2000: 0.0}, [(500, "+"), (1000, "+"), (1500, "-"), (2000, "-")]),
        ({0: 0, 1000: 0.2, 2000: -0.3}, [(1900, "-")]),  # from the memory 0, not from where it turned
        ({500: 0, 510: 2.6}, [(500 + k, "+") for k in range(1, 11)]),  # 10.4 thresholds in 10 us
    ],
)
def test_ramps_of_one_pixel_by_hand(levels, expected):
    assert times(levels) == expected


def test_polarities_have_their_own_thresholds():
    config = replace(IDEAL, on_threshold=0.5, off_threshold=0.125)
    assert times({0: 0, 1000: 0.51, 2000: 0.01}, config) == [(980, "+"), (1270, "-"), (1520, "-"), (1770, "-")]


def test_intensities_below_the_floor_count_as_the_floor():
    config = replace(IDEAL, floor=float(np.exp(-1)))
    # The dark pixel starts at -1, not at -8, and a negative or zero intensity is no error.
    assert len(times({0: -8.0, 1000: 0.001}, config)) == 4
    camera = EventCamera((1, 2), config, np.random.default_rng(0))
    camera.step(np.array([[0.0, -3.0]]), 0)
    assert len(camera.step(np.zeros((1, 2)), 10)) == 0


@pytest.mark.parametrize(
    ("refractory_us", "expected"),
    [
        # The level rises by 1 in 1000 us: a threshold each 250 us, and the reset before it.
        (0, [250, 500, 750, 1000]),
        (100, [250, 600, 950]),
        (300, [250, 800]),
        (749, [250, 1249]),
        (2000, [250]),
    ],
)
def test_refractory_time_delays_and_drops_events(refractory_us, expected):
    ramp = {0: 0.0, 1000: 1.0 + 1e-9, 1250: 1.25}
    config = replace(IDEAL, refractory_us=refractory_us)
    assert [t for t, _ in times(ramp, config) if t <= 1000 or t == 1249] == expected


def test_change_during_the_refractory_time_is_lost():
    config = replace(IDEAL, refractory_us=500)
    # Event at 1000; up by 1 while held; released at 1500, in the middle of the fall, at level 0.75.
    levels = {0: 0.0, 1000: 0.25 + 1e-12, 1200: 1.25, 1800: 0.25}
    assert times(levels, config) == [(1000, "+"), (1650, "-")]


@given(
    steps=st.lists(st.floats(-2, 2), min_size=1, max_size=8),
    cut=st.floats(0.01, 0.99),
    refractory_us=st.sampled_from([0, 200, 1500]),
)
def test_a_image_more_on_the_straight_line_changes_nothing(steps, cut, refractory_us):
    config = replace(IDEAL, refractory_us=refractory_us)
    levels = dict(zip(range(0, 1000 * len(steps) + 1, 1000), np.cumsum([0.0, *steps]).tolist(), strict=True))
    finer = dict(levels)
    for t, step in enumerate(steps):
        at = round(1000 * cut)
        finer[1000 * t + at] = levels[1000 * t] + step * at / 1000
    coarse, fine = times(levels, config), times(dict(sorted(finer.items())), config)
    # What ends within rounding of a threshold may come out either way; it is at most the last event.
    assert abs(len(coarse) - len(fine)) <= 1
    for (t, sign), (t_fine, sign_fine) in zip(coarse, fine, strict=False):
        assert sign == sign_fine
        assert abs(t - t_fine) <= 1


def random_film(seed, images=12, size=(9, 11)):
    rng = np.random.default_rng(seed)
    return {1000 * k: level for k, level in enumerate(np.cumsum(rng.normal(0, 0.4, (images, *size)), axis=0))}


@pytest.mark.parametrize("seed", range(3))
def test_events_give_the_log_intensity_back_within_a_threshold(seed):
    levels = random_film(seed)
    config = replace(IDEAL, threshold_spread=0.05)
    camera = EventCamera((9, 11), config, np.random.default_rng(seed))
    on, off = camera.thresholds[1].reshape(9, 11), camera.thresholds[0].reshape(9, 11)
    assert on.std() > 0.03
    events = seen(levels, config, seed)
    start = levels[0]
    for t, level in levels.items():
        part = events[events.t_us <= t]
        ups, downs = np.zeros((9, 11)), np.zeros((9, 11))
        np.add.at(ups, (part.y[part.polarity == 1], part.x[part.polarity == 1]), 1)
        np.add.at(downs, (part.y[part.polarity == 0], part.x[part.polarity == 0]), 1)
        rebuilt = start + ups * on - downs * off
        assert (np.abs(level - rebuilt) <= np.maximum(on, off) + 1e-9).all()


@pytest.mark.parametrize("seed", range(3))
def test_order_of_time_and_no_pixel_sooner_than_its_refractory_time(seed):
    events = seen(random_film(seed), replace(IDEAL, refractory_us=300, threshold_spread=0.03), seed)
    assert len(events) > 500
    assert (np.diff(events.t_us) >= 0).all()
    order = np.lexsort([events.t_us, events.x, events.y])
    pixel = (events.y.astype(int) * 11 + events.x)[order]
    gaps = np.diff(events.t_us[order])[np.diff(pixel) == 0]
    assert gaps.min() >= 300


def test_constant_image_without_noise_is_silent_and_a_change_is_seen_where_it_is():
    image = np.random.default_rng(1).uniform(0.1, 1, (6, 8))
    camera = EventCamera((6, 8), replace(IDEAL, threshold_spread=0.05), np.random.default_rng(0))
    assert sum(len(camera.step(image, t)) for t in range(0, 100_000, 1000)) == 0
    brighter = image.copy()
    brighter[2, 5] *= 2
    events = camera.step(brighter, 100_000)
    assert set(zip(events.y.tolist(), events.x.tolist(), events.polarity.tolist(), strict=True)) == {(2, 5, 1)}


def test_noise_has_the_rate_of_each_pixel_both_polarities_and_even_times():
    config = replace(IDEAL, noise_hz=20.0, hot_pixels=0.02, hot_noise_hz=400.0)
    camera = EventCamera((20, 30), config, np.random.default_rng(3))
    dark = np.ones((20, 30))
    events = joined(film(((t, dark) for t in range(0, 5_000_001, 10_000)), camera))
    per_pixel = np.bincount(events.y.astype(int) * 30 + events.x, minlength=600)
    hot = per_pixel > 1000
    assert 4 <= hot.sum() <= 24  # 12 expected
    # Poisson: the variance is the mean; five standard deviations of each estimate.
    assert per_pixel[hot].mean() == pytest.approx(2000, abs=5 * np.sqrt(2000 / hot.sum()))
    quiet = per_pixel[~hot]
    assert quiet.mean() == pytest.approx(100, abs=5 * 10 / np.sqrt(len(quiet)))
    assert quiet.var() == pytest.approx(100, rel=5 * np.sqrt(2 / len(quiet)))
    assert events.polarity.mean() == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(len(events)))
    assert (np.diff(events.t_us) >= 0).all()
    per_second = np.bincount(events.t_us // 1_000_000, minlength=5)
    assert per_second == pytest.approx(np.full(5, len(events) / 5), abs=5 * np.sqrt(len(events) / 5))


def test_same_generator_gives_the_same_events_and_another_others():
    config = CameraConfig(noise_hz=50.0)
    first, again, other = (seen(random_film(0), config, seed) for seed in (7, 7, 8))
    for name in ("t_us", "x", "y", "polarity"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert len(first) != len(other) or (first.t_us != other.t_us).any()


def test_image_is_not_written_to_and_memory_does_not_grow():
    image = np.random.default_rng(0).uniform(0.1, 1, (64, 64)).astype(np.float32)
    image.setflags(write=False)
    camera = EventCamera((64, 64), CameraConfig(noise_hz=10.0), np.random.default_rng(0))
    camera.step(image, 0)
    tracemalloc.start()
    for k in range(1, 300):
        camera.step(np.roll(image, k, axis=1), 2000 * k)
        if k == 50:
            after_some = tracemalloc.get_traced_memory()[0]
    grown = tracemalloc.get_traced_memory()[0] - after_some
    tracemalloc.stop()
    assert grown < 64 * 64 * 8


def test_bad_input_is_refused():
    camera = EventCamera((2, 3), IDEAL, np.random.default_rng(0))
    with pytest.raises(ShapeError, match=r"\(2, 3\), got \(3, 2\)"):
        camera.step(np.ones((3, 2)), 0)
    with pytest.raises(DataError, match="finite"):
        camera.step(np.full((2, 3), np.nan), 0)
    camera.step(np.ones((2, 3)), 10)
    with pytest.raises(DataError, match="not later"):
        camera.step(np.ones((2, 3)), 10)
    for wrong in (
        {"on_threshold": 0.0},
        {"off_threshold": -1.0},
        {"threshold_spread": -0.1},
        {"refractory_us": -1},
        {"noise_hz": -1.0},
        {"hot_pixels": 1.5},
        {"floor": 0.0},
    ):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            replace(IDEAL, **wrong)
