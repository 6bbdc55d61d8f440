"""What stands still for longer than a window gives no events in it: only a network that follows recordings finds it."""

from __future__ import annotations

import pytest
from tests.helpers.runs import rows_of
from tests.helpers.scripts import load_script

from spikeyolo.synthetic.still_objects import write_still_objects
from spikeyolo.training.run import train


@pytest.mark.long
def test_followed_recordings_show_where_things_stand_still_and_windows_do_not(tmp_path):
    """Windows of 40 ms, of which labels are 50 ms after the last event; as many steps of as many rows.

    By the settings of `benchmarks/still_objects.py`, which does so for several seeds.
    """
    script = load_script("benchmarks/still_objects.py")
    data = write_still_objects(tmp_path, train=12, val=10, places=8)
    found = {}
    for name, sequence in script.TRAINED.items():
        run = train(script.settings_of(data, sequence, seed=0, epochs=6), tmp_path / name)
        row = rows_of(run.path)[-1]
        assert row["step"] == "144"
        found[name] = float(row["AP50"])
    assert found["sequences"] > 0.4 > 0.2 > found["windows"], found
