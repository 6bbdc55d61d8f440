"""The training loss: assignment, classes, boxes and the distributions over their sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import ShapeError
from ..spiking.equation import widen
from ..structures import REG_MAX, Targets
from .anchors import expected_ltrb, ltrb_to_xyxy, split_logits, xyxy_to_ltrb
from .assigner import assign_targets
from .boxes import complete_iou
from .gains import LossGains


@dataclass(frozen=True)
class DetectionLoss:
    """The loss and its parts.

    Attributes:
        total: scalar to minimise: the sum of the parts times the number of images in the batch.
        box: scalar, 1 - CIoU, after its gain; like the other parts without gradient, for display.
        classes: scalar, binary cross-entropy, after its gain.
        distribution: scalar, distribution focal loss, after its gain.
        foreground: scalar, the anchor points that answer for a target.
        weight: scalar, the sum of the target scores: each part is divided by it, or by 1 where it is less. Processes
            that share a batch need it to divide by the sum of all.
    """

    total: Tensor
    box: Tensor
    classes: Tensor
    distribution: Tensor
    foreground: Tensor
    weight: Tensor


def distribution_focal_loss(distributions: Tensor, ltrb: Tensor) -> Tensor:
    """Cross-entropy to the two bins beside each true distance, weighted by nearness, averaged over the four sides.

    Args:
        distributions: (P, 4, REG_MAX) logits.
        ltrb: (P, 4) true distances, in strides, 0 <= ltrb < REG_MAX - 1.

    Returns:
        (P,) loss.

    Source: Li et al., Generalized Focal Loss, NeurIPS 2020, eq. 6.
    """
    left = ltrb.floor()
    share_right = ltrb - left
    log_probabilities = distributions.log_softmax(-1)
    bins = left.long().unsqueeze(-1)
    left_loss = -log_probabilities.gather(-1, bins).squeeze(-1)
    right_loss = -log_probabilities.gather(-1, bins + 1).squeeze(-1)
    return (left_loss * (1 - share_right) + right_loss * share_right).mean(-1)


def detection_loss(
    logits: Sequence[Tensor], targets: Targets, strides: Sequence[int], gains: LossGains | None = None
) -> DetectionLoss:
    """The training loss of a batch: task-aligned assignment, BCE on classes, CIoU and distribution focal loss on boxes.

    Args:
        logits: for each level (B, 4 * REG_MAX + C, H, W); half precision is widened to float32 first.
        targets: boxes in pixels of the network's input.
        strides: of each level.
        gains: weights of the parts; the published ones unless given.

    Raises:
        ShapeError: the targets are of another number of images, or a label is not below C.

    Source: Feng et al., TOOD, ICCV 2021; Li et al., GFL, NeurIPS 2020; Zheng et al., CIoU, AAAI 2020.
    """
    gains = gains or LossGains()
    distributions, classes, points, point_strides = split_logits([widen(level) for level in logits], strides)
    num_images, _, num_classes = classes.shape
    if targets.num_images != num_images:
        raise ShapeError(f"targets: of {targets.num_images} images, the logits are of {num_images}")
    # On another device the labels would have to be waited for; a data set's are checked when it is opened.
    if (
        len(targets)
        and targets.labels.device.type == "cpu"
        and (highest := targets.labels.numpy().max()) >= num_classes
    ):
        raise ShapeError(f"targets: label {highest}, the logits have {num_classes} classes")

    boxes = ltrb_to_xyxy(expected_ltrb(distributions), points, point_strides)
    sizes = [(level.shape[2], level.shape[3]) for level in logits]
    found = assign_targets(classes.detach().sigmoid(), boxes.detach(), sizes, strides, targets)
    image, anchor = found.image_index, found.anchor_index
    weight = found.weight.sum()
    normaliser = weight.clamp(min=1)

    # Binary cross-entropy is softplus(x) - x * target, and the target is zero almost everywhere.
    expected = classes[image, anchor, targets.labels[found.target_index]] * found.weight
    class_loss = (F.softplus(classes).sum() - expected.sum()) / normaliser

    true_boxes = targets.boxes.to(boxes)[found.target_index]
    box_loss = ((1 - complete_iou(boxes[image, anchor], true_boxes)) * found.weight).sum() / normaliser

    ltrb = xyxy_to_ltrb(true_boxes, points[anchor], point_strides[anchor])
    ltrb = ltrb.clamp(0, REG_MAX - 1 - 0.01)
    distribution_loss = (distribution_focal_loss(distributions[image, anchor], ltrb) * found.weight).sum() / normaliser

    parts = torch.stack([gains.box * box_loss, gains.classes * class_loss, gains.distribution * distribution_loss])
    shown = parts.detach()
    return DetectionLoss(parts.sum() * num_images, shown[0], shown[1], shown[2], found.chosen.sum(), weight)
