"""Exported networks in `predict` and `val`, beside the same network in PyTorch."""

import json

import cv2
import numpy as np
import pytest
import torch
from tests.helpers.event_datasets import write_data_set
from tests.helpers.exported import finding, pixels, write_either, write_onnx
from tests.helpers.golden import GOLDEN
from tests.helpers.recordings import random_events

from spikeyolo import load_reference
from spikeyolo.cli.main import main
from spikeyolo.data.open import open_data
from spikeyolo.detection.thresholds import Thresholds
from spikeyolo.errors import ConfigError
from spikeyolo.evaluation.validate import ValidationSettings, validate
from spikeyolo.events import EventInput, open_recording, write_dat
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.imaging.io import write_rgb
from spikeyolo.prediction.events import EventStream
from spikeyolo.runtime.detector import ExportedDetector

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")

ENGINES = ("onnxruntime", "openvino")
SIZE, SENSOR = (64, 64), (60, 90)
FRAMES = EventInput("last_event_frame", timesteps=2, window_us=40_000)
HEADLINE = ("AP", "AP50", "AP75", "images", "boxes")
SMALL = ValidationSettings(batch=3, workers=0)


@pytest.fixture(scope="module")
def network(shapes):
    return finding(input=ImageInput(SIZE), names=open_data(shapes).names)


@pytest.fixture(scope="module")
def of_events():
    """The golden network: its weights are short binary fractions, so that no rounding moves a spike."""
    model = load_reference(GOLDEN / "gen1_tiny" / "reference.pt").fold()
    model.input = FRAMES
    return model


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("events") / "drive_td.dat"
    write_dat(path, [random_events(20_000, 199_000, SENSOR, seed=1)], SENSOR)
    return open_recording(path)


def assert_same(found, expected):
    assert len(found) == len(expected) > 0
    assert torch.equal(found.labels, expected.labels)
    torch.testing.assert_close(found.boxes, expected.boxes, rtol=0, atol=5e-3)
    torch.testing.assert_close(found.scores, expected.scores, rtol=0, atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("choices", [{}, {"outputs": "logits", "batch": 2}], ids=str)
def test_val_of_images(engine, choices, network, shapes, tmp_path):
    index = open_data(shapes).split("val")
    detector = ExportedDetector(write_either(engine, tmp_path, network, SIZE, **choices))
    found, expected = (validate(model, index, SMALL).to_json() for model in (detector, network))
    assert found["detections"] == pytest.approx(expected["detections"], rel=0.01)
    for name in HEADLINE:
        assert found[name] == pytest.approx(expected[name], abs=1e-3)
    assert (found["form"], found["precision"]) == ("separable", "float32")
    assert found["engine"].startswith(f"{engine} ")
    assert list(found["speed_ms"]) == ["load", "prepare", "network", "boxes"]


def test_val_on_the_command_line(network, shapes, tmp_path, capsys):
    path = str(write_onnx(tmp_path / "network.onnx", network, SIZE))
    command = ["val", "--weights", path, "--data", str(shapes), "--workers", "0"]
    how = ["--batch", "3", "--threads", "1", "--provider", "CPUExecutionProvider"]
    assert main([*command, "--json", str(tmp_path / "n.json"), *how]) == 0
    assert json.loads((tmp_path / "n.json").read_text())["engine"].startswith("onnxruntime")
    capsys.readouterr()
    for options, said in (
        (["--spike-driven"], "spike-driven: for models in PyTorch"),
        (["--integer"], "integer: for models in PyTorch"),
        (["--fold", "false"], "no-fold: for models in PyTorch"),
        (["--compile"], "compile: for models in PyTorch"),
        (["--imgsz", "96"], "imgsz: "),
        (["--device", "cuda"], "device: "),
        (["--device", "7"], "device: '7'; ONNX Runtime takes cpu or cuda"),
        (["--threads", "0"], "threads: 0 is below 1"),
        (["--provider", "Nope"], "provider: 'Nope' is none of this ONNX Runtime, which has "),
    ):
        assert main([*command, *options]) == 1
        error = capsys.readouterr().err
        assert said in error
        assert len(error.splitlines()) == 1


def test_val_of_a_graph_that_suppresses_inside_says_so(network, shapes, tmp_path):
    path = write_onnx(tmp_path / "network.onnx", network, SIZE, outputs="detections")
    with pytest.warns(UserWarning, match="drops boxes inside"):
        validate(ExportedDetector(path), open_data(shapes).split("val"), SMALL)


def test_val_of_recordings(tmp_path):
    seen = EventInput("stacked_histogram", window_us=40_000)
    model = finding(input=seen, names=("car", "person"), **seen.network_fields)
    index = open_data(write_data_set(tmp_path / "data", "protocol: none\n")).split("test")
    size = seen.canvas_hw(index.sensor_size_hw)
    detector = ExportedDetector(write_onnx(tmp_path / "network.onnx", model, size))
    found, expected = (validate(model, index, SMALL).to_json() for model in (detector, model))
    for name in HEADLINE:
        assert found[name] == pytest.approx(expected[name], abs=1e-3)


@pytest.mark.few(1)
@pytest.mark.parametrize("engine", ENGINES)
def test_predict_images(engine, network, tmp_path):
    for i in range(3):
        write_rgb(tmp_path / f"{i}.png", pixels(50, 70 + i, i))
    path = write_either(engine, tmp_path, network, SIZE)
    network.save(tmp_path / "network.safetensors")
    results = []
    for i, weights in enumerate((path, tmp_path / "network.safetensors")):
        words = ["--weights", str(weights), "--source", *(str(tmp_path / f"{i}.png") for i in range(3))]
        assert main(["predict", *words, "--out", str(tmp_path / f"out{i}"), "--json", "--crops", "--batch", "2"]) == 0
        results.append(json.loads((tmp_path / f"out{i}" / "predictions.json").read_text()))
    for ours, theirs in zip(*results, strict=True):
        assert len(ours["detections"]) == len(theirs["detections"]) > 0
        for one, other in zip(ours["detections"], theirs["detections"], strict=True):
            assert one["name"] == other["name"]
            assert one["box"] == pytest.approx(other["box"], abs=0.02)


def test_predict_a_video_with_tracks(network, tmp_path):
    pytest.importorskip("supervision")
    video = cv2.VideoWriter(str(tmp_path / "a.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (96, 64))
    for i in range(5):
        video.write(pixels(64, 96, i // 3))
    video.release()
    path = write_onnx(tmp_path / "network.onnx", network, SIZE)
    words = ["--weights", str(path), "--source", str(tmp_path / "a.mp4"), "--out", str(tmp_path / "out")]
    assert main(["predict", *words, "--track"]) == 0
    assert (tmp_path / "out" / "a.mp4").is_file()


@pytest.mark.few(1)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("carry", [False, True])
def test_a_stream_over_a_recording(engine, carry, of_events, recording, tmp_path):
    size = FRAMES.canvas_hw(SENSOR)
    choices = {"streaming": carry, "outputs": "logits"}
    detector = ExportedDetector(write_either(engine, tmp_path, of_events, size, **choices))
    kept = Thresholds(conf=1e-4)
    ours, theirs = (
        list(EventStream(m, recording, FRAMES, carry=carry, thresholds=kept)) for m in (detector, of_events)
    )
    assert [step.end_us for step in ours] == [step.end_us for step in theirs]
    assert len(ours) == (10 if carry else 5)
    for one, other in zip(ours, theirs, strict=True):
        assert_same(one.detections, other.detections)
        for level, expected in zip(one.logits, other.logits, strict=True):
            assert torch.equal(level, expected)


def test_carry_on_the_command_line(of_events, recording, tmp_path, capsys):
    size = FRAMES.canvas_hw(SENSOR)
    stream = write_onnx(tmp_path / "stream.onnx", of_events, size, streaming=True, outputs="logits")
    whole = write_onnx(tmp_path / "whole.onnx", of_events, size)
    boxes = write_onnx(tmp_path / "boxes.onnx", of_events, size, streaming=True)
    other = write_onnx(tmp_path / "other.onnx", of_events, (32, 32))
    words = ["--source", str(recording.path), "--out", str(tmp_path / "out"), "--overwrite"]
    assert main(["predict", "--weights", str(stream), *words, "--carry"]) == 0
    assert "10 frames" in capsys.readouterr().out
    for weights, options, said in (
        (whole, ["--carry"], "keeps no membrane potentials; export it with --streaming"),
        (boxes, ["--carry"], "--outputs logits"),
        (other, [], "other.onnx takes 32 x 32 pixels"),
        (stream, ["--imgsz", "64"], "imgsz: for images"),
    ):
        assert main(["predict", "--weights", str(weights), *words, *options]) == 1
        assert said in capsys.readouterr().err


def test_another_kind_of_data_is_refused(network, recording, tmp_path):
    detector = ExportedDetector(write_onnx(tmp_path / "network.onnx", network, SIZE))
    with pytest.raises(ConfigError, match="carry"):
        EventStream(detector, recording, FRAMES, carry=True)


def test_results_are_tensors_on_the_cpu(network, tmp_path):
    detector = ExportedDetector(write_onnx(tmp_path / "network.onnx", network, SIZE))
    (found,) = detector.predict(np.zeros((9, 9, 3), np.uint8), conf=0.01)
    assert found.to("cpu").boxes.dtype == torch.float32
