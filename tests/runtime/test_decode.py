"""Decoding and suppression of arrays beside those of tensors."""

import numpy as np
import pytest
import torch

from spikeyolo.detection.anchors import decode as decode_tensors
from spikeyolo.detection.postprocess import EVALUATION, Thresholds, postprocess
from spikeyolo.errors import ShapeError
from spikeyolo.placement import REG_MAX, STRIDES, Placement
from spikeyolo.runtime.decode import decode, found_on, sigmoid


def logits(seed=0, batch=2, classes=3, size_hw=(64, 96), spread=3.0):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(batch, 4 * REG_MAX + classes, size_hw[0] // s, size_hw[1] // s) for s in STRIDES]
    return [torch.randn(shape, generator=generator) * spread for shape in shapes]


@pytest.mark.parametrize("spread", [0.0, 1.0, 30.0])
@pytest.mark.parametrize("seed", range(3))
def test_boxes_and_scores_are_those_of_tensors(seed, spread):
    levels = logits(seed, spread=spread)
    boxes, scores = decode([level.numpy() for level in levels], STRIDES)
    expected = decode_tensors(levels, STRIDES)
    assert boxes.dtype == scores.dtype == np.float32
    np.testing.assert_allclose(boxes, expected[0].numpy(), rtol=0, atol=1e-4)  # 6e-6 of a pixel of 30 bins of 32
    np.testing.assert_allclose(scores, expected[1].numpy(), rtol=0, atol=1e-6)


def test_by_hand():
    level = np.zeros((1, 4 * REG_MAX + 1, 1, 1), np.float32)
    for side, distance in enumerate((1, 2, 3, 4)):
        level[0, side * REG_MAX + distance] = 100  # certain of this bin
    boxes, scores = decode([level], (8,))
    np.testing.assert_allclose(boxes, [[[4 - 8, 4 - 16, 4 + 24, 4 + 32]]], atol=1e-4)
    np.testing.assert_allclose(scores, [[[0.5]]])


def test_scores_of_far_logits_do_not_overflow():
    with np.errstate(all="raise", under="ignore"):
        assert sigmoid(np.float32([-1e4, 0, 1e4])).tolist() == [0, 0.5, 1]


def test_half_precision_is_widened_first():
    levels = [level.half() for level in logits()]
    boxes, _ = decode([level.numpy() for level in levels], STRIDES)
    np.testing.assert_allclose(boxes, decode_tensors(levels, STRIDES)[0].numpy(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("thresholds", [Thresholds(), EVALUATION, Thresholds(0.5, 0.3, 7)])
def test_the_same_boxes_are_kept(thresholds, multi_label):
    levels = logits(1, spread=2.0)
    placements = [Placement((50, 70), (0.7, 0.9), (3, 5)), Placement((640, 480))]
    expected = postprocess(levels, thresholds, placements, multi_label=multi_label)
    boxes, scores = decode([level.numpy() for level in levels], STRIDES)
    found = found_on(boxes, scores, thresholds, placements, multi_label=multi_label)
    for ours, theirs in zip(found, expected, strict=True):
        assert len(ours) == len(theirs) > 0
        assert ours.labels.dtype == np.int64
        assert np.array_equal(ours.labels, theirs.labels.numpy())
        np.testing.assert_allclose(ours.boxes, theirs.boxes.numpy(), rtol=0, atol=1e-4)
        np.testing.assert_allclose(ours.scores, theirs.scores.numpy(), rtol=0, atol=1e-6)


def test_no_candidates():
    (found,) = found_on(np.zeros((1, 5, 4)), np.zeros((1, 5, 2)), Thresholds(), [Placement((9, 9))])
    assert (found.boxes.shape, found.scores.shape, found.labels.shape) == ((0, 4), (0,), (0,))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match="3 levels beside 2 strides"):
        decode([np.zeros((1, 65, 1, 1))] * 3, (8, 16))
    with pytest.raises(ShapeError, match="64 \\+ classes"):
        decode([np.zeros((1, 64, 1, 1))], (8,))
