"""What an event camera gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import ShapeError

COLUMNS = {"t_us": np.int64, "x": np.uint16, "y": np.uint16, "polarity": np.uint8}


@dataclass(frozen=True)
class Events:
    """Events in the order of time, one entry of each column an event.

    Attributes:
        t_us: (N,) int64 microseconds since the start of the recording, never falling.
        x: (N,) uint16 column of the pixel.
        y: (N,) uint16 row of the pixel.
        polarity: (N,) uint8, 1 where the pixel became brighter, 0 where darker.

    Raises:
        ShapeError: columns of different lengths, or of other types.
    """

    t_us: np.ndarray
    x: np.ndarray
    y: np.ndarray
    polarity: np.ndarray

    def __post_init__(self) -> None:
        for name, dtype in COLUMNS.items():
            column = getattr(self, name)
            if column.dtype != dtype or column.shape != (len(self.t_us),):
                raise ShapeError(
                    f"Events.{name}: expected {np.dtype(dtype)} ({len(self.t_us)},), got {column.dtype} {column.shape}"
                )

    def __len__(self) -> int:
        return len(self.t_us)

    def __getitem__(self, part: slice | np.ndarray) -> Events:
        """Return the events of a slice, or where a mask is True."""
        return Events(self.t_us[part], self.x[part], self.y[part], self.polarity[part])

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return sum(getattr(self, name).nbytes for name in COLUMNS)

    @classmethod
    def empty(cls) -> Events:
        """No events."""
        return cls(*(np.zeros(0, dtype) for dtype in COLUMNS.values()))
