"""From logits to boxes and to the loss: pure functions on tensors that know no network."""

from .anchors import anchor_points, decode, split_logits
from .assigner import Assignment, assign_targets
from .boxes import box_iou, complete_iou, cxcywh_to_xyxy, xyxy_to_cxcywh
from .losses import DetectionLoss, LossGains, detection_loss
from .nms import non_maximum_suppression

__all__ = [
    "Assignment",
    "DetectionLoss",
    "LossGains",
    "anchor_points",
    "assign_targets",
    "box_iou",
    "complete_iou",
    "cxcywh_to_xyxy",
    "decode",
    "detection_loss",
    "non_maximum_suppression",
    "split_logits",
    "xyxy_to_cxcywh",
]
