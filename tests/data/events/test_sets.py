"""Public sets in the layouts that their documentation gives: what is written comes back, and what is broken is told."""

import shutil

import numpy as np
import pytest
from tests.helpers.event_sets import (
    DSEC_SIZE,
    ETRAM_SIZE,
    PEDRO_SIZE,
    ROWS,
    T_OFFSET,
    write_dsec,
    write_dsec_sequence,
    write_etram,
    write_pedro,
)
from tests.helpers.recordings import assert_equal, joined, random_events, windows

from spikeyolo.cli.main import main
from spikeyolo.data.known import from_anywhere, known_set, named_set, set_names
from spikeyolo.data.open import open_data
from spikeyolo.errors import ConfigError, DataError
from spikeyolo.events import is_recording, open_recording
from spikeyolo.events.event_input import EventInput
from spikeyolo.imaging.io import read_rgb

pytest.importorskip("h5py")
pytest.importorskip("hdf5plugin")

WRITERS = {
    "dsec": write_dsec,
    "etram": lambda root: f"etram={write_etram(root)}",
    "pedro": lambda root: f"pedro={write_pedro(root)}",
}
SIZES = {"dsec": DSEC_SIZE, "etram": ETRAM_SIZE, "pedro": PEDRO_SIZE}


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return {name: write(tmp_path_factory.mktemp(name)) for name, write in WRITERS.items()}


def corners_of(row):
    _, x, y, w, h, _ = row
    return [x, y, x + w, y + h]


@pytest.mark.parametrize("name", ["dsec", "etram"])
def test_boxes_and_their_times_come_back(sets, name):
    data = open_data(sets[name])
    for split in ("train", "val", "test"):
        index = data.split(split, strict=True, progress=False)
        assert index.sensor_size_hw == SIZES[name]
        for number in range(len(index.recordings)):
            instants = np.flatnonzero(index.recording == number)
            assert index.t_us[instants].tolist() == [100_000, 200_000]
            boxes, labels = index.objects(instants[0])
            assert boxes.tolist() == [corners_of(row) for row in ROWS[:2]]
            assert labels.tolist() == [0, 2]


@pytest.mark.parametrize("form", ["xml", "yolo"])
def test_samples_of_pedro_have_their_boxes_whatever_the_form(sets, form, tmp_path):
    root = sets["pedro"].partition("=")[2]
    file = tmp_path / "data.yaml"
    file.write_text(f"format: pedro\npath: {root}\ntrain: numpy/train\nnames: [person]\nlabels: {form}\n")
    index = open_data(file).split("train", strict=True, progress=False)
    np.testing.assert_allclose(index.objects(0)[0], [[40, 30, 120, 210], [140, 30, 220, 210]], atol=1e-4)
    recording = open_recording(index.recordings[0])
    assert (recording.start_us, len(recording.window(0, recording.duration_us))) == (0, 3000)
    assert index.t_us.tolist() == [recording.duration_us]
    sample = index.dataset(EventInput(window_us=40_400))[0]
    assert sample.frames.sum() == 3000


def test_real_samples_of_pedro_are_the_same_in_both_forms(shared_data, tmp_path):
    found = []
    for form in ("xml", "yolo"):
        file = tmp_path / f"{form}.yaml"
        root = shared_data / "events" / "pedro"
        file.write_text(f"format: pedro\npath: {root}\ntest: numpy/test\nnames: [person]\nlabels: {form}\n")
        found.append(open_data(file).split("test", strict=True, progress=False))
    assert len(found[0]) == len(found[0].recordings) == 4
    for instant in range(4):
        np.testing.assert_allclose(found[0].objects(instant)[0], found[1].objects(instant)[0], atol=0.01)


def test_events_of_dsec_come_back_by_its_table_and_with_a_wrong_one(tmp_path):
    events = random_events(5000, 200_000, DSEC_SIZE, seed=3)
    write_dsec_sequence(tmp_path / "right", events=events)
    wrong = {"shifted": 300, "zero": 0, "last": 5000}
    right = np.searchsorted(events.t_us, np.arange(200) * 1000)
    for name, value in wrong.items():
        table = np.clip(right + value, 0, 5000) if name == "shifted" else np.full(200, value)
        write_dsec_sequence(tmp_path / name, events=events, ms_to_idx=table)
    for name in ("right", *wrong):
        recording = open_recording(tmp_path / name / "events" / "left" / "events.h5")
        assert recording.sensor_size_hw == DSEC_SIZE
        assert recording.t_offset_us == T_OFFSET
        assert_equal(joined(part for _, part in windows(recording, 7_000)), events)


def test_ids_of_labels_become_classes_as_the_description_says(sets, tmp_path):
    file = tmp_path / "data.yaml"
    root = sets["dsec"].parent
    more = f"path: {root}\ntrain: train\nnames: [vehicle, person]\n"
    file.write_text(f"format: dsec\n{more}class_ids: {{2: vehicle, 3: vehicle, 0: person}}\n")
    index = open_data(file).split("train", strict=True, progress=False)
    assert len(index.recordings) == 2
    assert index.objects(0)[1].tolist() == [1, 0]
    wrong = {"{2: car}": "'car' is not among the names", "{300: person}": "300 is not an id", "[1]": "expected names"}
    for ids, said in wrong.items():
        file.write_text(f"format: dsec\n{more}class_ids: {ids}\n")
        with pytest.raises(ConfigError, match=rf"data.yaml: class_ids: {said}"):
            open_data(file)


def test_rvts_own_copies_of_the_recordings_have_their_labels(tmp_path):
    write_etram(tmp_path)
    folder = tmp_path / "HDF5" / "train_h5_1"
    (folder / "train_day_0001_td.h5").rename(folder / "train_day_0001_td.dat.h5")
    file = tmp_path / "data.yaml"
    file.write_text("format: prophesee\ntrain: HDF5/train_h5_1\nnames: [a, b, c]\n")
    assert len(open_data(file).split("train", strict=True, progress=False)) == 2


DSEC, SAMPLE, LABELS = "train/zurich_city_00_a", "numpy/train/frame0000000.npy", "xml/train/frame0000000.xml"


def written(path: str, content: bytes):
    return lambda root: (root / path).write_bytes(content)


def removed(pattern: str):
    return lambda root: [shutil.rmtree(path) for path in list(root.glob(pattern))]


def changed(old: str, new: str):
    return lambda root: (root / LABELS).write_text((root / LABELS).read_text().replace(old, new))


@pytest.mark.parametrize(
    ("name", "breaks", "said"),
    [
        ("dsec", written(f"{DSEC}/events/left/events.h5", b"x" * 99), r"events\.h5: not an HDF5"),
        ("dsec", written(f"{DSEC}/object_detections/left/tracks.npy", b"x"), r"tracks\.npy: cannot"),
        ("dsec", removed(f"{DSEC}/object_detections"), "a recording without boxes"),
        ("dsec", removed(DSEC), "train: no such folder"),
        ("etram", removed("HDF5/train_h5_2"), ""),
        ("etram", removed("HDF5/train*"), "train: no such folder .*; its folder must hold HDF5"),
        ("pedro", lambda root: np.save(root / SAMPLE, np.zeros((5, 3), int)), r"no events; expected \(N, 4\)"),
        ("pedro", written(SAMPLE, b"\x93NUMPY"), "cannot be read as a numpy file"),
        ("pedro", written(LABELS, b"<annotation>"), "cannot be read as PASCAL VOC"),
        ("pedro", changed("person", "dog"), "'dog' is not among the names"),
        ("pedro", changed("<xmin>40", "<xmin>a"), "its corners are no pixels"),
        ("pedro", changed("<ann", '<!DOCTYPE a [<!ENTITY b "c">]><ann'), "declares entities"),
        ("pedro", removed("xml"), "xml.train: no such folder; expected numpy/SPLIT"),
    ],
)
def test_what_is_broken_is_one_line(tmp_path, name, breaks, said, capsys):
    given = str(WRITERS[name](tmp_path))
    breaks(tmp_path)
    if not said:  # a part of a set that a pattern names may be all that is there
        assert len(open_data(given).split("train", progress=False).recordings) == 1
        return
    with pytest.raises(DataError, match=said) as caught:
        open_data(given).split("train", strict=True, progress=False)
    assert "\n" not in str(caught.value)


def test_two_recordings_of_one_name_are_refused(tmp_path):
    write_etram(tmp_path)
    shutil.copytree(tmp_path / "HDF5/train_h5_1", tmp_path / "HDF5/train_h5_3")
    with pytest.raises(DataError, match=r"train_day_0001_td\.h5 has the same name"):
        open_data(f"etram={tmp_path}").split("train", progress=False)


IN_INFO = {
    "dsec": ("zurich_city_16_a", "6 pedestrian, 3 car"),
    "etram": ("val_day_0001_td.h5", "8 pedestrian, 4 micro-mobility"),
    "pedro": ("frame0000001.npy", "4 person"),
}


def test_info_and_view_know_them(sets, tmp_path, monkeypatch, capsys):
    for name, given in sets.items():
        assert main(["events", "info", str(given)]) == 0
        said = capsys.readouterr().out
        assert all(part in said for part in IN_INFO[name])
    root = sets["dsec"].parent
    for words in (["--data", str(sets["dsec"])], []):  # without a data.yaml the layout tells where labels are
        out = tmp_path / f"{len(words)}.png"
        recording = root / "train/zurich_city_00_a/events/left/events.h5"
        more = ["--window-us", "100000", "--windows", "1", "--out", str(out)]
        assert main(["events", "view", str(recording), *more, *words]) == 0
        image = read_rgb(str(out))
        assert image.shape[:2] == DSEC_SIZE
        assert (image[50, 70:170] != [128, 128, 128]).any(axis=1).mean() > 0.9  # the upper side of the first box
        capsys.readouterr()
    monkeypatch.chdir(root / "train/zurich_city_00_a/events/left")
    assert main(["events", "info", "events.h5"]) == 0
    assert "2 class 0, 1 class 2" in capsys.readouterr().out
    assert main(["events", "info", str(root / "test")]) == 0  # a folder: the map beside the events is none
    said = capsys.readouterr().out
    assert "thun_01_a" in said
    assert "class 2" in said


def test_names_of_sets(tmp_path, monkeypatch, capsys):
    assert {"gen1", "1mpx", "dsec", "etram", "pedro", "coco"} <= set(set_names())
    for name in set_names():
        known = known_set(name)
        assert all("\n" not in text for text in (known.about, known.address, known.disk, known.layout))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPIKEYOLO_DATA", raising=False)
    assert named_set("gen1").root == tmp_path / "datasets" / "gen1"
    assert named_set("gen1=data").root == tmp_path / "data"
    monkeypatch.setenv("SPIKEYOLO_DATA", str(tmp_path / "all"))
    assert named_set("gen1").root == tmp_path / "all" / "gen1"
    assert named_set("gen1.yaml") is named_set("gen1=") is named_set("nothing=x") is None
    assert from_anywhere("gen1=data") == f"gen1={tmp_path / 'data'}" == from_anywhere(from_anywhere("gen1=data"))
    assert from_anywhere("data.yaml") == str(tmp_path / "data.yaml")
    (tmp_path / "gen1").write_text("a file of that name comes first")
    assert named_set("gen1") is None
    assert main(["val", "--weights", "x", "--data", "1mpx"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "Available from https://www.prophesee.ai" in said
    assert "NAME_td.dat" in said
    assert main(["val", "--weights", "x", "--data", "dsek"]) == 1
    assert "did you mean dsec?" in capsys.readouterr().err
    assert main(["data", "list"]) == 0
    assert "SpikeYOLO" not in (said := capsys.readouterr().out)
    assert all(name in said for name in set_names())


def test_the_splits_of_dsec_are_those_of_its_authors():
    """41, 6 and 13 sequences: https://github.com/uzh-rpg/dagr, src/dagr/data/dsec_split.yaml."""
    splits = {name: known_set("dsec").description[name] for name in ("train", "val", "test")}
    assert {name: len(set(those)) for name, those in splits.items()} == {"train": 41, "val": 6, "test": 13}
    assert not set(splits["train"]) & set(splits["val"])
    assert splits["val"][0] == "train/zurich_city_16_a"
    assert "test/thun_02_a" in splits["test"]


def test_the_index_of_a_named_set_is_kept_in_its_folder(tmp_path):
    root = write_pedro(tmp_path / "人")
    open_data(f"pedro={root}").split("val", progress=False)
    assert (root / ".spikeyolo_cache" / "pedro-val.npz").is_file()


def test_files_beside_recordings_are_none():
    assert [is_recording(name) for name in ("a_td.dat", "b.npy", "b_bbox.npy", "rectify_map.h5", "c.txt")] == [
        *(True, True, False, False, False)
    ]


@pytest.mark.long
@pytest.mark.parametrize("name", WRITERS)
def test_trained_measured_and_predicted_on(sets, name, tmp_path, capsys):
    data, run = str(sets[name]), tmp_path / "run"
    small = ["--model", "t", "--epochs", "1", "--batch", "1", "--workers", "0", "--device", "cpu"]
    assert main(["train", "--data", data, *small, "--out", str(run)]) == 0
    weights = str(run / "best.safetensors")
    assert main(["val", "--weights", weights, "--data", data, "--split", "test", "--workers", "0"]) == 0
    index = open_data(data).split("test", progress=False)
    recording = index.recordings[0]
    source = recording / "events/left/events.h5" if name == "dsec" else recording
    assert main(["predict", "--weights", weights, "--source", str(source), "--out", str(tmp_path / "o"), "--json"]) == 0
    assert "real-time factor" in capsys.readouterr().out
