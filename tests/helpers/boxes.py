"""Boxes of the golden files, which give centre, width and height."""

import torch


def cxcywh_to_xyxy(boxes):
    """(..., 4) centre, width, height -> (..., 4) left, top, right, bottom."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def xyxy_to_cxcywh(boxes):
    """(..., 4) left, top, right, bottom -> (..., 4) centre, width, height."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(low + high) / 2, high - low], dim=-1)
