"""Another camera's real windows (346 x 260, people), written as recordings with boxes: indexed, rendered and drawn."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from tests.helpers.recordings import events_of

from spikeyolo.cli.main import main
from spikeyolo.data.events.dataset import EventDataset
from spikeyolo.data.events.labels import BOX_DTYPE, write_boxes
from spikeyolo.data.open import open_data
from spikeyolo.events import EventInput, open_recording, write_dat
from spikeyolo.imaging.io import read_rgb

SIZE_HW = (260, 346)
NAME = "frame0000000"  # of the split test: a person close by


@pytest.fixture
def pedro(shared_data):
    return shared_data / "events" / "pedro"


def write_as_recordings(source, target):
    """Each window of 40 ms becomes NAME_td.dat, and its boxes those of the instant just after the last event."""
    for file in sorted(source.glob("numpy/*/*.npy")):
        split, name = file.parent.name, file.stem
        folder = target / split
        folder.mkdir(parents=True, exist_ok=True)
        t, x, y, polarity = np.load(file).T
        write_dat(folder / f"{name}_td.dat", [events_of(t - t[0], x, y, polarity)], SIZE_HW)
        rows = np.loadtxt(source / "yolo" / split / f"{name}.txt", ndmin=2)
        boxes = np.zeros(len(rows), BOX_DTYPE)
        centre, sides = rows[:, 1:3] * SIZE_HW[::-1], rows[:, 3:5] * SIZE_HW[::-1]
        boxes["t"], boxes["class_confidence"] = t[-1] - t[0] + 1, 1
        boxes["x"], boxes["y"] = (centre - sides / 2).T
        boxes["w"], boxes["h"] = sides.T
        write_boxes(folder / f"{name}_bbox.npy", boxes)
    (target / "data.yaml").write_text("format: prophesee\ntrain: train\nval: val\ntest: test\nnames: [person]\n")
    return target / "data.yaml"


def test_real_windows_with_their_boxes(pedro, tmp_path, capsys):
    data = write_as_recordings(pedro, tmp_path)
    for split in ("train", "val", "test"):
        index = open_data(data).split(split, strict=True)
        assert index.sensor_size_hw == SIZE_HW
        for instant, path in enumerate(index.recordings):
            name = path.stem.removesuffix("_td")
            events = open_recording(path).window(0, 1_000_000)
            assert len(events) == len(np.load(pedro / "numpy" / split / f"{name}.npy"))
            corners = [
                [float(box.findtext(side)) for side in ("xmin", "ymin", "xmax", "ymax")]
                for box in ElementTree.parse(pedro / "xml" / split / f"{name}.xml").iter("bndbox")
            ]
            np.testing.assert_allclose(index.objects(instant)[0], corners, atol=0.01)
            sample = EventDataset(index, EventInput(window_us=int(index.t_us[instant])))[instant]
            assert sample.frames.sum() == len(events)
    out = tmp_path / "v.png"
    words = ["events", "view", tmp_path / "test" / f"{NAME}_td.dat", "--windows", 1, "--data", data, "--out", out]
    assert main([str(word) for word in words]) == 0
    assert "1 windows of 50 ms" in capsys.readouterr().out
    assert read_rgb(str(out)).shape == (SIZE_HW[0], SIZE_HW[1], 3)
