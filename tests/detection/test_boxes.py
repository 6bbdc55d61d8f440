import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikeyolo.detection.anchors import anchor_points, decode, ltrb_to_xyxy, xyxy_to_ltrb
from spikeyolo.detection.boxes import box_iou, complete_iou
from spikeyolo.errors import ShapeError
from spikeyolo.structures import REG_MAX, STRIDES


def test_iou_by_hand():
    a = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 0.0, 0.0]])
    b = torch.tensor([[1.0, 1.0, 3.0, 3.0], [0.0, 0.0, 2.0, 2.0], [5.0, 5.0, 6.0, 6.0], [0.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(box_iou(a, b), torch.tensor([[1 / 7, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]))


def test_complete_iou_by_hand():
    a, b = torch.tensor([0.0, 0.0, 2.0, 2.0], dtype=torch.float64), torch.tensor([1.0, 1.0, 2.0, 4.0]).double()
    iou = 1 / 6
    distance = (0.5**2 + 1.5**2) / (2**2 + 4**2)
    v = 4 / math.pi**2 * (math.atan(1 / 3) - math.atan(1)) ** 2
    alpha = v / (v - iou + 1)
    assert complete_iou(a, b).item() == pytest.approx(iou - distance - alpha * v, abs=1e-6)


def test_complete_iou_of_equal_and_of_empty_boxes_is_finite():
    boxes = torch.tensor([[1.0, 2.0, 5.0, 9.0], [3.0, 3.0, 3.0, 3.0]], requires_grad=True)
    ciou = complete_iou(boxes, boxes.detach())
    ciou.sum().backward()
    assert ciou[0].item() == pytest.approx(1.0, abs=1e-6)
    assert torch.isfinite(ciou).all()
    assert torch.isfinite(boxes.grad).all()


def test_anchor_points_by_hand():
    points, strides = anchor_points([(1, 2), (1, 1)], (8, 16))
    assert points.tolist() == [[4, 4], [12, 4], [8, 8]]
    assert strides.tolist() == [8, 8, 16]


corner = st.floats(-50, 50, width=32)
side = st.floats(0, 200, width=32)


@given(left=corner, top=corner, width=side, height=side)
def test_distances_to_the_sides_and_back_are_the_identity(left, top, width, height):
    points, strides = anchor_points([(4, 4), (2, 2), (1, 1)], STRIDES)
    boxes = torch.tensor([left, top, left + width, top + height]).expand(len(points), 4)
    torch.testing.assert_close(
        ltrb_to_xyxy(xyxy_to_ltrb(boxes, points, strides), points, strides), boxes, atol=1e-3, rtol=0
    )


@given(bins=st.lists(st.floats(0.01, REG_MAX - 1.01), min_size=4, max_size=4), label=st.integers(0, 2))
def test_decoding_an_encoded_box_is_the_identity(bins, label):
    """Writes distances as the two neighbouring bins of a distribution, and reads the box back."""
    logits = [torch.full((1, 4 * REG_MAX + 3, 64 // s, 64 // s), -30.0, dtype=torch.float64) for s in STRIDES]
    row, column, level = 1, 2, 1
    for side_index, distance in enumerate(bins):
        low = int(distance)
        share = distance - low
        channel = side_index * REG_MAX + low
        logits[level][0, channel, row, column] = math.log(max(1 - share, 1e-12))
        logits[level][0, channel + 1, row, column] = math.log(max(share, 1e-12))
    logits[level][0, 4 * REG_MAX + label, row, column] = 3.0
    boxes, scores = decode(logits, STRIDES)
    index = 64 + row * 4 + column
    x, y = (column + 0.5) * 16, (row + 0.5) * 16
    left, top, right, bottom = (16 * b for b in bins)
    expected = torch.tensor([x - left, y - top, x + right, y + bottom], dtype=torch.float64)
    torch.testing.assert_close(boxes[0, index], expected, atol=1e-4, rtol=0)
    assert scores[0, index].argmax() == label
    assert scores[0, index, label].item() == pytest.approx(1 / (1 + math.exp(-3.0)))


def test_half_precision_is_widened():
    logits = [torch.randn(1, 66, 32 // s, 32 // s).bfloat16() for s in STRIDES]
    boxes, scores = decode(logits, STRIDES)
    assert boxes.dtype == scores.dtype == torch.float32


def test_wrong_logits():
    with pytest.raises(ShapeError, match="2 levels beside 3 strides"):
        decode([torch.zeros(1, 66, 4, 4)] * 2, STRIDES)
    with pytest.raises(ShapeError, match="64 \\+ classes"):
        decode([torch.zeros(1, 64, 4, 4)] * 3, STRIDES)
