"""What stands still for longer than a window gives no events in it: only a network that follows recordings finds it."""

from __future__ import annotations

import pytest
from tests.helpers.runs import rows_of

from spikeyolo.synthetic.still_objects import write_still_objects
from spikeyolo.training.run import train
from spikeyolo.training.settings import TrainSettings


@pytest.mark.long
def test_followed_recordings_show_where_things_stand_still_and_windows_do_not(tmp_path):
    """Windows of 40 ms, of which labels are 50 ms after the last event; as many steps of as many rows.

    `benchmarks/still_objects.py` is the same for several seeds.
    """
    data = write_still_objects(tmp_path, train=12, val=10, places=8)
    found = {}
    for sequence in (None, 8):
        settings = TrainSettings(
            data=str(data),
            model="t-gen1",
            epochs=6,
            batch=4,
            nominal_batch=4,
            optimizer="adamw",
            lr=0.003,
            momentum=0.9,
            weight_decay=0.01,
            warmup_epochs=0.5,
            ema_decay=0.9,
            ema_ramp=20,
            val_every=6,
            workers=0,
            device="cpu",
            window_us=40_000,
            sequence=sequence,
            event_augmentation={"zoom": 0.0, "drop": 0.0},
        )
        row = rows_of(train(settings, tmp_path / f"run{sequence}").path)[-1]
        assert row["step"] == "144"
        found[sequence] = float(row["AP50"])
    assert found[8] > 0.4 > 0.2 > found[None], found
