"""What stands still for longer than a window gives no events in it: only a network that follows recordings finds it."""

from __future__ import annotations

import numpy as np
import pytest
from tests.helpers.event_datasets import boxes_of
from tests.helpers.runs import rows_of

from spikeyolo.data.events.labels import write_boxes
from spikeyolo.events import Events, write_dat
from spikeyolo.training.run import train
from spikeyolo.training.settings import TrainSettings

SIDE, STILL_US, LABEL_US = 24, 130_000, 160_000


def write_still(folder, name, seed):
    """Twice a square that flickers, and from 30 ms before its label on does not; a few events lie anywhere."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    noise = np.stack([rng.integers(0, 2 * LABEL_US, 200), rng.integers(0, 64, 200), rng.integers(0, 64, 200)])
    parts, rows = [noise], []
    for start in (0, LABEL_US):
        left, top = rng.integers(0, 64 - SIDE, 2)
        places = [rng.integers(low, low + SIDE, 3000) for low in (left, top)]
        parts.append(np.stack([rng.integers(start + 40_000, start + STILL_US, 3000), *places]))
        rows.append((start + LABEL_US, left, top, SIDE, SIDE, 0))
    t_us, x, y = (joined := np.concatenate(parts, axis=1))[:, np.argsort(joined[0], kind="stable")]
    polarity = rng.integers(0, 2, len(t_us)).astype("u1")
    write_dat(folder / f"{name}_td.dat", [Events(t_us, x.astype("u2"), y.astype("u2"), polarity)], (64, 64))
    write_boxes(folder / f"{name}_bbox.npy", boxes_of(*rows))


@pytest.mark.long
def test_followed_recordings_show_where_things_stand_still_and_windows_do_not(tmp_path):
    """Windows of 20 ms, of which labels are 30 ms after the last event; as many steps of as many rows."""
    for split, count in (("train", 24), ("val", 8)):
        for number in range(count):
            write_still(tmp_path / split, f"r{number}", number + (100 if split == "val" else 0))
    data = tmp_path / "data.yaml"
    data.write_text("format: prophesee\ntrain: train\nval: val\nnames: [square]\n")
    found = {}
    for sequence in (None, 16):
        settings = TrainSettings(
            data=str(data),
            model="t-gen1",
            epochs=20,
            batch=4,
            nominal_batch=4,
            optimizer="adamw",
            lr=0.003,
            momentum=0.9,
            weight_decay=0.01,
            warmup_epochs=0.5,
            ema_decay=0.9,
            ema_ramp=20,
            val_every=20,
            workers=0,
            device="cpu",
            window_us=20_000,
            sequence=sequence,
            event_augmentation={"zoom": 0.0, "drop": 0.0},
        )
        row = rows_of(train(settings, tmp_path / f"run{sequence}").path)[-1]
        assert row["step"] == "240"
        found[sequence] = float(row["AP50"])
    assert found[16] > 0.4 > 0.2 > found[None], found
