import numpy as np

from spikeyolo.data.events.labels import read_boxes
from spikeyolo.data.open import open_data
from spikeyolo.events import open_recording
from spikeyolo.synthetic.still_objects import NOISE, write_still_objects


def test_before_a_label_there_is_noise_alone_and_before_that_the_square(tmp_path):
    data = write_still_objects(tmp_path, train=2, val=1, places=3)
    index = open_data(data).split("train")
    assert (len(index), index.names) == (6, ("square",))
    recording, boxes = open_recording(tmp_path / "train/000_td.dat"), read_boxes(tmp_path / "train/000_bbox.npy")
    assert boxes["t"].tolist() == [160_000, 320_000, 480_000]
    for box in boxes:
        still, before = (
            recording.window(int(box["t"]) - start, int(box["t"]) - end)
            for start, end in ((50_000, 0), (130_000, 50_000))
        )
        assert len(still) < NOISE
        inside = (before.x >= box["x"]) & (before.x < box["x"] + box["w"])
        inside &= (before.y >= box["y"]) & (before.y < box["y"] + box["h"])
        assert inside.sum() >= 3000
        assert np.ptp(before.x[inside]) == box["w"] - 1


def test_the_seed_decides(tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_still_objects(tmp_path / name, seed, train=1, val=1)
    one, same, other = ((tmp_path / name / "train/000_td.dat").read_bytes() for name in "abc")
    assert one == same != other
    assert one != (tmp_path / "a/val/000_td.dat").read_bytes()
