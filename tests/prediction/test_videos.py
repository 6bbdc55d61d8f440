"""Prediction on videos: tracks, their package, and disks that are full."""

import json
import resource
import sys
from contextlib import contextmanager

import cv2
import pytest
import torch
from tests.prediction.fixed import run, write_image

from spikeyolo.errors import MissingPackage, WriteError
from spikeyolo.prediction.settings import PredictionSettings
from spikeyolo.prediction.sources import find_sources
from spikeyolo.prediction.tracking import Tracker
from spikeyolo.structures import Detections
from spikeyolo.synthetic.video import write_video


def test_a_video_becomes_a_video_with_numbered_tracks(tmp_path):
    write_video(tmp_path / "v.mp4", frames=7, size_hw=(64, 96), fps=12.0)
    out = tmp_path / "out"
    settings = PredictionSettings(out, batch=3, track=True, json=True, text=True)
    summary, model = run(find_sources([tmp_path / "v.mp4"]), settings)
    assert summary.frames == 7
    assert model.sizes == [3, 3, 1]
    capture = cv2.VideoCapture(str(out / "v.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 7
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(12.0)
    capture.release()
    entries = json.loads((out / "predictions.json").read_text())
    assert [entry["frame"] for entry in entries] == list(range(7))
    assert {d["track"] for entry in entries for d in entry["detections"]} == {1}
    assert len(list((out / "labels").iterdir())) == 7
    assert (out / "labels" / "v_000006.txt").read_text().split()[-1] == "1"


def test_tracking_without_its_package_is_said_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    write_video(tmp_path / "v.avi", frames=3, size_hw=(64, 96))
    write_image(tmp_path / "p.png")
    out = tmp_path / "out"
    with pytest.raises(MissingPackage, match=r"spikeyolo\[track\]"):
        run(find_sources([tmp_path / "v.avi"]), PredictionSettings(out, track=True, json=True))
    assert not out.exists()
    summary, _ = run(find_sources([tmp_path / "p.png"]), PredictionSettings(out, track=True))
    assert summary.frames == 1  # single images have no tracks


def test_tracks_follow_moving_objects_and_start_anew_for_each_source():
    def at(x):
        boxes = torch.tensor([[x, 10.0, x + 20, 30.0], [200 - x, 60.0, 220 - x, 80.0]])
        return Detections(boxes, torch.tensor([0.9, 0.8]), torch.tensor([0, 1]))

    for _ in range(2):
        tracker = Tracker(25.0)
        for step in range(5):
            detections, ids = tracker.follow(at(10.0 + 3 * step))
            assert ids == (1, 2)
            assert detections.labels.tolist() == [0, 1]
    nothing = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    assert tracker.follow(nothing)[1] == ()


def test_a_missing_tracker_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingPackage, match=r'supervision is not installed: pip install "spikeyolo\[track\]"'):
        Tracker(25.0)


@contextmanager
def full_disk(bytes_a_file):
    """Files cannot grow beyond so many bytes, for the system itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_a_file, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_video_that_does_not_fit_on_the_disk_is_an_error_and_leaves_nothing(tmp_path):
    write_video(tmp_path / "v.avi", frames=40, size_hw=(128, 128))
    settings = PredictionSettings(tmp_path / "out", json=True)
    with pytest.raises(WriteError, match=r"v\.mp4: cannot be written \(\d+ of 40 frames"), full_disk(20_000):
        run(find_sources([tmp_path / "v.avi"]), settings)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["predictions.json"]
    assert len(json.loads((tmp_path / "out" / "predictions.json").read_text())) == 40


def test_json_that_does_not_fit_on_the_disk_is_an_error_and_leaves_nothing(tmp_path):
    write_video(tmp_path / "v.avi", frames=150, size_hw=(64, 64))
    settings = PredictionSettings(tmp_path / "out", draw=False, json=True)
    with pytest.raises(WriteError, match=r"predictions\.json: cannot be written \(File too large\)"), full_disk(10_000):
        run(find_sources([tmp_path / "v.avi"]), settings)
    assert not list((tmp_path / "out").iterdir())
