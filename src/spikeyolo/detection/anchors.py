"""Anchor points, and the distributions over the distances from them to the sides of a box.

Shape letters: B images, A anchor points of all levels together, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import ShapeError
from ..spiking.equation import widen
from ..structures import REG_MAX


def anchor_points(
    sizes_hw: Sequence[tuple[int, int]], strides: Sequence[int], device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Return the centres of all cells of all levels, level by level, row by row.

    Args:
        sizes_hw: rows and columns of each level.
        strides: pixels between neighbouring cells of each level.
        device: of the result.

    Returns:
        points: (A, 2) x and y in pixels, float32.
        point_strides: (A,) the stride of the level each belongs to, float32.
    """
    points, point_strides = [], []
    for (rows, columns), stride in zip(sizes_hw, strides, strict=True):
        y = torch.arange(rows, device=device, dtype=torch.float32) + 0.5
        x = torch.arange(columns, device=device, dtype=torch.float32) + 0.5
        grid = torch.stack([x.expand(rows, -1), y[:, None].expand(-1, columns)], dim=-1)
        points.append(grid.reshape(-1, 2) * stride)
        point_strides.append(torch.full((rows * columns,), float(stride), device=device))
    return torch.cat(points), torch.cat(point_strides)


def split_logits(logits: Sequence[Tensor], strides: Sequence[int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Join the levels of logits and split them into boxes and classes.

    Args:
        logits: for each level (B, 4 * REG_MAX + C, H, W).
        strides: of each level.

    Returns:
        distributions: (B, A, 4, REG_MAX) logits over the distance to left, top, right, bottom.
        classes: (B, A, C) logits.
        points: (A, 2) anchor points in pixels.
        point_strides: (A,).

    Raises:
        ShapeError: the levels and strides differ in number, or the distributions need more channels.
    """
    if len(logits) != len(strides):
        raise ShapeError(f"logits: {len(logits)} levels beside {len(strides)} strides")
    if logits[0].ndim != 4 or logits[0].shape[1] <= 4 * REG_MAX:
        raise ShapeError(f"logits: expected (B, {4 * REG_MAX} + classes, H, W), got {tuple(logits[0].shape)}")
    joined = torch.cat([level.flatten(2).transpose(1, 2) for level in logits], dim=1)
    distributions, classes = joined.split([4 * REG_MAX, joined.shape[2] - 4 * REG_MAX], dim=2)
    sizes = [(level.shape[2], level.shape[3]) for level in logits]
    points, point_strides = anchor_points(sizes, strides, joined.device)
    return distributions.unflatten(2, (4, REG_MAX)), classes, points.to(joined), point_strides.to(joined)


def expected_ltrb(distributions: Tensor) -> Tensor:
    """(..., 4, REG_MAX) logits -> (..., 4) expected distances, in strides. Source: GFL, eq. 5."""
    bins = torch.arange(REG_MAX, device=distributions.device, dtype=distributions.dtype)
    return distributions.softmax(-1) @ bins


def ltrb_to_xyxy(ltrb: Tensor, points: Tensor, point_strides: Tensor) -> Tensor:
    """(..., A, 4) distances in strides from points (A, 2) in pixels -> (..., A, 4) boxes in pixels."""
    left_top, right_bottom = (ltrb * point_strides[:, None]).chunk(2, dim=-1)
    return torch.cat([points - left_top, points + right_bottom], dim=-1)


def xyxy_to_ltrb(boxes: Tensor, points: Tensor, point_strides: Tensor) -> Tensor:
    """(..., A, 4) boxes in pixels -> (..., A, 4) distances from points (A, 2), in strides; the inverse of the above."""
    low, high = boxes.chunk(2, dim=-1)
    return torch.cat([points - low, high - points], dim=-1) / point_strides[:, None]


def decode(logits: Sequence[Tensor], strides: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Turn the logits of all levels into a box and class scores for each anchor point.

    Args:
        logits: for each level (B, 4 * REG_MAX + C, H, W); half precision is widened to float32 first.
        strides: of each level.

    Returns:
        boxes: (B, A, 4) xyxy in pixels of the network's input; they may reach beyond it.
        scores: (B, A, C) in 0..1.
    """
    distributions, classes, points, point_strides = split_logits([widen(level) for level in logits], strides)
    return ltrb_to_xyxy(expected_ltrb(distributions), points, point_strides), classes.sigmoid()
