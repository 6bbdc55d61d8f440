"""Recordings in RVT's layout, read back by our own reader of it."""

import numpy as np
import pytest
from tests.helpers.event_datasets import boxes_of, write_data_set, write_recording

from spikeyolo.data.events.rvt import open_rvt
from spikeyolo.data.events.rvt_export import RvtFormat, export_recording, export_split
from spikeyolo.data.open import open_data
from spikeyolo.errors import ConfigError
from spikeyolo.events import open_recording, stacked_histogram
from spikeyolo.files import MARK

pytest.importorskip("hdf5plugin", reason="needs the extra 'events'")


def test_frames_and_labels_of_a_split(tmp_path):
    data = open_data(write_data_set(tmp_path / "set"))
    told = []
    written = export_split(data, "train", tmp_path / "out", progress=lambda *done: told.append(done))
    assert [(p.folder.name, p.frames, p.left_out) for p in written] == [("a", 5, 0), ("b", 5, 0)]
    assert told[0] == (0, 2)
    assert told[-1] == (2, 2)
    sequence = open_rvt(tmp_path / "out" / "train" / "b")
    assert sequence.end_us.tolist() == list(range(50_000, 250_001, 50_000))  # whole windows alone
    assert sequence.label_frames.tolist() == [1, 3]
    assert sequence.boxes["x"].tolist() == [10, 50, 13]
    events = open_recording(tmp_path / "set" / "train" / "b_td.dat").window(150_000, 200_000)
    expected = stacked_histogram(events, 150_000, 200_000, (64, 96), 1)[0]
    np.testing.assert_array_equal(sequence.frames(3, 4)[0], expected)
    assert expected.sum() > 100


def test_what_is_there_stays_and_what_is_half_written_goes(tmp_path):
    data = open_data(write_data_set(tmp_path / "set"))
    export_split(data, "train", tmp_path / "out")
    kept = (tmp_path / "out" / "train" / "a").stat().st_mtime_ns
    half = tmp_path / "out" / "train" / ".b.0123abcd"
    (tmp_path / "out" / "train" / "b").rename(half)
    (half / MARK).write_bytes(b"")  # of a process that is gone
    users = tmp_path / "out" / "train" / ".notes.partial"
    users.mkdir()
    written = export_split(data, "train", tmp_path / "out", workers=2)
    assert [p.folder.name for p in written] == ["b"]
    assert (tmp_path / "out" / "train" / "a").stat().st_mtime_ns == kept
    assert not half.exists()
    assert users.exists()


def test_labels_decide_where_windows_end_and_those_between_are_counted(tmp_path):
    boxes = boxes_of((33_000, 1, 1, 9, 9, 0), (83_400, 1, 1, 9, 9, 0), (83_100, 2, 1, 9, 9, 0), (99_000, 3, 1, 9, 9, 0))
    boxes = np.sort(boxes, order="t")
    path = write_recording(tmp_path, "a")
    prepared = export_recording(path, boxes, (64, 96), tmp_path / "out", RvtFormat())
    assert prepared.left_out == 2  # 83.4 ms beside the nearer 83.1 ms; 99 ms
    sequence = open_rvt(tmp_path / "out")
    assert sequence.end_us.tolist() == [33_000 + 50_000 * k for k in range(6)]
    assert sequence.boxes["t"].tolist() == [33_000, 83_100]
    assert sequence.label_frames.tolist() == [0, 1]


def test_halved_frames_hold_all_events_below_the_cutoff(tmp_path):
    path = write_recording(tmp_path, "a", count=2000)
    config = RvtFormat(step_us=100_000, bins=5, cutoff=255, downscale=2)
    boxes = boxes_of((100_000, 10, 8, 30, 24, 0))
    export_recording(path, boxes, (64, 96), tmp_path / "out", config)
    sequence = open_rvt(tmp_path / "out", "stacked_histogram_dt=100_nbins=5")
    assert sequence.shape == (2, 10, 32, 48)
    assert sequence.frames(0, 2).sum() == len(open_recording(path).window(0, 200_000))
    assert sequence.boxes["x"].tolist() == [5]


def test_a_recording_without_labels_or_events(tmp_path):
    path = write_recording(tmp_path, "a", count=0)
    prepared = export_recording(path, boxes_of(), (64, 96), tmp_path / "out", RvtFormat())
    assert prepared.frames == 1
    assert not open_rvt(tmp_path / "out").frames(0, 1).any()


@pytest.mark.parametrize("change", [{"step_us": 1500}, {"downscale": 4}, {"bins": 0}, {"cutoff": 256}])
def test_values_out_of_range(change):
    with pytest.raises(ConfigError, match=next(iter(change))):
        RvtFormat(**change)
