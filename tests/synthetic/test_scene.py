from dataclasses import replace

import numpy as np
import pytest

from spikeyolo.synthetic.scene import (
    CLASS_NAMES,
    MIN_VISIBLE,
    Difficulty,
    Shape,
    paint,
    random_scene,
    shape_mask,
    visible_boxes,
    visible_owner,
)

SIZE = (96, 128)
UPRIGHT = Shape(0, (60.0, 40.0), 20.0, 0.0, 1.0, (200.0, 10.0, 10.0), 0.0, 8.0, 0.0)


def scene(seed: int):
    return random_scene(np.random.default_rng(seed), SIZE)


@pytest.mark.parametrize("seed", range(8))
def test_box_is_the_extent_of_the_visible_pixels(seed):
    made = scene(seed)
    assert made.boxes.shape == (len(made.labels), 4)
    for index, (x1, y1, x2, y2) in enumerate(made.boxes.astype(int)):
        seen = made.owner == index
        assert seen[y1:y2, x1:x2].sum() == seen.sum() > 0
        # No side can move inwards by a pixel.
        assert seen[y1:y2, x1].any()
        assert seen[y1:y2, x2 - 1].any()
        assert seen[y1, x1:x2].any()
        assert seen[y2 - 1, x1:x2].any()


def test_scenes_have_every_class_all_counts_and_boxes_on_the_image():
    made = [scene(seed) for seed in range(60)]
    assert {int(label) for s in made for label in s.labels} == set(range(len(CLASS_NAMES)))
    assert {len(s.labels) for s in made} == set(range(Difficulty().max_shapes + 1))
    boxes = np.concatenate([s.boxes for s in made])
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= [SIZE[1], SIZE[0]]).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_same_generator_state_gives_the_same_scene_and_another_seed_another():
    first, again, other = scene(3), scene(3), scene(4)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.boxes, again.boxes)
    assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize(
    ("label", "share"),
    [
        (CLASS_NAMES.index("disk"), np.pi * 0.9**2),
        (CLASS_NAMES.index("square"), 2.0),
        (CLASS_NAMES.index("ring"), np.pi * (0.95**2 - 0.52**2)),
    ],
)
def test_area_of_a_drawn_shape_is_that_of_its_geometry(label, share):
    mask = shape_mask(replace(UPRIGHT, label=label, radius=36.0, angle=0.3, centre_xy=(64.0, 48.0)), SIZE)
    # The drawing takes in every pixel that the outline touches: half a pixel more on each side.
    assert share * 36**2 <= mask.sum() <= share * 37.5**2


def test_ring_has_a_hole_that_does_not_hide_what_is_behind():
    ring = replace(UPRIGHT, label=CLASS_NAMES.index("ring"))
    inside = replace(UPRIGHT, radius=6.0)
    owner, drawn = visible_owner([inside, ring], SIZE)
    assert len(drawn) == 2
    assert owner[40, 60] == 0
    assert owner[40, 60 + 15] == 1


def test_shape_that_would_hide_too_much_of_another_is_not_drawn():
    small, large = replace(UPRIGHT, radius=8.0), replace(UPRIGHT, radius=20.0)
    _, drawn = visible_owner([small, large], SIZE)
    assert drawn == [small]
    _, drawn = visible_owner([large, small], SIZE)
    assert drawn == [large, small]


def test_partly_hidden_shape_has_the_box_of_what_is_left():
    behind = replace(UPRIGHT, radius=20.0)
    front = replace(UPRIGHT, centre_xy=(84.0, 40.0), label=CLASS_NAMES.index("square"), radius=20.0, angle=np.pi / 4)
    owner, drawn = visible_owner([behind, front], SIZE)
    whole = shape_mask(behind, SIZE)
    box = visible_boxes(owner, len(drawn))[0]
    assert (owner == 0).sum() >= MIN_VISIBLE * whole.sum()
    assert box[0] == np.flatnonzero(whole.any(axis=0))[0]
    assert box[2] <= np.flatnonzero(whole.any(axis=0))[-1] + 1
    assert (owner == 1).sum() == shape_mask(front, SIZE).sum()


def test_painting_leaves_the_background_as_it_was():
    ground = np.full((*SIZE, 3), 90.0, dtype=np.float32)
    owner, drawn = visible_owner([UPRIGHT], SIZE)
    image = paint(ground, owner, drawn)
    assert (ground == 90).all()
    np.testing.assert_allclose(image[40, 60], UPRIGHT.colour)
    np.testing.assert_allclose(image[owner < 0], 90)


def test_difficulty_is_heeded():
    easy = Difficulty(max_shapes=1, clutter=0, noise=0.0, texture=0.0)
    counts = {len(random_scene(np.random.default_rng(seed), SIZE, easy).labels) for seed in range(20)}
    assert counts == {0, 1}
