"""What a student is taught by another detector: the features of its neck, and its logits as soft targets.

Every anchor point weighs as much as the teacher's best score there, so that the background, nearly all of an image,
does not drown the objects (Yang et al., Prediction-Guided Distillation, ECCV 2022).

Shape letters: B images, A anchor points of all levels together, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import ShapeError
from ..spiking.equation import widen
from .anchors import split_logits

EPS = 1e-5


@dataclass(frozen=True)
class DistillationSums:
    """Distances between student and teacher, summed over the anchor points of a batch.

    Attributes:
        features: scalar, squared distance of features, in units of the teacher's variance, weighted by its scores.
        classes: scalar, binary Kullback-Leibler divergence of the class scores, over all points and classes.
        boxes: scalar, divergence of the distributions, averaged over the four sides, weighted by the teacher's scores.
        weight: scalar, the sum of the teacher's best scores, by which each is divided; without gradient.
    """

    features: Tensor
    classes: Tensor
    boxes: Tensor
    weight: Tensor


def standardised(features: Tensor) -> Tensor:
    """(B, channels, H, W) -> the same with mean 0 and variance 1 of each channel of the batch.

    So that networks whose features are of other sizes, spikes and the twin say, can be compared. Source: Cao et al.,
    PKD, NeurIPS 2022, section 3.2.
    """
    variance, mean = torch.var_mean(features, dim=(0, 2, 3), correction=0, keepdim=True)
    return (features - mean) * (variance + EPS).rsqrt()


def feature_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """(B, channels, H, W) of both, projected to one width -> (B, H * W) squared distance, averaged over channels."""
    if student.shape != teacher.shape:
        raise ShapeError(f"features: {tuple(student.shape)} of the student, {tuple(teacher.shape)} of the teacher")
    return (student - standardised(teacher)).square().mean(1).flatten(1)


def class_divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """(B, A, C) logits of both -> (B, A) binary Kullback-Leibler divergence of the scores, summed over classes.

    Binary cross-entropy with soft targets, less the entropy of these: 0 where both are equal, of the same gradient.
    """
    difference = teacher.sigmoid() * (teacher - student)
    return (difference + F.softplus(student) - F.softplus(teacher)).sum(-1)


def distribution_divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """(B, A, 4, REG_MAX) logits of both -> (B, A) Kullback-Leibler divergence, averaged over the four sides.

    Source: Zheng et al., Localization Distillation, CVPR 2022, eq. 3, at temperature 1.
    """
    wanted = teacher.log_softmax(-1)
    return (wanted.exp() * (wanted - student.log_softmax(-1))).sum(-1).mean(-1)


def distillation_sums(
    features: Sequence[Tensor],
    logits: Sequence[Tensor],
    teacher_features: Sequence[Tensor],
    teacher_logits: Sequence[Tensor],
    strides: Sequence[int],
) -> DistillationSums:
    """Compare a student with its teacher on the same images.

    Args:
        features: of the student's neck, for each level (B, teacher's channels, H, W), projected; none: only logits
            are compared.
        logits: of the student, for each level (B, 4 * REG_MAX + C, H, W); half precision is widened to float32 first.
        teacher_features: for each level (B, channels, H, W).
        teacher_logits: as `logits`.
        strides: of each level.

    Raises:
        ShapeError: the two are of other shapes.
    """
    distributions, classes, _, _ = split_logits([widen(level) for level in logits], strides)
    wanted_distributions, wanted_classes, _, _ = split_logits([widen(level) for level in teacher_logits], strides)
    if classes.shape != wanted_classes.shape:
        raise ShapeError(f"logits: {tuple(classes.shape)} of the student, {tuple(wanted_classes.shape)} of the teacher")
    scores = wanted_classes.sigmoid().amax(-1)
    pairs = zip(features, teacher_features, strict=True) if features else ()
    distances = [feature_distance(widen(mine), widen(theirs)) for mine, theirs in pairs]
    distance = torch.cat(distances, dim=1) if distances else torch.zeros_like(scores)
    return DistillationSums(
        features=(distance * scores).sum(),
        classes=class_divergence(classes, wanted_classes).sum(),
        boxes=(distribution_divergence(distributions, wanted_distributions) * scores).sum(),
        weight=scores.sum(),
    )
