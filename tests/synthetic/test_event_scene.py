from dataclasses import replace

import numpy as np
import pytest

from spikeyolo.data.events.labels import BOX_DTYPE
from spikeyolo.synthetic.event_camera import CameraConfig, EventCamera, film
from spikeyolo.synthetic.event_scene import (
    EVENT_CLASSES,
    EventDifficulty,
    EventScene,
    clipped_xywh,
    random_actor,
    random_event_scene,
    texture,
)

SIZE = (96, 128)


def actor(name, seed=0, **changes):
    made = random_actor(np.random.default_rng(seed), EVENT_CLASSES.index(name), name, SIZE, EventDifficulty())
    return replace(made, **changes)


def on_plain_ground(*actors):
    return EventScene(SIZE, np.zeros((120, 152), np.float32), 8.0, 0.0, 1.0, actors)


def test_corners_are_clipped_before_width_and_height_are_taken():
    square = np.array([[-10.0, 20.0], [30.0, 20.0], [30.0, 50.0], [-10.0, 50.0]])
    assert clipped_xywh(square, SIZE) == (0, 20, 30, 30)  # the right side stays at 30
    assert clipped_xywh(square + np.array([110, 60]), SIZE) == (100, 80, 28, 16)
    assert clipped_xywh(square + np.array([10, 0]), SIZE) == (0, 20, 40, 30)


@pytest.mark.parametrize("name", EVENT_CLASSES)
@pytest.mark.parametrize("seed", range(3))
def test_box_is_as_tight_as_pixels_allow(name, seed):
    """What differs from the plain ground lies in the box, and no side could move inwards by more than 1.5 pixels."""
    scene = on_plain_ground(actor(name, seed, start_xy=(70.3, 50.8)))
    if seed == 2:  # a camera that swings
        scene = replace(scene, ego_radius=9.0, ego_phase=(1.0, 2.0), ego_spin=(3.0, 5.0))
    checked = 0
    for t_us in range(0, 2_000_000, 130_000):
        # Sector borders of a wheel average to the level of the ground: a plain pattern shows the whole cover.
        shown = replace(scene, actors=tuple(replace(a, pattern=np.ones_like(a.pattern)) for a in scene.actors))
        cover = np.log(shown.image(t_us))
        for box in scene.boxes([t_us]):
            x1, y1, x2, y2 = box["x"], box["y"], box["x"] + box["w"], box["y"] + box["h"]
            rows, columns = np.flatnonzero((cover > 0.3).any(axis=1)), np.flatnonzero((cover > 0.3).any(axis=0))
            assert columns[0] >= x1 - 1
            assert columns[-1] + 1 <= x2 + 1
            assert rows[0] >= y1 - 1
            assert rows[-1] + 1 <= y2 + 1
            assert 0 <= x1 < x2 <= SIZE[1]
            assert 0 <= y1 < y2 <= SIZE[0]
            inside = x1 > 0 and y1 > 0 and x2 < SIZE[1] and y2 < SIZE[0]
            if inside:
                checked += 1
                extent = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
                np.testing.assert_allclose(extent, (x1, y1, x2, y2), atol=1.5)
    assert checked >= 3


def test_objects_mostly_hidden_or_beyond_the_border_have_no_label():
    still = {"velocity_xy": (0.0, 0.0), "spin": 0.0}
    near, far = (actor("disk leftward", 1, start_xy=(60.0, 50.0), **still) for _ in range(2))
    assert len(on_plain_ground(near).boxes([0])) == 1
    assert len(on_plain_ground(far, near).boxes([0])) == 1
    moved = replace(far, start_xy=(60.0 + np.ptp(far.outline[:, 0]), 50.0))
    assert len(on_plain_ground(moved, near).boxes([0])) == 2
    assert len(on_plain_ground(near, replace(near, start_xy=(60.0, 55.0))).boxes([0])) == 1
    # A disk whose centre lies on the border is half seen; with its centre a radius beyond, not at all.
    assert len(on_plain_ground(replace(near, start_xy=(0.0, 50.0))).boxes([0])) == 1
    assert len(on_plain_ground(replace(near, start_xy=(-0.5 * np.ptp(near.outline[:, 0]), 50.0))).boxes([0])) == 0


def test_object_that_leaves_comes_back_on_the_other_side_as_another_track():
    disk = actor("disk leftward", start_xy=(20.0, 50.0), velocity_xy=(-100.0, 0.0))
    boxes = on_plain_ground(disk).boxes(range(0, 1_500_001, 50_000))
    first, later = boxes[boxes["track_id"] == boxes["track_id"][0]], boxes[boxes["track_id"] != boxes["track_id"][0]]
    assert first["t"].max() < later["t"].min()
    assert len(set(boxes["track_id"].tolist())) == 2
    assert first["x"][0] < 20
    assert later["x"][0] > 100
    # On each way it only moves left.
    for way in (first, later):
        assert (np.diff(way["x"]) <= 0).all()


def test_wheels_turn_and_disks_move_as_their_names_say():
    for seed in range(5):
        assert actor("wheel clockwise", seed).spin > 0 > actor("wheel counterclockwise", seed).spin
        assert actor("disk rightward", seed).velocity_xy[0] > 0 > actor("disk leftward", seed).velocity_xy[0]
    # A light sector to the right goes down on the screen when the wheel turns clockwise.
    wheel = actor("wheel clockwise", start_xy=(64.0, 48.0), velocity_xy=(0.0, 0.0), angle=0.0, spin=1.0)
    if wheel.pattern[len(wheel.pattern) // 2, -8] < 0:
        wheel = replace(wheel, pattern=-wheel.pattern)
    before, after = (np.log(on_plain_ground(wheel).image(t)) for t in (0, 1_000_000))
    assert before[48, 72] > 0 > before[48 + 7, 64 + 4]
    assert after[48 + 7, 64 + 4] > 0


@pytest.mark.parametrize("pair", [("wheel clockwise", "wheel counterclockwise"), ("disk leftward", "disk rightward")])
def test_played_backwards_in_negative_a_class_becomes_its_partner_with_the_same_events(pair):
    duration = 400_000
    rng = np.random.default_rng(4)
    scene = random_event_scene(rng, SIZE, EventDifficulty(objects=1), pair[:1])
    end = duration * 1e-6
    partners = []
    for a in scene.actors:
        x, y, angle, _ = a.place(end, SIZE)
        back = (-a.velocity_xy[0], -a.velocity_xy[1])
        partners.append(replace(a, start_xy=(x, y), velocity_xy=back, angle=angle, spin=-a.spin, pattern=-a.pattern))
    assert len(partners) == 1
    reference = random_event_scene(np.random.default_rng(5), SIZE, EventDifficulty(objects=1), pair[1:]).actors[0]
    assert np.sign(partners[0].spin) == np.sign(reference.spin)
    if pair[0].startswith("disk"):
        assert np.sign(partners[0].velocity_xy[0]) == np.sign(reference.velocity_xy[0])
    turn = scene.sway_angle + scene.sway_spin * end
    partner = replace(scene, ground=-scene.ground, sway_angle=turn, sway_spin=-scene.sway_spin, actors=tuple(partners))

    times = range(0, duration + 1, 4000)
    for t in times[::20]:
        np.testing.assert_allclose(scene.image(t) * partner.image(duration - t), 1.0, atol=2e-3)

    config = CameraConfig(threshold_spread=0.0, refractory_us=0, noise_hz=0.0)

    def halves(seen):
        """(2, H, W) ON less OFF events of the first and of the second half, and how many events there are."""
        camera = EventCamera(SIZE, config, np.random.default_rng(0))
        sums, count = np.zeros((2, *SIZE)), 0
        for events in film(((t, seen.image(t)) for t in times), camera):
            half = (events.t_us > duration // 2).astype(int)
            np.add.at(sums, (half, events.y, events.x), events.polarity * 2.0 - 1)
            count += len(events)
        return sums, count

    (sums, count), (partner_sums, partner_count) = halves(scene), halves(partner)
    # At any time the memory of a pixel is less than a threshold off; a difference of two such is less than two.
    assert np.abs(sums - partner_sums[::-1]).max() <= 2
    assert np.abs(sums - partner_sums[::-1]).mean() < 0.2 * np.abs(sums).max()
    assert count == pytest.approx(partner_count, rel=0.1)
    assert count > 1000


def test_light_and_dark_objects_and_sways_to_both_sides_are_equally_frequent():
    rng = np.random.default_rng(0)
    made = [random_event_scene(rng, (64, 64), EventDifficulty(objects=1), ["disk leftward"]) for _ in range(200)]
    light = np.array([scene.actors[0].pattern.mean() > 0 for scene in made])
    right = np.array([scene.sway_spin > 0 for scene in made])
    for share in (light.mean(), right.mean()):
        assert share == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(200))


def test_a_camera_that_turns_moves_all_that_is_seen_alike():
    still = {"velocity_xy": (0.0, 0.0), "spin": 0.0}
    scene = on_plain_ground(actor("square", start_xy=(64.0, 48.0), **still))
    ground = texture(np.random.default_rng(0), (120, 152), 0.3)
    turning = replace(scene, ground=ground, ego_radius=8.0, ego_phase=(0.0, 0.0), ego_spin=(np.pi, np.pi / 2))
    assert turning.ego(0.5) == pytest.approx((8.0, 8.0 * np.sin(np.pi / 4)))
    (before,), (after,) = turning.boxes([0]), turning.boxes([1_000_000])  # 0 columns and 8 rows further
    assert (after["x"], after["y"]) == pytest.approx((before["x"], before["y"] - 8), abs=1e-4)
    swayless = replace(turning, sway_radius=0.0)
    np.testing.assert_allclose(swayless.image(1_000_000)[:-8], swayless.image(0)[8:], rtol=1e-4)


def test_clutter_is_seen_and_has_no_label_and_speed_is_what_was_asked_for():
    difficulty = EventDifficulty(objects=2, clutter=4, ego_speed=0.5)
    scenes = [random_event_scene(np.random.default_rng(seed), SIZE, difficulty, EVENT_CLASSES) for seed in range(20)]
    assert {len(scene.clutter) for scene in scenes} == set(range(5))
    for scene in scenes:
        assert len(scene.boxes([0])) <= len(scene.actors)
        assert all(thing.label == -1 for thing in scene.clutter)
        speeds = [scene.ego_radius * spin / min(SIZE) for spin in scene.ego_spin]
        assert all(0.25 <= speed <= 0.5 for speed in speeds)
    full = next(scene for scene in scenes if scene.clutter)
    assert not np.array_equal(full.image(0), replace(full, clutter=()).image(0))


def test_texture_has_the_asked_deviation():
    sheet = texture(np.random.default_rng(0), (90, 70), 0.3)
    assert sheet.shape == (90, 70)
    assert sheet.dtype == np.float32
    assert sheet.std() == pytest.approx(0.3, rel=1e-3)


def test_objects_stand_out_of_the_background():
    """Events are at least twice as dense in the boxes as elsewhere, for every class."""
    names = EVENT_CLASSES
    inside, outside = np.zeros((len(names), 2)), np.zeros(2)
    for seed in range(12):
        rng = np.random.default_rng(seed)
        scene = random_event_scene(rng, SIZE, EventDifficulty(objects=1), [names[seed % len(names)]])
        camera = EventCamera(SIZE, CameraConfig(), rng)
        counts = np.zeros(SIZE)
        for events in film(((t, scene.image(t)) for t in range(400_000, 450_001, 4000)), camera):
            np.add.at(counts, (events.y, events.x), 1)
        mask = np.zeros(SIZE, dtype=bool)
        for box in scene.boxes([450_000]):
            x1, y1, x2, y2 = (int(v) for v in (box["x"], box["y"], box["x"] + box["w"], box["y"] + box["h"]))
            mask[y1:y2, x1:x2] = True
        inside[seed % len(names)] += counts[mask].sum(), mask.sum()
        outside += counts[~mask].sum(), (~mask).sum()
    assert (inside[:, 1] > 0).all()
    assert (inside[:, 0] / inside[:, 1] > 2 * outside[0] / outside[1]).all()


def test_scene_without_labels_keeps_the_type_and_the_seed_decides():
    first, again, other = (
        random_event_scene(np.random.default_rng(seed), SIZE, EventDifficulty(), EVENT_CLASSES) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first.image(70_000), again.image(70_000))
    np.testing.assert_array_equal(first.boxes([70_000]), again.boxes([70_000]))
    assert not np.array_equal(first.image(70_000), other.image(70_000))
    none = first.boxes([])
    assert none.dtype == BOX_DTYPE
    assert none.shape == (0,)
    assert np.isfinite(first.image(0)).all()
    assert first.image(0).dtype == np.float32
    assert first.image(0).shape == SIZE
