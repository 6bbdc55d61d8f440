import numpy as np
import pytest
from tests.helpers.event_datasets import boxes_of, write_data_set, write_recording
from tests.helpers.recordings import events_of

from spikeyolo.cli.main import main
from spikeyolo.data.events.labels import write_boxes
from spikeyolo.events import write_dat
from spikeyolo.imaging.io import read_rgb


@pytest.fixture
def data(tmp_path):
    return write_data_set(tmp_path / "set")


def run(capsys, *words):
    code = main(["events", *map(str, words)])
    captured = capsys.readouterr()
    return code, " ".join(captured.out.split()), captured.err


def test_info_of_a_recording(capsys, data):
    code, out, err = run(capsys, "info", data.parent / "train" / "a_td.dat")
    assert (code, err) == (0, "")
    for word in ("96 x 64", "0.300", "events 4,000", "instants 2", "by class 2 class 0, 1 class 1"):
        assert word in out


def test_info_of_a_data_set_has_the_names_of_its_classes(capsys, data):
    code, out, _ = run(capsys, "info", data)
    assert code == 0
    assert "by class 8 car, 4 person" in out


def test_info_says_what_is_wrong_and_names_the_file(capsys, data):
    train = data.parent / "train"
    write_boxes(train / "a_bbox.npy", boxes_of((1000, 80, 1, 30, 20, 0)))
    (train / "b_td.dat").write_bytes(b"no events")
    code, out, err = run(capsys, "info", train)
    assert code == 1
    assert "a_bbox.npy: 1 beyond the sensor (box clipped to the sensor)" in out
    assert "4,000" in out  # the others are told about nevertheless
    assert "b_td.dat: not a Prophesee .dat file" in err
    assert err.count("\n") == 1


def test_info_checks_every_event_when_asked(capsys, data):
    file = data.parent / "train" / "a_td.dat"
    content = bytearray(file.read_bytes())
    content[-4:] = (5000 | 3 << 14).to_bytes(4, "little")  # x = 5000 in the last event
    file.write_bytes(content)
    assert "beyond the sensor" not in run(capsys, "info", file)[1]
    assert "a_td.dat: 1 beyond the sensor" in run(capsys, "info", file, "--check")[1]


def test_info_of_a_data_set_names_what_is_alone(capsys, data):
    (data.parent / "train" / "a_bbox.npy").unlink()
    (data.parent / "train" / "b_td.dat").unlink()
    _, out, _ = run(capsys, "info", data)
    assert "a_td.dat: a recording without boxes: left out" in out
    assert "b_bbox.npy: boxes without a recording: left out" in out


def test_a_cut_recording_is_told_once(capsys, data):
    file = data.parent / "train" / "a_td.dat"
    file.write_bytes(file.read_bytes()[:-3])
    _, out, err = run(capsys, "info", data, "--check")
    assert out.count("cut short") == 1
    assert err == ""


@pytest.mark.parametrize(
    ("what", "said"), [("info", "no such file or folder"), ("view", "cannot be read (no such file)")]
)
def test_what_is_not_there(capsys, tmp_path, what, said):
    code, _, err = run(capsys, what, tmp_path / "nowhere.dat")
    assert (code, err.count("\n")) == (1, 1)
    assert f"nowhere.dat: {said}" in err


def test_info_of_many_begins_with_what_they_are_together(capsys, tmp_path):
    for number in range(23):
        boxes = boxes_of((100_000, 10, 8, 30, 24, number % 2)) if number else None
        write_recording(tmp_path, f"r{number:02d}", boxes, count=1000 + number, end_us=200_000 + 1000 * number)
    code, out, err = run(capsys, "info", tmp_path)
    assert (code, err) == (0, "")
    assert out.startswith("recordings 23 sensor 96 x 64 seconds 4.")
    assert f"events {sum(range(1000, 1023)):,} in 0.2 MB" in out
    assert "labels 22 boxes at 22 instants of 22 recordings by class 11 class 1, 11 class 0" in out
    assert "problems none; single events were not looked at (--check)" in out
    assert "r19_td.dat" in out.partition("problems")[2]
    assert "r20_td.dat" not in out.partition("problems")[2]
    assert "and 3 more recordings; --all lists them" in out
    assert "r20_td.dat" in run(capsys, "info", tmp_path, "--all")[1].partition("problems")[2]


def test_info_tells_recordings_of_one_name_apart(capsys, tmp_path):
    for folder, name in (("train", "a"), ("val", "a"), ("val", "b")):
        write_recording(tmp_path / folder, name, None)
    _, out, _ = run(capsys, "info", tmp_path)
    listed = [word for word in out.split() if word.endswith("_td.dat")]
    assert {"train/a_td.dat", "val/a_td.dat", "b_td.dat"} == set(listed)


def test_info_counts_what_filters_drop(capsys, tmp_path):
    """Of 4 events one rests, two have no neighbour; of the other recording's one event none is dropped but by those."""
    for name, t, x in (("a", [0, 1, 2, 900], [3, 3, 4, 9]), ("b", [5], [1])):
        (tmp_path / "train").mkdir(exist_ok=True)
        write_dat(tmp_path / "train" / f"{name}_td.dat", [events_of(t, x, [2] * len(t), [1] * len(t))], (64, 96))
    words = ("info", tmp_path / "train", "--refractory-us", 100, "--background-us", 50)
    _, out, _ = run(capsys, *words)
    assert "refractory 1 events dropped (20.0%) background 3 events dropped (60.0%)" in out
    filters = "preparation: {filters: {refractory_us: 100, background_us: 50}}"
    (tmp_path / "data.yaml").write_text(f"format: prophesee\ntrain: train\nnames: [car]\n{filters}\n")
    assert "refractory 1 events dropped (20.0%)" in run(capsys, "info", tmp_path / "data.yaml", "--check")[1]
    assert "dropped" not in run(capsys, "info", tmp_path / "data.yaml")[1]
    _, out, _ = run(capsys, "info", tmp_path / "train" / "a_td.dat", *words[2:])
    assert "refractory 1 dropped (25.0%) background 2 dropped (50.0%)" in out


def test_info_of_an_empty_folder(capsys, tmp_path):
    code, _, err = run(capsys, "info", tmp_path)
    assert code == 1
    assert "no recordings in it (.dat" in err


def test_view_draws_windows_and_their_boxes(capsys, data, tmp_path):
    file, out = data.parent / "train" / "a_td.dat", tmp_path / "new" / "v.png"
    words = ("view", file, "--out", out, "--start-us", 0, "--window-us", 100_000, "--windows", 9, "--data", data)
    code, said, _ = run(capsys, *words)
    assert code == 0
    assert "3 windows of 100 ms from 0.000 s on" in said  # the recording has no more
    image = read_rgb(str(out))
    assert image.shape == (64 * 6, 96 * 6 * 3 + 2 * 4, 3)
    (data.parent / "train" / "a_bbox.npy").unlink()
    assert run(capsys, *words)[0] == 1  # the image is there already
    assert run(capsys, *words, "--overwrite")[0] == 0
    assert not np.array_equal(read_rgb(str(out)), image)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--start-us", 900_000), "start-us 900000 is outside the recording's"),
        (("--window-us", 0), "must be at least 1"),
        (("--windows", 0), "must be at least 1"),
    ],
)
def test_view_names_what_cannot_be(capsys, data, words, said):
    code, _, err = run(capsys, "view", data.parent / "train" / "a_td.dat", *words)
    assert (code, err.count("\n")) == (1, 1)
    assert said in err


def test_prepare_and_prepare_again(capsys, data, tmp_path):
    pytest.importorskip("hdf5plugin", reason="needs the extra 'events'")
    code, out, _ = run(capsys, "prepare", data, tmp_path / "rvt", "--workers", 1)
    assert code == 0
    assert "train: 2 sequences written, 0 were there; 10 frames" in out
    assert (tmp_path / "rvt" / "test" / "d" / "labels_v2" / "labels.npz").is_file()
    assert "train: 0 sequences written, 2 were there" in run(capsys, "prepare", data, tmp_path / "rvt")[1]
    code, _, err = run(capsys, "info", tmp_path / "rvt")
    assert code == 1
    assert "holds frames that RVT made, no recordings; give a data.yaml with format: rvt" in err
