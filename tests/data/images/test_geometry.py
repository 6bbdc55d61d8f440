"""Boxes and pixels: what is drawn and what is said about it must stay together."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spikeyolo.data.images.augmentation import Augmentation
from spikeyolo.data.images.geometry import clip_boxes, covers, map_boxes, paint, scaling, translation
from spikeyolo.data.images.transforms import (
    HSV,
    HorizontalFlip,
    MixUp,
    Mosaic,
    RandomAffine,
    VerticalFlip,
    grey,
    letterbox_matrix,
)

WHITE, GREY = 255, 114


def drawn(rows: int, columns: int, box: tuple[int, int, int, int]) -> np.ndarray:
    """A white rectangle on exactly the pixels of the box; grey around it, as around the image."""
    image = np.full((rows, columns, 3), GREY, dtype=np.uint8)
    image[box[1] : box[3], box[0] : box[2]] = WHITE
    return image


def seen(image: np.ndarray) -> np.ndarray:
    """The box around the pixels that are more white than grey, in edge coordinates."""
    rows, columns = np.nonzero(image[..., 0] > (WHITE + GREY) / 2)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], dtype=float)


@st.composite
def rectangles(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = draw(st.integers(24, 90)), draw(st.integers(24, 90))
    left, top = draw(st.integers(0, columns - 16)), draw(st.integers(0, rows - 16))
    right, bottom = draw(st.integers(left + 16, columns)), draw(st.integers(top + 16, rows))
    box = (left, top, right, bottom)
    return drawn(rows, columns, box), np.array([box], dtype=np.float32)


def painted(image, boxes, matrix, canvas_hw):
    """What the data set does with a matrix: the canvas, and the boxes on it."""
    canvas = grey(canvas_hw)
    found, _ = clip_boxes(map_boxes(boxes, paint(canvas, image, matrix)), np.zeros(len(boxes)), canvas_hw)
    return canvas, found


def boxed(image, boxes, rng):
    return painted(image, boxes, letterbox_matrix(image.shape[:2], (64, 96)), (64, 96))


def moved(affine, image, boxes, rng):
    size_hw = image.shape[:2]
    return painted(image, boxes, affine.matrix((size_hw[1] / 2, size_hw[0] / 2), size_hw, rng), size_hw)


def flipped(flip):
    return lambda image, boxes, rng: flip(image, boxes, np.zeros(len(boxes)), rng)[:2]


seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=150, deadline=None)
@given(
    rectangle=rectangles(),
    seed=seeds,
    chain=st.lists(
        st.sampled_from(
            [boxed, flipped(HorizontalFlip(1.0)), flipped(VerticalFlip(1.0)), partial(moved, RandomAffine())]
        ),
        min_size=1,
        max_size=3,
    ),
)
def test_rectangle_and_box_stay_together_through_any_straight_chain(rectangle, seed, chain) -> None:
    image, boxes = rectangle
    rng = np.random.default_rng(seed)
    for transform in chain:
        image, boxes = transform(image, boxes, rng)
        assume(len(boxes) and (boxes[0, 2:] - boxes[0, :2]).min() >= 3)
    # Half a pixel for the grid; a second resizing can enlarge the first one's blur.
    assert seen(image) == pytest.approx(boxes[0], abs=0.51 if len(chain) == 1 else 1.0)


@settings(max_examples=60, deadline=None)
@given(rectangle=rectangles(), seed=seeds, side=st.integers(40, 90))
def test_mosaic_keeps_rectangle_and_box_together(rectangle, seed, side) -> None:
    image, boxes = rectangle
    place, canvas_hw = seed % 4, (side, side + 13)
    sizes = [image.shape[:2] if i == place else (50, 70) for i in range(4)]
    matrices = Mosaic(canvas_hw, RandomAffine()).matrices(sizes, np.random.default_rng(seed))
    canvas, found = painted(image, boxes, matrices[place], canvas_hw)
    assume(len(found) and (found[0, 2:] - found[0, :2]).min() >= 3)
    assert seen(canvas) == pytest.approx(found[0], abs=0.6)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, degrees=st.floats(0, 180), shear=st.floats(0, 20))
def test_a_turned_rectangle_fills_its_box(seed, degrees, shear) -> None:
    """The box around the turned corners is the box around the turned pixels."""
    boxes = np.array([[40, 45, 80, 70]], dtype=np.float32)
    affine, image = RandomAffine(degrees, 0.0, 0.2, shear), drawn(120, 120, (40, 45, 80, 70))
    canvas, found = moved(affine, image, boxes, np.random.default_rng(seed))
    # A sharp corner covers less than half of its last pixels.
    assert seen(canvas) == pytest.approx(found[0], abs=1.5)


def test_perspective_keeps_corner_and_box_together() -> None:
    affine = RandomAffine(0, 0, 0, 0, perspective=0.002)
    boxes = np.array([[40, 45, 80, 70]], dtype=np.float32)
    for seed in range(10):
        canvas, found = moved(affine, drawn(120, 120, (40, 45, 80, 70)), boxes, np.random.default_rng(seed))
        assert seen(canvas) == pytest.approx(found[0], abs=1.5)


def test_paint_by_hand() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    canvas = np.full((4, 6, 3), 99, dtype=np.uint8)
    painted = paint(canvas, image, translation(3, 1))
    assert (canvas[1:3, 3:5] == image).all()
    assert (canvas == 99).sum() == 4 * 6 * 3 - 12
    assert (painted == translation(3, 1)).all()


def test_painting_never_writes_to_the_image() -> None:
    image, boxes, _ = labelled(1)
    untouched = image.copy()
    image.flags.writeable = boxes.flags.writeable = False
    for affine in (RandomAffine(), RandomAffine(30, 0.1, 0.5, 10, 0.001)):
        first, second = (moved(affine, image, boxes, np.random.default_rng(5)) for _ in range(2))
        assert all((a == b).all() for a, b in zip(first, second, strict=True))
        assert (first[0] != image).any()
    assert (image == untouched).all()


def test_turning_by_a_quarter_moves_whole_pixels() -> None:
    """(x, y) -> (4 - y, x): were edges and centres confused, everything would be shifted by a pixel."""
    image = np.zeros((4, 4, 3), dtype=np.uint8)
    image[0, 1] = 200
    canvas = np.full((4, 4, 3), 50, dtype=np.uint8)
    paint(canvas, image, np.array([[0.0, -1, 4], [1, 0, 0], [0, 0, 1]]))
    expected = np.zeros((4, 4, 3), dtype=np.uint8)
    expected[1, 3] = 200
    assert (canvas == expected).all()


@pytest.mark.parametrize("shift", [(-10, 0), (7, 0), (0, -3), (0, 5)])
def test_painting_beside_the_canvas_changes_nothing(shift) -> None:
    image, canvas = np.zeros((3, 6, 3), dtype=np.uint8), np.full((5, 7, 3), 9, dtype=np.uint8)
    matrix = translation(*shift)
    assert not covers((3, 6), matrix, (5, 7))
    paint(canvas, image, matrix)
    paint(canvas, image, translation(0.0, 0.0) @ matrix @ np.array([[1, 0.001, 0], [0, 1, 0], [0, 0, 1]]))
    assert (canvas == 9).all()


def test_much_smaller_images_are_averaged_not_sampled() -> None:
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 200
    canvas = np.zeros((16, 16, 3), dtype=np.uint8)
    paint(canvas, stripes, scaling(0.25, 0.25))
    assert (canvas == 100).all()


def test_mapped_boxes_by_hand() -> None:
    boxes = np.array([[1, 2, 3, 6]])
    assert map_boxes(boxes, translation(10, 20) @ scaling(2, 3)).tolist() == [[12, 26, 16, 38]]
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    assert map_boxes(boxes, quarter).tolist() == [[-6, 1, -2, 3]]
    assert map_boxes(np.zeros((0, 4)), quarter).shape == (0, 4)


@pytest.mark.parametrize(
    ("box", "limits", "expected"),
    [
        ([2, 2, 8, 8], {}, [2, 2, 8, 8]),
        ([-5, 2, 5, 8], {}, [0, 2, 5, 8]),
        ([-5, 2, 5, 8], {"min_visible": 0.5}, [0, 2, 5, 8]),  # exactly a half
        ([-5, 2, 4.9, 8], {"min_visible": 0.5}, None),
        ([8, 2, 30, 8], {"min_side": 2}, [8, 2, 10, 8]),
        ([8.5, 2, 30, 8], {"min_side": 2}, None),
        ([10, 2, 12, 8], {}, None),  # touches the canvas without area
        ([-9, -9, -1, -1], {}, None),
    ],
)
def test_which_boxes_are_dropped(box, limits, expected) -> None:
    boxes, labels = clip_boxes(np.array([box], dtype=float), np.array([7]), (10, 10), **limits)
    assert boxes.tolist() == ([expected] if expected else [])
    assert boxes.shape == (len(labels), 4)
    assert boxes.dtype == np.float32


def labelled(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    return image, np.array([[5, 6, 30, 40], [20, 10, 60, 44]], dtype=np.float32), np.array([3, 1])


TRANSFORMS = [
    HSV(),
    HorizontalFlip(1.0),
    VerticalFlip(1.0),
]


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda t: type(t).__name__)
def test_transforms_never_write_to_their_input_and_repeat(transform) -> None:
    arrays, untouched = labelled(1), labelled(1)
    for array in arrays:
        array.flags.writeable = False
    first = transform(*arrays, np.random.default_rng(5))
    second = transform(*arrays, np.random.default_rng(5))
    assert all((a == b).all() for a, b in zip(arrays, untouched, strict=True))
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    assert any(a.shape != b.shape or (a != b).any() for a, b in zip(first, arrays, strict=True))


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda t: type(t).__name__)
def test_no_boxes_keep_their_shape(transform) -> None:
    image, _, _ = labelled(2)
    none = np.zeros((0, 4), dtype=np.float32), np.zeros(0, dtype=np.int64)
    _, boxes, labels = transform(image, *none, np.random.default_rng(0))
    assert (boxes.shape, boxes.dtype, labels.shape, labels.dtype) == ((0, 4), np.float32, (0,), np.int64)


def test_flips_by_hand() -> None:
    image, boxes, labels = labelled(3)
    mirrored, moved, _ = HorizontalFlip(1.0)(image, boxes[:1], labels[:1], np.random.default_rng(0))
    assert (mirrored == image[:, ::-1]).all()
    assert moved.tolist() == [[34, 6, 59, 40]]
    mirrored, moved, _ = VerticalFlip(1.0)(image, boxes[:1], labels[:1], np.random.default_rng(0))
    assert (mirrored == image[::-1]).all()
    assert moved.tolist() == [[5, 8, 30, 42]]
    assert HorizontalFlip(0.0)(image, boxes, labels, np.random.default_rng(0))[0] is image


def test_hsv_by_hand() -> None:
    """Value alone: 100 * gain; a pure red stays red; no gains, no change."""

    class Highest:
        def uniform(self, low: float, high: float, size: int) -> np.ndarray:
            return np.full(size, high)

    grey = np.full((2, 2, 3), 100, dtype=np.uint8)
    boxes, labels = np.zeros((0, 4), dtype=np.float32), np.zeros(0, dtype=np.int64)
    assert (HSV(0, 0, 0.4)(grey, boxes, labels, Highest())[0] == 140).all()
    assert (HSV(0, 0.7, 0)(grey, boxes, labels, Highest())[0] == 100).all()
    bright = np.full((2, 2, 3), 230, dtype=np.uint8)
    assert (HSV(0, 0, 0.4)(bright, boxes, labels, Highest())[0] == 255).all()
    assert HSV(0, 0, 0)(grey, boxes, labels, Highest())[0] is grey


def test_mixup_blends_and_keeps_all_boxes() -> None:
    one, other = labelled(1), labelled(2)
    rng = np.random.default_rng(0)
    share = np.random.default_rng(0).beta(32, 32)
    image, boxes, labels = MixUp()(*one, rng, other)
    expected = one[0] * share + other[0] * (1 - share)
    assert np.abs(image - expected).max() <= 0.51
    assert boxes.tolist() == [*one[1].tolist(), *other[1].tolist()]
    assert labels.tolist() == [3, 1, 3, 1]


def test_the_four_images_of_a_mosaic_meet_and_do_not_overlap() -> None:
    mosaic = Mosaic((100, 100), RandomAffine(0, 0, 0))
    corners = [
        map_boxes(np.array([[0, 0, w, h]]), m)[0]
        for (h, w), m in zip(
            [(50, 80), (70, 30), (100, 100), (20, 40)],
            mosaic.matrices([(50, 80), (70, 30), (100, 100), (20, 40)], np.random.default_rng(4)),
            strict=True,
        )
    ]
    meeting = corners[0][2:]
    assert corners[1][[0, 3]] == pytest.approx(meeting)
    assert corners[2][[2, 1]] == pytest.approx(meeting)
    assert corners[3][:2] == pytest.approx(meeting)
    assert max(corners[0][2:] - corners[0][:2]) == pytest.approx(100)  # fits a canvas
    assert (meeting >= 0).all()
    assert (meeting <= 100).all()


def test_published_defaults() -> None:
    settings_ = Augmentation()
    got = (settings_.mosaic, settings_.close_mosaic, settings_.scale, settings_.translate, settings_.hflip)
    assert got == (1.0, 10, 0.5, 0.1, 0.5)
    assert (settings_.hue, settings_.saturation, settings_.value) == (0.015, 0.7, 0.4)
    off = (settings_.mixup, settings_.degrees, settings_.shear, settings_.perspective, settings_.vflip)
    assert off == (0, 0, 0, 0, 0)
    assert Augmentation.none().is_none
    assert not settings_.is_none
