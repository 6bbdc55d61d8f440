import subprocess
import sys

import numpy as np
import pytest

from spikeyolo.errors import ShapeError
from spikeyolo.imaging.draw import class_colour, draw_boxes, image_grid

GREY = np.full((200, 300, 3), 128, dtype=np.uint8)
NAMES = ["cat", "dog", "bird"]


def coloured(image, colour):
    """(H, W): where the image has just this colour."""
    return (image == np.array(colour)).all(axis=2)


def test_box_lies_where_it_is_said_in_the_colour_of_its_class_and_the_argument_stays():
    before = GREY.copy()
    drawn = draw_boxes(GREY, [[50, 60, 120, 150]], [1], NAMES)
    np.testing.assert_array_equal(GREY, before)
    assert (drawn.shape, drawn.dtype) == (GREY.shape, np.uint8)
    line = coloured(drawn, class_colour(1))
    for y, x in ((60, 85), (150, 85), (105, 50), (105, 120)):
        assert line[y - 1 : y + 2, x - 1 : x + 2].any()
    np.testing.assert_array_equal(drawn[65:145, 55:115], GREY[65:145, 55:115])
    np.testing.assert_array_equal(drawn[160:], GREY[160:])


def test_colour_belongs_to_the_class_whatever_else_is_on_the_image():
    alone = draw_boxes(GREY, [[50, 60, 120, 150]], [1], NAMES)
    beside = draw_boxes(GREY, [[200, 60, 290, 150], [50, 60, 120, 150]], [2, 1], [*NAMES, "fish"])
    np.testing.assert_array_equal(alone[:, :125], beside[:, :125])
    assert coloured(beside, class_colour(2)).any()


def test_eighty_classes_have_eighty_colours_and_neighbours_differ_much():
    colours = np.array([class_colour(label) for label in range(80)])
    assert len(np.unique(colours, axis=0)) == 80
    assert np.abs(np.diff(colours, axis=0)).max(axis=1).min() > 60


def test_scores_and_tracks_make_the_text_longer():
    def width(**more):
        return coloured(draw_boxes(GREY, [[50, 60, 52, 62]], [0], NAMES, **more), class_colour(0)).any(axis=0).sum()

    assert width() < width(scores=[0.5]) < width(scores=[0.5], track_ids=[12])


def test_text_grows_with_the_image():
    def height(side):
        image = np.full((side, side, 3), 128, dtype=np.uint8)
        drawn = draw_boxes(image, [[side // 2, side // 2, side // 2 + 1, side // 2 + 1]], [0], NAMES)
        return coloured(drawn, class_colour(0)).any(axis=1).sum()

    assert height(2000) > 2 * height(500)


@pytest.mark.parametrize("box", [[0, 0, 60, 60], [285, 90, 298, 150]])
def test_name_of_a_box_at_the_border_is_inside_the_image(box):
    width, height = box[2] - box[0], box[3] - box[1]
    drawn = draw_boxes(GREY, [box], [0], ["elephant"])
    middle = draw_boxes(GREY, [[100, 80, 100 + width, 80 + height]], [0], ["elephant"])
    # As much of the text's ground is to be seen as in the middle, but for what lies on the box's line.
    assert coloured(drawn, class_colour(0)).sum() > 0.75 * coloured(middle, class_colour(0)).sum()


def test_nothing_found_gives_a_copy():
    drawn = draw_boxes(GREY, np.zeros((0, 4)), [], NAMES)
    np.testing.assert_array_equal(drawn, GREY)
    assert drawn is not GREY
    assert not np.shares_memory(drawn, GREY)


def test_crowded_image_is_drawn():
    boxes = np.tile([[50.0, 60.0, 120.0, 150.0]], (100, 1))
    assert coloured(draw_boxes(GREY, boxes, [0] * 100, NAMES), class_colour(0)).any()


@pytest.mark.parametrize(
    ("image", "labels", "more", "message"),
    [
        (GREY[..., 0], [0], {}, "image"),
        (GREY / 255, [0], {}, "image"),
        (GREY, [0, 1], {}, "as many as boxes"),
        (GREY, [0], {"scores": [0.1, 0.2]}, "as many as boxes"),
        (GREY, [3], {}, "outside the 3 classes"),
    ],
)
def test_what_does_not_belong_together_is_refused(image, labels, more, message):
    with pytest.raises(ShapeError, match=message):
        draw_boxes(image, [[1, 1, 9, 9]], labels, NAMES, **more)


def test_grid_puts_each_image_in_its_cell():
    images = [np.full((4, 6, 3), value, dtype=np.uint8) for value in (10, 20, 30)]
    sheet = image_grid(images, columns=2, gap=1, background=200)
    assert sheet.shape == (9, 13, 3)
    assert (sheet[:4, :6] == 10).all()
    assert (sheet[:4, 7:] == 20).all()
    assert (sheet[5:, :6] == 30).all()
    assert (sheet[5:, 6:] == 200).all()
    assert (sheet[4] == 200).all()


def test_smaller_image_is_centred_and_columns_are_chosen():
    small, large = np.zeros((2, 2, 3), dtype=np.uint8), np.full((6, 4, 3), 50, dtype=np.uint8)
    sheet = image_grid([small, large], gap=0)
    assert sheet.shape == (6, 8, 3)
    assert (sheet[2:4, 1:3] == 0).all()
    assert (sheet[:2, :4] == 255).all()
    assert image_grid([large] * 9, gap=0).shape == (18, 12, 3)
    assert image_grid([large], columns=5, gap=3).shape == (6, 4, 3)
    with pytest.raises(ShapeError, match="at least one"):
        image_grid([])


def test_importing_is_cheap_and_drawing_needs_no_further_package():
    code = (
        "import sys, numpy as np\n"
        "from spikeyolo.imaging.draw import draw_boxes\n"
        "print([m for m in ('PIL.Image', 'cv2') if m in sys.modules])\n"
        "draw_boxes(np.zeros((64, 64, 3), np.uint8), [[1, 1, 9, 9]], [0], ['x'])\n"
        "print([m for m in ('torchvision', 'matplotlib', 'supervision', 'cv2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "[]"]


@pytest.mark.filterwarnings("ignore:1 class name is drawn as numbers")
@pytest.mark.parametrize("name", ["猫", "قطة", "\N{CAT FACE}", "\ud83d", "a\x1b[31mb\x00", "[/red]", "n" * 300, ""])
def test_any_name_is_drawn(name):
    drawn = draw_boxes(GREY, [[50, 60, 120, 150]], [0], [name], scores=[0.5])
    assert coloured(drawn, class_colour(0)).any()


def test_names_keep_apart():
    boxes = [[50, 80, 120, 150], [52, 80, 122, 150], [54, 80, 124, 150]]
    together = coloured(draw_boxes(GREY, boxes, [0, 1, 2], ["bird"] * 3), class_colour(0)).sum()
    alone = coloured(draw_boxes(GREY, boxes[:1], [0], ["bird"]), class_colour(0)).sum()
    assert together > 0.5 * alone  # its ground is not covered by the others'


def test_boxes_beyond_the_image_are_drawn():
    drawn = draw_boxes(GREY, [[-50, -60, 120, 150], [280, 190, 900, 900], [10, 10, 10, 10]], [0, 1, 2], NAMES)
    assert all(coloured(drawn, class_colour(label)).any() for label in range(3))
