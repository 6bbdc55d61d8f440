"""Decoding inside an ONNX graph: from logits to boxes and scores, and on to detections."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..detection.anchors import anchor_points
from ..detection.thresholds import Thresholds
from ..structures import REG_MAX, STRIDES
from .onnx_builder import Builder


def write_boxes(
    build: Builder, logits: Sequence[str], classes: int, size_hw: tuple[int, int] | None
) -> tuple[str, str]:
    """Add what `detection.anchors.decode` does.

    Args:
        build: the graph.
        logits: of each level, (B, 4 * REG_MAX + classes, H, W) float32.
        classes: how many.
        size_hw: rows and columns of the input; None where they are free.

    Returns:
        Names of the boxes (B, A, 4) and the scores (B, A, classes).
    """
    channels = 4 * REG_MAX + classes
    flat = [build.op("Reshape", level, build.integers(0, channels, -1)) for level in logits]
    joined = build.op("Concat", *flat, axis=2)
    distributions, class_logits = build.ops(
        "Split", joined, build.integers(4 * REG_MAX, classes), number=2, axis=1, name="split"
    )
    bins = build.op("Reshape", distributions, build.integers(0, 4, REG_MAX, -1))
    weighed = build.op(
        "Mul",
        build.op("Softmax", bins, axis=2),
        build.constant(np.arange(REG_MAX).reshape(1, 1, REG_MAX, 1), np.float32),
    )
    ltrb = build.op("ReduceSum", weighed, build.integers(2), keepdims=0)  # (B, 4, A)
    points, strides = _points(build, logits, size_hw)
    low, high = build.ops("Split", build.op("Mul", ltrb, strides), number=2, axis=1, num_outputs=2, name="sides")
    corners = build.op("Concat", build.op("Sub", points, low), build.op("Add", points, high), axis=1)
    boxes = build.op("Transpose", corners, perm=[0, 2, 1])
    return boxes, build.op("Transpose", build.op("Sigmoid", class_logits), perm=[0, 2, 1])


def _points(build: Builder, logits: Sequence[str], size_hw: tuple[int, int] | None) -> tuple[str, str]:
    """Anchor points (2, A) and their strides (1, A)."""
    if size_hw is not None:
        sizes = [(size_hw[0] // stride, size_hw[1] // stride) for stride in STRIDES]
        points, strides = anchor_points(sizes, STRIDES)
        return (
            build.constant(points.numpy().T, np.float32, "anchor_points"),
            build.constant(strides.numpy()[None], np.float32, "anchor_strides"),
        )
    levels = [_points_of_level(build, level, stride) for level, stride in zip(logits, STRIDES, strict=True)]
    return tuple(build.op("Concat", *parts, axis=1) for parts in zip(*levels, strict=True))  # type: ignore[return-value]


def _points_of_level(build: Builder, level: str, stride: int) -> tuple[str, str]:
    """The same for one level whose size is known only when it runs."""
    one, half, step = (build.constant(value, np.float32) for value in (1.0, 0.5, float(stride)))
    rows, columns = build.ops(
        "Split", build.op("Shape", level, start=2), build.integers(1, 1), number=2, axis=0, name="size"
    )
    shape = build.op("Concat", rows, columns, axis=0)

    def centres(length: str, axes: list[int]) -> str:
        number = build.cast(build.op("Squeeze", length, build.integers(0)), np.float32)
        cells = build.op("Range", build.constant(0.0, np.float32), number, one)
        side = build.op("Mul", build.op("Add", cells, half), step)
        grid = build.op("Expand", build.op("Unsqueeze", side, build.constant(axes, np.int64)), shape)
        return build.op("Reshape", grid, build.integers(1, -1))

    x, y = centres(columns, [0]), centres(rows, [1])
    strides = build.op("Add", build.op("Mul", x, build.constant(0.0, np.float32)), step)
    return build.op("Concat", x, y, axis=0), strides


def write_detections(
    build: Builder, boxes: str, scores: str, classes: int, thresholds: Thresholds
) -> tuple[str, str, str, str]:
    """Add non-maximum suppression of one image, as `detection.nms` does it.

    Args:
        build: the graph.
        boxes: (1, A, 4).
        scores: (1, A, classes).
        classes: how many.
        thresholds: which detections are kept.

    Returns:
        Names of boxes (N, 4), scores (N,), labels (N,) and image_index (N,), best first.
    """
    best = build.op("ArgMax", scores, axis=2, keepdims=1)  # (1, A, 1)
    own = build.op("Equal", best, build.constant(np.arange(classes).reshape(1, 1, -1), np.int64))
    alone = build.op("Where", own, scores, build.constant(0.0, np.float32))
    chosen = build.op(
        "NonMaxSuppression",
        boxes,
        build.op("Transpose", alone, perm=[0, 2, 1]),
        build.integers(thresholds.max_det),
        build.constant([thresholds.iou], np.float32),
        build.constant([thresholds.conf], np.float32),
    )  # (N, 3): image, class, box
    points = build.op("Squeeze", _column(build, chosen, 2), build.integers(1))
    kept = build.op("Squeeze", build.op("ReduceMax", scores, build.integers(2), keepdims=0), build.integers(0))
    kept = build.op("Gather", kept, points)
    most = build.op("Min", build.op("Shape", kept), build.integers(thresholds.max_det))
    ordered, order = build.ops("TopK", kept, most, number=2, axis=0, name="best")
    flat = build.op("Squeeze", boxes, build.integers(0))
    found = build.op("Gather", flat, build.op("Gather", points, order))
    labels, images = (
        build.op("Gather", build.op("Squeeze", _column(build, chosen, c), build.integers(1)), order) for c in (1, 0)
    )
    return found, ordered, labels, images


def _column(build: Builder, table: str, column: int) -> str:
    return build.op("Gather", table, build.integers(column), axis=1)
