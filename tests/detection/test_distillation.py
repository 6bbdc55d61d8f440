"""What a student is taught: each distance by hand, its gradient against a numeric one."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from spikeyolo.detection.distillation import (
    EPS,
    class_divergence,
    distillation_sums,
    distribution_divergence,
    feature_distance,
    standardised,
)
from spikeyolo.errors import ShapeError
from spikeyolo.structures import REG_MAX, STRIDES

CLASSES = 2


def levels(channels: int, seed: int, dtype=torch.float64) -> list[torch.Tensor]:
    """Two images of 64 x 32 pixels."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [(64 // stride, 32 // stride) for stride in STRIDES]
    return [torch.randn(2, channels, *size, generator=generator, dtype=dtype) for size in sizes]


def logits(seed: int) -> list[torch.Tensor]:
    return levels(4 * REG_MAX + CLASSES, seed)


def test_features_are_measured_in_units_of_the_teachers_variance():
    teacher = torch.tensor([[[[1.0, 3.0]], [[10.0, 50.0]]]])  # (1, 2, 1, 2): means 2 and 30, deviations 1 and 20
    expected = torch.tensor([[[[-1.0, 1.0]], [[-20.0, 20.0]]]])
    expected = expected / torch.tensor([1 + EPS, 400 + EPS]).sqrt().view(1, 2, 1, 1)
    torch.testing.assert_close(standardised(teacher), expected)
    # A student at 0 is one deviation away everywhere; one that gives 3 where -1 is wanted, and 0 elsewhere, farther.
    distance = feature_distance(torch.zeros(1, 2, 1, 2), teacher)
    torch.testing.assert_close(distance, torch.ones(1, 2), atol=2e-5, rtol=0)
    distance = feature_distance(torch.tensor([[[[3.0, 0.0]], [[0.0, 0.0]]]]), teacher)
    torch.testing.assert_close(distance, torch.tensor([[(16 + 1) / 2, 1.0]]), atol=1e-4, rtol=0)


def test_a_channel_that_never_changes_teaches_nothing_and_breaks_nothing():
    assert torch.equal(standardised(torch.full((2, 1, 3, 3), 7.0)), torch.zeros(2, 1, 3, 3))


def test_class_divergence_by_hand():
    """The student says 1/2, the teacher 3/4 and 1/2: 3/4 log 3/2 + 1/4 log 1/2 = 0.1308."""
    student, teacher = torch.zeros(1, 1, 2), torch.tensor([[[math.log(3), 0.0]]])
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert class_divergence(student, teacher).item() == pytest.approx(expected, rel=1e-5)


def test_class_divergence_has_the_gradient_of_cross_entropy_with_soft_targets():
    student, teacher = torch.randn(2, 5, 3).double().requires_grad_(), 3 * torch.randn(2, 5, 3).double()
    (gradient,) = torch.autograd.grad(class_divergence(student, teacher).sum(), student)
    entropy = F.binary_cross_entropy_with_logits(student, teacher.sigmoid(), reduction="sum")
    torch.testing.assert_close(gradient, torch.autograd.grad(entropy, student)[0])


def test_distribution_divergence_by_hand():
    """Three sides agree; at the fourth the teacher says bin 0 or 1, half each, and the student any bin alike."""
    student = torch.zeros(1, 1, 4, REG_MAX)
    teacher = torch.zeros(1, 1, 4, REG_MAX)
    teacher[..., 3, 2:] = -1e4
    expected = (math.log(0.5) - math.log(1 / REG_MAX)) / 4
    assert distribution_divergence(student, teacher).item() == pytest.approx(expected, rel=1e-6)


@given(st.lists(st.floats(-30, 30), min_size=8, max_size=8))
def test_divergences_are_0_between_equals_and_never_below(values):
    given_logits = torch.tensor(values, dtype=torch.float64)
    student, teacher = given_logits[:4].view(1, 1, 4), given_logits[4:].view(1, 1, 4)
    sides = [side.view(1, 1, 1, 4).expand(1, 1, 4, 4) for side in (student, teacher)]
    assert class_divergence(student, teacher) >= -1e-12
    assert distribution_divergence(*sides) >= -1e-12
    assert class_divergence(teacher, teacher) == 0
    assert distribution_divergence(sides[1], sides[1]) == 0


def test_sums_weigh_each_point_by_the_teachers_best_score():
    """All the points of two images, one after the other."""
    features, taught, mine, wanted = levels(3, 0), levels(3, 1), logits(2), logits(3)
    found = distillation_sums(features, mine, taught, wanted, STRIDES)
    totals = dict.fromkeys(("features", "classes", "boxes", "weight"), 0.0)
    for level, (own, teacher_logits) in enumerate(zip(mine, wanted, strict=True)):
        target = standardised(taught[level])
        for image in range(2):
            for row in range(own.shape[2]):
                for column in range(own.shape[3]):
                    at = (image, slice(None), row, column)
                    best = teacher_logits[at][4 * REG_MAX :].sigmoid().max().item()
                    totals["weight"] += best
                    totals["features"] += best * (features[level][at] - target[at]).square().mean().item()
                    p, q = (logit[at][4 * REG_MAX :].sigmoid() for logit in (teacher_logits, own))
                    binary = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
                    totals["classes"] += binary.sum().item()
                    for side in range(4):
                        bins = slice(side * REG_MAX, (side + 1) * REG_MAX)
                        p, q = (logit[at][bins].softmax(0) for logit in (teacher_logits, own))
                        totals["boxes"] += best * (p * (p / q).log()).sum().item() / 4
    assert {name: getattr(found, name).item() for name in totals} == pytest.approx(totals, rel=1e-9)


def test_gradients_equal_numeric_ones():
    taught, wanted = [level[:1, :, :1, :1] for level in levels(2, 1)], [level[:1, :, :1, :1] for level in logits(3)]
    taught = [level.repeat(2, 1, 1, 1) * torch.tensor([1.0, -1.0]).view(2, 1, 1, 1) for level in taught]
    wanted = [level.repeat(2, 1, 1, 1) for level in wanted]
    student = [torch.randn_like(level).requires_grad_() for level in (*taught, *wanted)]

    def sums(*given):
        found = distillation_sums(given[:3], given[3:], taught, wanted, STRIDES)
        return found.features, found.classes, found.boxes

    assert torch.autograd.gradcheck(sums, student)


def test_half_precision_is_widened_first():
    features, taught, mine, wanted = levels(3, 0), levels(3, 1), logits(2), logits(3)
    halves = [[level.bfloat16() for level in part] for part in (features, mine, taught, wanted)]
    widened = [[level.float() for level in part] for part in halves]
    found, expected = (distillation_sums(*part, STRIDES) for part in (halves, widened))
    assert found.features.dtype == torch.float32
    assert torch.equal(found.boxes, expected.boxes)


def test_other_shapes_are_refused():
    with pytest.raises(ShapeError, match=r"features: \(2, 3, 8, 4\) of the student, \(2, 4, 8, 4\) of the teacher"):
        distillation_sums(levels(3, 0), logits(2), levels(4, 1), logits(3), STRIDES)
    with pytest.raises(ShapeError, match="logits"):
        distillation_sums(levels(3, 0), logits(2), levels(3, 1), levels(4 * REG_MAX + 3, 3), STRIDES)
