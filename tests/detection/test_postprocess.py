"""From logits to detections, and which of them are kept."""

from __future__ import annotations

import pytest
import torch

from spikeyolo.detection.postprocess import postprocess
from spikeyolo.detection.thresholds import EVALUATION, Thresholds
from spikeyolo.errors import ConfigError
from spikeyolo.structures import REG_MAX, STRIDES, Placement


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"conf": -0.1}, "conf: -0.1 is below 0"),
        ({"conf": 1.1}, "conf: 1.1 is outside 0..1"),
        ({"iou": float("nan")}, "iou: nan is outside 0..1"),
        ({"max_det": 0}, "max_det: 0 is below 1"),
    ],
)
def test_thresholds_out_of_range(given, says):
    with pytest.raises(ConfigError, match=says):
        Thresholds(**given)


def one_box(row=3, column=4, side_bins=2, label=1, classes=3):
    """Logits of a 64 x 64 canvas with one box: around the point of stride 8 in that row and column."""
    logits = [torch.full((1, 4 * REG_MAX + classes, 64 // s, 64 // s), -20.0) for s in STRIDES]
    sides = logits[0][0, : 4 * REG_MAX].view(4, REG_MAX, 8, 8)
    sides[:, side_bins, row, column] = 20.0
    logits[0][0, 4 * REG_MAX + label, row, column] = 4.0
    return logits


def test_one_box_by_hand():
    # The point is (4.5, 3.5) * 8; each side lies 2 strides away.
    (found,) = postprocess(one_box(), Thresholds())
    torch.testing.assert_close(found.boxes, torch.tensor([[20.0, 12.0, 52.0, 44.0]]), atol=1e-3, rtol=0)
    assert found.labels.tolist() == [1]
    assert found.scores.item() == pytest.approx(1 / (1 + 2.718281828**-4), rel=1e-5)


def test_back_to_the_original_clipped():
    place = Placement((20, 24), (2.0, 2.0), (8.0, 12.0))  # an image of 24 x 20, enlarged twice
    (found,) = postprocess(one_box(), Thresholds(), [place])
    torch.testing.assert_close(found.boxes, torch.tensor([[6.0, 0.0, 22.0, 16.0]]), atol=1e-3, rtol=0)


def test_a_box_counts_for_several_classes_in_evaluation_only():
    logits = one_box()
    logits[0][0, 4 * REG_MAX + 2, 3, 4] = 2.0
    assert postprocess(logits, EVALUATION, multi_label=True)[0].labels.tolist() == [1, 2]
    assert postprocess(logits, EVALUATION)[0].labels.tolist() == [1]
