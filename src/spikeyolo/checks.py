"""What tensors that belong together must be; checked where they are made."""

from __future__ import annotations

from typing import Any

from torch import Tensor, int8, int16, int64

from .errors import ShapeError

WHOLE_NUMBERS = (int8, int16)
"""Types of event frames that hold what they say, such as counts; in uint8 255 stands for 1."""


def expect(condition: bool, what: str) -> None:
    """Raise ShapeError unless something holds."""
    if not condition:
        raise ShapeError(what)


def check_boxes(owner: str, boxes: Tensor) -> None:
    """Raise ShapeError unless boxes are floating point (N, 4)."""
    expect(
        boxes.ndim == 2 and boxes.shape[1] == 4 and boxes.is_floating_point(),
        f"{owner}.boxes: expected floating point (N, 4) xyxy, got {boxes.dtype} {tuple(boxes.shape)}",
    )


def check_column(owner: str, name: str, value: Tensor, length: int, integer: bool) -> None:
    """Raise ShapeError unless a column has a number, of the right kind, for each box."""
    kind = "int64" if integer else "floating point"
    right_kind = value.dtype == int64 if integer else value.is_floating_point()
    expect(
        value.shape == (length,) and right_kind,
        f"{owner}.{name}: expected {kind} ({length},) beside {length} boxes, got {value.dtype} {tuple(value.shape)}",
    )


def changed(value: Any, **changes: Any) -> Any:
    """Return a copy of a dataclass with some fields replaced, without the checks: they held for the original."""
    copy = object.__new__(type(value))
    copy.__dict__.update(value.__dict__, **changes)
    return copy
