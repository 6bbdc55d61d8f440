from dataclasses import replace

import numpy as np
import pytest
import yaml

from spikeyolo.data.events.labels import BOX_DTYPE
from spikeyolo.errors import ConfigError, WriteError
from spikeyolo.events import EventInput, Events
from spikeyolo.synthetic.event_camera import CameraConfig
from spikeyolo.synthetic.event_scene import EVENT_CLASSES, EventDifficulty
from spikeyolo.synthetic.event_stream import noise_stream
from spikeyolo.synthetic.recordings import (
    EVENT_INPUT,
    RecordingsConfig,
    event_recording,
    recordings_complete,
    write_recordings,
    write_reordered,
)

CONFIG = RecordingsConfig(seed=5, train=2, val=1, test=1, size_hw=(48, 64), duration_us=200_000)


@pytest.fixture
def stand_in_writers(monkeypatch):
    """Writers of a few lines: what is tested here is what is written where, not the format."""

    def write_dat(path, chunks, sensor_size_hw):
        chunks = list(chunks)
        assert sensor_size_hw == (48, 64)
        with open(path, "wb") as file:
            for name in ("t_us", "x", "y", "polarity"):
                np.save(file, np.concatenate([getattr(chunk, name) for chunk in chunks]))

    monkeypatch.setattr("spikeyolo.synthetic.recordings.write_dat", write_dat)
    monkeypatch.setattr("spikeyolo.synthetic.recordings.write_boxes", np.save)


def joined(chunks):
    chunks = list(chunks)
    return Events(*(np.concatenate([getattr(c, name) for c in chunks]) for name in ("t_us", "x", "y", "polarity")))


def contents(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_recording_is_in_order_on_the_sensor_and_labelled_at_the_interval():
    config = replace(CONFIG, classes=EVENT_CLASSES, duration_us=500_000)
    for index in range(3):
        chunks, boxes = event_recording(config, "train", index)
        events = joined(chunks)
        assert len(events) > 1000
        assert (np.diff(events.t_us) >= 0).all()
        assert 0 <= events.t_us[0] <= events.t_us[-1] <= 500_000
        assert events.t_us[-1] > 490_000
        assert events.x.max() == 63
        assert events.y.max() == 47
        assert 0.3 < events.polarity.mean() < 0.7
        assert boxes.dtype == BOX_DTYPE
        assert set(boxes["t"].tolist()) <= set(range(50_000, 500_001, 50_000))
        assert (boxes["x"] + boxes["w"] <= 64).all()
        assert (boxes["y"] + boxes["h"] <= 48).all()
        # One class a track, and a track once an instant.
        for track in set(boxes["track_id"].tolist()):
            part = boxes[boxes["track_id"] == track]
            assert len(set(part["class_id"].tolist())) == 1
            assert len(set(part["t"].tolist())) == len(part)


def test_class_ids_are_indices_of_the_chosen_names():
    config = replace(CONFIG, classes=("wheel counterclockwise",), difficulty=EventDifficulty(objects=3))
    _, boxes = event_recording(config, "val", 0)
    assert set(boxes["class_id"].tolist()) == {0}


def test_recordings_differ_and_the_same_one_is_the_same():
    first, again = (joined(event_recording(CONFIG, "train", 0)[0]) for _ in range(2))
    for name in ("t_us", "x", "y", "polarity"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    for split, index, config in (
        ("train", 1, CONFIG),
        ("val", 0, CONFIG),
        ("train", 0, replace(CONFIG, seed=6)),
    ):
        other = joined(event_recording(config, split, index)[0])
        assert len(other) != len(first) or (other.x != first.x).any()


@pytest.mark.usefixtures("stand_in_writers")
def test_layout_and_description(tmp_path):
    seen = []
    file = write_recordings(tmp_path / "made", CONFIG, lambda done, total: seen.append((done, total)))
    assert seen == [(done, 4) for done in range(1, 5)]
    described = yaml.safe_load(file.read_text())
    assert EventInput.of(described.pop("preparation")) == EVENT_INPUT
    assert described == {
        "format": "prophesee",
        "path": ".",
        "train": "train",
        "val": "val",
        "test": "test",
        "names": dict(enumerate(CONFIG.classes)),
    }
    names = ("train/0000", "train/0001", "val/0000", "test/0000")
    expected = {f"{name}{suffix}" for name in names for suffix in ("_td.dat", "_bbox.npy")}
    assert set(contents(file.parent)) == {*expected, "data.yaml", "generated.json"}
    shuffled = yaml.safe_load(write_reordered(file, "shuffled").read_text())
    assert EventInput.of(shuffled.pop("preparation")) == replace(EVENT_INPUT, order="shuffled")
    assert shuffled == described
    chunks, boxes = event_recording(CONFIG, "train", 1)
    np.testing.assert_array_equal(np.load(file.parent / "train" / "0001_bbox.npy"), boxes)
    with open(file.parent / "train" / "0001_td.dat", "rb") as written:
        np.testing.assert_array_equal(np.load(written), joined(chunks).t_us)


@pytest.mark.usefixtures("stand_in_writers")
def test_whole_folder_is_kept_a_damaged_or_other_one_is_made_again(tmp_path):
    root = tmp_path / "made"
    write_recordings(root, CONFIG)
    before, stamp = contents(root), (root / "data.yaml").stat().st_mtime_ns
    write_recordings(root, CONFIG)
    assert (root / "data.yaml").stat().st_mtime_ns == stamp
    (root / "val" / "0000_bbox.npy").unlink()
    assert not recordings_complete(root, CONFIG)
    write_recordings(root, CONFIG)
    assert contents(root) == before
    fewer = replace(CONFIG, train=1)
    assert not recordings_complete(root, fewer)
    write_recordings(root, fewer)
    after = contents(root)
    assert set(after) < set(before)
    assert all(after[name] == before[name] for name in after if name != "generated.json")


@pytest.mark.usefixtures("stand_in_writers")
def test_interrupted_writing_leaves_no_folder_and_one_of_somebody_else_is_left_alone(tmp_path):
    def interrupt(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_recordings(tmp_path / "made", CONFIG, interrupt)
    assert not (tmp_path / "made").exists()
    write_recordings(tmp_path / "made", CONFIG)
    assert [p.name for p in tmp_path.iterdir()] == ["made"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not delete")
    with pytest.raises(WriteError, match=r"exists and holds thesis\.txt"):
        write_recordings(tmp_path / "mine", CONFIG)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "do not delete"


def test_files_hold_the_events_by_the_published_layout(tmp_path):
    """Decoded by hand: header lines that begin with %, two bytes, then u32 time and u32 of x, y and polarity."""
    file = write_recordings(tmp_path / "made", CONFIG)
    data = (file.parent / "train" / "0000_td.dat").read_bytes()
    while data.startswith(b"%"):
        data = data[data.index(b"\n") + 1 :]
    assert data[1] == 8
    records = np.frombuffer(data[2:], dtype="<u4").reshape(-1, 2)
    events = joined(event_recording(CONFIG, "train", 0)[0])
    np.testing.assert_array_equal(records[:, 0], events.t_us)
    np.testing.assert_array_equal(records[:, 1] & 0x3FFF, events.x)
    np.testing.assert_array_equal(records[:, 1] >> 14 & 0x3FFF, events.y)
    np.testing.assert_array_equal(records[:, 1] >> 28 & 1, events.polarity)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": -1},
        {"train": 0},
        {"val": 0},
        {"test": 0},
        {"size_hw": (128, 16)},
        {"duration_us": 0},
        {"label_every_us": 0},
        {"images_hz": 0.0},
        {"classes": ()},
        {"classes": ("square", "square")},
        {"classes": ("car",)},
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        RecordingsConfig(**wrong)


def test_noise_stream_has_the_number_of_events_asked_for_in_order_and_in_chunks():
    chunks = list(noise_stream(100_003, 1_000_001, (5, 7), seed=1, chunk_us=30_000))
    assert len(chunks) == 34
    assert max(map(len, chunks)) <= 3001
    events = joined(chunks)
    assert len(events) == 100_003
    assert (np.diff(events.t_us) >= 0).all()
    assert 0 <= events.t_us[0] <= events.t_us[-1] < 1_000_001
    pixel = np.bincount(events.y.astype(int) * 7 + events.x, minlength=35)
    assert pixel == pytest.approx(np.full(35, len(events) / 35), abs=5 * np.sqrt(len(events) / 35))
    assert events.polarity.mean() == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(len(events)))
    again = joined(noise_stream(100_003, 1_000_001, (5, 7), seed=1, chunk_us=30_000))
    np.testing.assert_array_equal(again.x, events.x)
    assert next(iter(noise_stream())).t_us.max() < 10_000


def test_noise_of_the_camera_is_in_recordings():
    quiet, noisy = (
        sum(len(e) for e in event_recording(replace(CONFIG, camera=CameraConfig(noise_hz=hz)), "train", 0)[0])
        for hz in (0.0, 100.0)
    )
    expected = 100 * 48 * 64 * 0.2
    assert noisy - quiet == pytest.approx(expected, abs=5 * np.sqrt(expected))
