import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikeyolo.imaging.letterbox import letterbox


@pytest.mark.parametrize(
    ("size", "canvas", "inner"),
    [
        ((100, 200), (64, 64), (slice(16, 48), slice(0, 64))),
        ((200, 100), (64, 64), (slice(0, 64), slice(16, 48))),
        ((64, 64), (64, 96), (slice(0, 64), slice(16, 80))),
        ((1, 500), (64, 64), (slice(31, 32), slice(0, 64))),
    ],
)
def test_position_by_hand(size, canvas, inner):
    image = np.full((*size, 3), 255, np.uint8)
    result, placement = letterbox(image, canvas)
    expected = np.full((*canvas, 3), 114, np.uint8)
    expected[inner] = 255
    assert np.array_equal(result, expected)
    whole = torch.tensor([[0.0, 0.0, size[1], size[0]]])
    rows, columns = inner
    on_canvas = torch.tensor([[columns.start, rows.start, columns.stop, rows.stop]]).float()
    torch.testing.assert_close(placement.to_canvas(whole), on_canvas)
    torch.testing.assert_close(placement.to_original(on_canvas), whole)


@given(
    rows=st.integers(2, 90), columns=st.integers(2, 90), canvas=st.sampled_from([(32, 32), (64, 96)]), data=st.data()
)
def test_a_drawn_rectangle_stays_in_its_box(rows, columns, canvas, data):
    x1, y1 = data.draw(st.integers(0, columns - 1)), data.draw(st.integers(0, rows - 1))
    x2, y2 = data.draw(st.integers(x1 + 1, columns)), data.draw(st.integers(y1 + 1, rows))
    image = np.zeros((rows, columns, 3), np.uint8)
    image[y1:y2, x1:x2] = 255
    before = image.copy()
    result, placement = letterbox(image, canvas)
    assert np.array_equal(image, before)
    left, top, right, bottom = placement.to_canvas(torch.tensor([[x1, y1, x2, y2]]).double())[0].tolist()
    ys, xs = np.nonzero((result[..., 0] > 128) & (result[..., 0] != 114))
    if len(xs):  # thin lines may fade when an image shrinks
        assert left - 1 <= xs.min()
        assert xs.max() + 1 <= right + 1
        assert top - 1 <= ys.min()
        assert ys.max() + 1 <= bottom + 1
