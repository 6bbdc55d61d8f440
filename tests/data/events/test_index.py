"""Event data sets: their description, the index of labelled instants, and what is said about bad files."""

import os

import numpy as np
import pytest
from tests.helpers.event_datasets import SIZE_HW, boxes_of, write_data_set, write_recording
from tests.helpers.index_caches import kept_index

from spikeyolo.data.events import frame_sources
from spikeyolo.data.events.columns import corners
from spikeyolo.data.events.labels import write_boxes
from spikeyolo.data.open import open_data
from spikeyolo.errors import ConfigError, DataError


@pytest.fixture
def data(tmp_path):
    return write_data_set(tmp_path / "set")


def load(file, split="train", **more):
    return open_data(file).split(split, progress=False, **more)


def test_instants_and_their_boxes(data):
    index = load(data)
    assert [path.name for path in index.recordings] == ["a_td.dat", "b_td.dat"]
    assert index.sensor_size_hw == SIZE_HW
    assert index.recording.tolist() == [0, 0, 1, 1]
    assert index.t_us.tolist() == [100_000, 200_000] * 2
    boxes, labels = index.objects(0)
    assert boxes.tolist() == [[10, 8, 40, 32], [50, 20, 70, 50]]
    assert labels.tolist() == [0, 1]
    assert index.objects(3)[0].tolist() == [[13, 9, 43, 33]]
    assert corners(index.labels_of(1))[2].tolist() == [13, 9, 43, 33]
    assert index.findings == ()


def same(one, other):
    for name in ("recording", "t_us", "starts", "boxes", "durations_us"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    return (one.recordings, one.names, one.findings) == (other.recordings, other.names, other.findings)


def test_the_index_is_kept_and_a_changed_file_is_noticed(data, monkeypatch):
    first = load(data)
    opened = []
    original = frame_sources.read_boxes
    monkeypatch.setattr(frame_sources, "read_boxes", lambda path: opened.append(path.name) or original(path))
    assert same(load(data), first)
    assert opened == []
    file = data.parent / "train" / "b_bbox.npy"
    write_boxes(file, boxes_of((150_000, 1, 1, 9, 9, 1)))
    assert load(data).t_us.tolist() == [100_000, 200_000, 150_000]
    assert opened == ["a_bbox.npy", "b_bbox.npy"]
    write_recording(data.parent / "train", "e", boxes_of((50_000, 1, 1, 9, 9, 0)))
    assert len(load(data)) == 4
    stat = file.stat()
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    opened.clear()
    assert len(load(data)) == 4
    assert len(opened) == 3


def test_a_damaged_cache_is_read_anew_and_a_locked_folder_costs_only_time(data):
    first = load(data)
    kept = kept_index(data)
    kept.write_bytes(kept.read_bytes()[:100])
    assert same(load(data), first)
    kept.unlink()
    kept.parent.rmdir()
    kept.parent.write_text("in the way")
    assert same(load(data), first)
    assert kept_index(data).is_relative_to(os.environ["XDG_CACHE_HOME"])


def test_cache_holds_less_than_100_bytes_a_labelled_instant(tmp_path):
    folder = tmp_path / "train"
    rng = np.random.default_rng(0)
    for number in range(4):
        rows = [
            (t, *rng.uniform(1, 40, 2), *rng.uniform(10, 20, 2), rng.integers(2)) for t in range(1000, 300_000, 1000)
        ]
        write_recording(folder, f"r{number}", boxes_of(*rows))
    file = tmp_path / "data.yaml"
    file.write_text("format: prophesee\ntrain: train\nnames: [car, person]\n")
    index = load(file)
    assert len(index) == 4 * 299
    assert kept_index(file).stat().st_size / len(index) < 100


BAD = {
    "boxes without a recording": lambda folder: (folder / "a_td.dat").unlink(),
    "a recording without boxes": lambda folder: (folder / "a_bbox.npy").unlink(),
    "beyond the sensor": lambda folder: write_boxes(folder / "a_bbox.npy", boxes_of((1000, 80, 1, 30, 20, 0))),
    "outside the recording's time": lambda folder: write_boxes(
        folder / "a_bbox.npy", boxes_of((5_000_000, 8, 1, 30, 20, 0))
    ),
    "zero size": lambda folder: write_boxes(folder / "a_bbox.npy", boxes_of((1000, 8, 1, 0, 20, 0))),
    "not finite": lambda folder: write_boxes(folder / "a_bbox.npy", boxes_of((1000, 8, 1, np.nan, 20, 0))),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_labels_are_named_by_file_and_the_rest_is_used(data, kind):
    BAD[kind](data.parent / "train")
    name = "a_td.dat" if kind == "a recording without boxes" else "a_bbox.npy"
    with pytest.warns(UserWarning, match=rf"^\S*{name}: .*{kind}") as warned:
        index = load(data)
    assert len(warned) == 1
    assert "\n" not in str(warned[0].message)
    assert index.labels_of(len(index.recordings) - 1)["t"].tolist() == [100_000, 100_000, 200_000]
    with pytest.warns(UserWarning, match=kind):
        load(data)  # from the cache too
    with pytest.raises(DataError, match=rf"{kind}.*strict"):
        load(data, strict=True)


def test_of_many_bad_files_some_are_named_and_the_rest_counted(data):
    for number in range(9):
        write_boxes(data.parent / "train" / f"n{number}_bbox.npy", boxes_of((1000, 8, 1, 9, 20, 0)))
    with pytest.warns(UserWarning, match="without a recording|more like these") as warned:
        load(data)
    lines = [str(warning.message) for warning in warned]
    assert len(lines) == 6
    assert lines[4].endswith("n4_bbox.npy: boxes without a recording: left out")
    assert lines[5].startswith("and 4 more like these; 'spikeyolo events info")


def test_boxes_of_classes_without_a_name_are_counted(data):
    write_boxes(data.parent / "train" / "a_bbox.npy", boxes_of((1000, 8, 1, 9, 20, 4), (1000, 8, 1, 9, 20, 1)))
    with pytest.warns(UserWarning, match=r"1 boxes of class ids without a name \(4\)"):
        assert load(data).boxes["class_id"].tolist()[:1] == [1]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: (f / "a_td.dat").write_bytes(b"PNG not events"), "a_td.dat: not a Prophesee .dat file"),
        (lambda f: [p.unlink() for p in f.iterdir()], "train: no recording with boxes: expected NAME_td.dat"),
        (lambda f: write_recording(f, "b", boxes_of((1, 1, 1, 9, 9, 0)), size_hw=(32, 32)), "b_td.dat: a sensor of"),
        (lambda f: (f / "a_bbox.npy").write_bytes(b"junk"), "a_bbox.npy: "),
    ],
)
def test_what_cannot_be_used_is_one_clear_line(data, spoil, said):
    spoil(data.parent / "train")
    with pytest.raises(DataError) as error:
        load(data)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_truncated_recording_is_used_up_to_its_last_whole_event(data):
    file = data.parent / "train" / "a_td.dat"
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.warns(UserWarning, match=r"a_td.dat: \d+ cut short"):
        assert len(load(data)) == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("format: coco\ntrain: train\nnames: [a]", "format: 'coco'"),
        ("format: prophesee\nnames: [a]", "no recordings named"),
        ("format: prophesee\ntrain: nowhere\nnames: [a]", "train: no such folder"),
        ("format: prophesee\ntrain: 3\nnames: [a]", "train: expected a path"),
        ("format: prophesee\ntrain: train", "no 'names'"),
        ("format: prophesee\ntrain: train\nnames: [a, a]", "'a' is named twice"),
        ("format: prophesee\ntrain: train\nnames: [a]\nprotocoll: gen1", "did you mean 'protocol'?"),
        ("format: prophesee\ntrain: train\nnames: [a]\nprotocol: gen2", "protocol: 'gen2' is not one of gen1"),
        (
            "format: prophesee\ntrain: train\nnames: [a]\npreparation: {window: 3}",
            "preparation.window: no such setting, did you mean 'window_us'?",
        ),
        ("format: prophesee\ntrain: train\nnames: [a]\nsensor_size_hw: 3", "sensor_size_hw: expected [rows, columns]"),
        ("format: prophesee\ntrain: train\ntrain: train\nnames: [a]", "the key 'train' is given twice"),
    ],
)
def test_mistakes_in_the_description_name_file_and_field(data, text, said):
    data.write_text(text)
    with pytest.raises((ConfigError, DataError)) as error:
        open_data(data)
    assert str(error.value).startswith(str(data))
    assert said in str(error.value)


def test_a_split_that_is_not_described(data):
    data.write_text("format: prophesee\ntrain: train\nnames: [car, person]\n")
    with pytest.raises(ConfigError, match=r"no split 'val' \(it has train\); add 'val:'"):
        load(data, "val")


def test_recordings_that_do_not_name_their_size_get_it_from_the_description(tmp_path):
    file = write_data_set(tmp_path, more="sensor_size_hw: [64, 96]\n")
    for path in tmp_path.rglob("*_td.dat"):
        path.write_bytes(path.read_bytes().replace(b"% Width 96\n% Height 64\n", b""))
    assert load(file).sensor_size_hw == (64, 96)
