"""Recordings in which what is to be found stands still before it is labelled, and gives no events meanwhile.

Windows that are shorter than that hold nothing of it but noise: it is found by whoever remembers.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..data.events.labels import BOX_DTYPE, write_boxes
from ..events import Events, write_dat

SIDE = 24
"""Of the squares, in pixels, on a sensor of 64 x 64."""

SIZE_HW = (64, 64)
LABEL_US, FLICKER_US, EVENTS, NOISE = 160_000, (30_000, 110_000), 3000, 100


def write_still_objects(
    root: str | os.PathLike[str], seed: int = 0, train: int = 24, val: int = 8, places: int = 2
) -> Path:
    """Write a data set of squares, one after the other at places drawn at random, each labelled once.

    Each flickers from 30 to 110 ms after the label of the one before, and then, for 50 ms, does not. A few events lie
    anywhere.

    Args:
        root: the folder; what it holds under the same names is replaced.
        seed: of all recordings.
        train: recordings to train on.
        val: recordings to evaluate on.
        places: squares of a recording, each 160 ms long.

    Returns:
        The path of `data.yaml`.
    """
    root = Path(root)
    for number, (split, count) in enumerate((("train", train), ("val", val))):
        (root / split).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            rng = np.random.default_rng((seed, number, index))
            events, boxes = _recording(rng, places)
            write_dat(root / split / f"{index:03d}_td.dat", [events], SIZE_HW)
            write_boxes(root / split / f"{index:03d}_bbox.npy", boxes)
    file = root / "data.yaml"
    file.write_text("format: prophesee\ntrain: train\nval: val\nnames: [square]\nprotocol: gen1\n")
    return file


def _recording(rng: np.random.Generator, places: int) -> tuple[Events, np.ndarray]:
    """The events and labels of one recording."""
    noise = places * NOISE
    parts = [[rng.integers(0, places * LABEL_US, noise), *(rng.integers(0, side, noise) for side in SIZE_HW[::-1])]]
    boxes = np.zeros(places, BOX_DTYPE)
    for number in range(places):
        left, top = rng.integers(0, np.array(SIZE_HW[::-1]) - SIDE)
        low, high = (number * LABEL_US + edge for edge in FLICKER_US)
        inside = [rng.integers(start, start + SIDE, EVENTS) for start in (left, top)]
        parts.append([rng.integers(low, high, EVENTS), *inside])
        boxes[number] = ((number + 1) * LABEL_US, left, top, SIDE, SIDE, 0, number, 1)
    t_us, x, y = (joined := np.concatenate(parts, axis=1))[:, np.argsort(joined[0], kind="stable")]
    polarity = rng.integers(0, 2, len(t_us)).astype(np.uint8)
    return Events(t_us, x.astype(np.uint16), y.astype(np.uint16), polarity), boxes
