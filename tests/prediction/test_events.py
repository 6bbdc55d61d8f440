"""Streaming over recordings: steps that carry their state equal one long pass, and a window alone is as in training."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from tests.helpers.golden import GOLDEN
from tests.helpers.recordings import random_events

from spikeyolo import SpikeYOLO, load_reference
from spikeyolo.detection.postprocess import Thresholds, postprocess
from spikeyolo.errors import ConfigError, DataError
from spikeyolo.events import EventInput, open_recording, render, write_dat
from spikeyolo.prediction import events
from spikeyolo.prediction.events import EventStream, events_image
from spikeyolo.prediction.predictor import predict_sources
from spikeyolo.prediction.settings import PredictionSettings, Summary
from spikeyolo.prediction.sources import find_sources

PREPARATION = EventInput("last_event_frame", timesteps=2, window_us=40_000)


@pytest.fixture(scope="module")
def model():
    """The golden network: a fresh one hardly fires."""
    model = load_reference(GOLDEN / "gen1_tiny" / "reference.pt").double()
    model.input = PREPARATION
    return model


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("events") / "a_td.dat"
    write_dat(path, [random_events(20_000, 199_000, (60, 90), seed=1)], (60, 90))
    return open_recording(path)


def test_carried_steps_equal_one_long_pass(model, recording):
    steps = list(EventStream(model, recording, PREPARATION, carry=True))
    assert [step.end_us for step in steps] == list(range(20_000, 200_001, 20_000))
    part = replace(PREPARATION, timesteps=1, window_us=20_000)
    parts = [as_input(render(recording, step.end_us, part)[0]) for step in steps]
    with torch.no_grad():
        whole, _ = model(torch.cat(parts), {})
    for level, logits in enumerate(whole):
        mean = torch.stack([step.logits[level] for step in steps]).mean(0)
        torch.testing.assert_close(mean, logits, rtol=1e-9, atol=1e-9)
    with torch.no_grad():  # and the state matters: from rest each time it is something else
        alone = torch.stack([model(part, {})[0][0] for part in parts]).mean(0)
    assert (alone - whole[0]).abs().max() > 1e-3


def as_input(frames):
    return torch.from_numpy(frames).unsqueeze(1).double() / 255


def boxes_of(model, frames, placement, conf=0.0):
    with torch.no_grad():
        (found,) = postprocess(model(as_input(frames)), Thresholds(conf), [placement])
    return found.boxes, found.scores


ALL = Thresholds(conf=0.0)


def test_a_step_without_carrying_is_a_window_from_rest(model, recording):
    steps = list(EventStream(model, recording, PREPARATION, thresholds=ALL))
    assert [step.end_us for step in steps] == [40_000, 80_000, 120_000, 160_000, 200_000]
    for step in steps:
        boxes, scores = boxes_of(model, *render(recording, step.end_us, PREPARATION))
        torch.testing.assert_close(step.detections.boxes, boxes)
        torch.testing.assert_close(step.detections.scores, scores)


def test_the_first_whole_window_is_the_same_carried_or_not(model, recording):
    reset = next(iter(EventStream(model, recording, PREPARATION, thresholds=ALL)))
    carried = list(EventStream(model, recording, PREPARATION, carry=True, thresholds=ALL))[1]
    assert carried.end_us == reset.end_us
    torch.testing.assert_close(carried.detections.boxes, reset.detections.boxes)
    torch.testing.assert_close(carried.detections.scores, reset.detections.scores)


@pytest.mark.parametrize(
    ("preparation", "said"),
    [
        (
            EventInput(order="newest-first"),
            "carry: the network sees the timesteps of a window newest-first, not in order",
        ),
        (EventInput(window_us=40_001), "has no 2 equal timesteps"),
    ],
)
def test_what_cannot_be_carried(model, recording, preparation, said):
    with pytest.raises(ConfigError, match=said):
        EventStream(model, recording, preparation, carry=True)


@pytest.mark.parametrize("carry", [False, True])
def test_video_json_and_speed(model, recording, tmp_path, carry):
    settings = PredictionSettings(tmp_path, Thresholds(0.0, max_det=5), json=True)
    *_, summary = predict_sources(model, find_sources([recording.path]), settings, carry=carry)
    count = 10 if carry else 5
    assert (summary.frames, summary.total, len(summary.latencies_ms)) == (count, count, count)
    entries = json.loads((tmp_path / "predictions.json").read_text())
    assert [entry["t_us"] for entry in entries] == [200_000 // count * k for k in range(1, count + 1)]
    assert (entries[0]["width"], entries[0]["height"]) == (90, 60)
    video = cv2.VideoCapture(str(tmp_path / "a_td.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == count
    assert video.get(cv2.CAP_PROP_FPS) == (50 if carry else 25)
    assert f"a step of {20 if carry else 40} ms takes" in summary.speed()


def test_the_real_time_factor_is_all_work_over_the_recordings_time():
    summary = Summary(frames=3, step_us=40_000)
    assert summary.speed() is None
    for latency in (10.0, 20.0, 30.0):
        summary.add_step({"network": latency - 2, "boxes": 2.0}, latency)
    summary.seconds = 0.06  # of 3 x 40 ms
    assert "a step of 40 ms takes 20.0 ms (median), 29.0 ms (95 %)" in summary.speed()
    assert "(network 18.0, boxes 2.0); real-time factor 0.50: keeps up with the camera" in summary.speed()
    summary.seconds = 0.18
    assert "real-time factor 1.50: does not keep up" in summary.speed()


def test_a_model_of_images_asks_for_a_preparation(recording, tmp_path):
    model = SpikeYOLO("t", num_classes=2)
    with pytest.raises(
        ConfigError,
        match="the model sees images, the data are recordings; give a model of recordings, or name the prep",
    ):
        next(predict_sources(model, find_sources([recording.path]), PredictionSettings(tmp_path)))


def test_an_empty_recording(model, tmp_path):
    write_dat(tmp_path / "e_td.dat", [], (60, 90))
    with pytest.raises(DataError, match="no events in it"):
        list(predict_sources(model, find_sources([tmp_path / "e_td.dat"]), PredictionSettings(tmp_path / "out")))


def test_in_a_mixed_folder_the_recordings_are_taken_and_the_rest_is_named(model, recording, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "r_td.dat").write_bytes(recording.path.read_bytes())
    for name in ("a.jpg", "b.jpg", "v.mp4"):
        (tmp_path / "in" / name).touch()
    sources = find_sources([tmp_path / "in"])
    assert [source.kind for source in sources] == ["image", "image", "recording", "video"]
    *_, summary = predict_sources(model, sources, PredictionSettings(tmp_path / "out", draw=False))
    assert summary.frames == 5
    assert summary.left_out == [
        f"left out: 2 images, such as {tmp_path / 'in' / 'a.jpg'}; the model sees recordings",
        f"left out: 1 video, such as {tmp_path / 'in' / 'v.mp4'}; the model sees recordings",
    ]


@pytest.mark.parametrize(("written", "drawn"), [({"json": True, "text": True, "draw": False}, 0), ({"crops": True}, 5)])
def test_a_window_is_read_once_and_drawn_once_and_only_for_images(
    model, recording, tmp_path, monkeypatch, written, drawn
):
    calls = {"read": 0, "drawn": 0}
    window, image = type(recording).window, events.events_image

    def read(*args):
        calls["read"] += 1
        return window(*args)

    def draw(*args):
        calls["drawn"] += 1
        return image(*args)

    monkeypatch.setattr(type(recording), "window", read)
    monkeypatch.setattr(events, "events_image", draw)
    settings = PredictionSettings(tmp_path, Thresholds(0.0, max_det=3), **written)
    *_, summary = predict_sources(model, find_sources([recording.path]), settings)
    assert summary.frames == 5
    assert calls == {"read": 5, "drawn": drawn}


def test_a_stream_leaves_the_model_in_its_mode(model, recording):
    model.train()
    model.backbone.eval()
    before = [module.training for module in model.modules()]
    try:
        stream = iter(EventStream(model, recording, PREPARATION))
        next(stream)
        assert [module.training for module in model.modules()] == before  # between the steps too
        stream.close()  # as an interruption does
        assert [module.training for module in model.modules()] == before
    finally:
        model.eval()


def test_imgsz_is_refused_for_recordings(model, recording, tmp_path):
    with pytest.raises(ConfigError, match="imgsz: for images"):
        next(predict_sources(model, find_sources([recording.path]), PredictionSettings(tmp_path, imgsz=64)))


def test_a_window_is_drawn_red_and_blue_on_white(tmp_path, recording):
    image = events_image(recording.window(0, 1), 0, 1, (60, 90))
    assert image.shape == (60, 90, 3)
    counts = {polarity: np.zeros((60, 90)) for polarity in (0, 1)}
    events = recording.window(0, 5000)
    for x, y, p in zip(events.x, events.y, events.polarity, strict=True):
        counts[int(p)][y, x] += 1
    image = events_image(recording.window(0, 5000), 0, 5000, (60, 90)).astype(int)
    assert (image[(counts[0] + counts[1]) == 0] == 255).all()
    only_bright, only_dark = (counts[1] > 0) & (counts[0] == 0), (counts[0] > 0) & (counts[1] == 0)
    assert (image[only_bright][:, 0] == 255).all()
    assert (image[only_bright][:, 2] < 200).all()
    assert (image[only_dark][:, 2] == 255).all()
    assert (image[only_dark][:, 0] < 200).all()
