"""In what type frames go to the network: counts of events as few bytes."""

from __future__ import annotations

import numpy as np

COUNTS = (np.int8, np.int16)  # in which whole numbers go to the network


def narrow(frames: np.ndarray) -> np.ndarray:
    """Return frames in the narrowest type that holds them and tells what they are; no value changes.

    Whole numbers become int8, int16 where one does not fit, and float32 where that does not hold one either. Never
    uint8, which is for grey values: of these 255 stands for 1. What is not of an integer type becomes float32.
    """
    if frames.dtype.kind not in "iu":
        return frames.astype(np.float32, copy=False)
    dtype = type_of(int(frames.min(initial=0)), int(frames.max(initial=0)))
    return frames.view(dtype) if (frames.dtype, dtype) == (np.uint8, np.int8) else frames.astype(dtype, copy=False)


def type_of(low: int, high: int) -> np.dtype:
    """Return the narrowest type that holds whole numbers from one to another."""
    for kind in COUNTS:
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return np.dtype(kind)
    return np.dtype(np.float32)
