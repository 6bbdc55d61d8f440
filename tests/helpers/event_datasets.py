"""Small event data sets on disk for tests."""

from pathlib import Path

import numpy as np
from tests.helpers.recordings import random_events

from spikeyolo.data.events.labels import BOX_DTYPE, write_boxes
from spikeyolo.events import write_dat

SIZE_HW = (64, 96)


def boxes_of(*rows):
    """(t, x, y, w, h, class) each."""
    boxes = np.zeros(len(rows), BOX_DTYPE)
    for place, (t, x, y, w, h, label) in enumerate(rows):
        boxes[place] = (t, x, y, w, h, label, place, 1.0)
    return boxes


def write_recording(folder: Path, name: str, boxes=None, *, seed=0, end_us=300_000, count=4000, size_hw=SIZE_HW):
    """NAME_td.dat and, if given, NAME_bbox.npy."""
    folder.mkdir(parents=True, exist_ok=True)
    write_dat(folder / f"{name}_td.dat", [random_events(count, end_us, size_hw, seed)], size_hw)
    if boxes is not None:
        write_boxes(folder / f"{name}_bbox.npy", boxes)
    return folder / f"{name}_td.dat"


def write_data_set(root: Path, more: str = "") -> Path:
    """Two recordings to train on, one to validate on and one to test; the data.yaml."""
    for number, (split, name) in enumerate((("train", "a"), ("train", "b"), ("val", "c"), ("test", "d"))):
        rows = [(100_000, 10, 8, 30, 24, 0), (100_000, 50, 20, 20, 30, 1), (200_000, 12 + number, 9, 30, 24, 0)]
        write_recording(root / split, name, boxes_of(*rows), seed=number)
    file = root / "data.yaml"
    file.write_text(f"format: prophesee\ntrain: train\nval: val\ntest: test\nnames: [car, person]\n{more}")
    return file
