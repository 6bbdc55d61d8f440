"""Prediction on images, videos and folders: every source once, in order, in batches across sources."""

import json
import tracemalloc

import numpy as np
import pytest
from tests.prediction.fixed import FixedDetector, run, write_image

from spikeyolo import SpikeYOLO
from spikeyolo.cli.main import main
from spikeyolo.detection.postprocess import Thresholds
from spikeyolo.errors import ConfigError, DataError, WriteError
from spikeyolo.events import EventInput
from spikeyolo.imaging.io import IMAGE_SUFFIXES, read_rgb
from spikeyolo.prediction.predictor import predict_sources
from spikeyolo.prediction.settings import PredictionSettings
from spikeyolo.prediction.sources import find_sources
from spikeyolo.synthetic.video import write_video


def test_sources_of_every_kind(tmp_path):
    for name in ("b.png", "a.jpg", "sub/a.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_image(tmp_path / name) if not name.endswith("txt") else (tmp_path / name).write_text("x")
    write_video(tmp_path / "v.avi", frames=2, size_hw=(32, 32))
    sources = find_sources([tmp_path, tmp_path / "b.png", f"{tmp_path}/*.png", "3", "rtsp://somewhere/live"])
    assert [(c.name, c.moving) for c in sources] == [
        ("a", False),
        ("b", False),
        ("a_2", False),
        ("v", True),
        ("b_2", False),
        ("b_3", False),
        ("camera3", True),
        ("live", True),
    ]


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("nowhere.jpg", "no such file or folder"),
        ("empty", "nothing to look at in this folder"),
        ("notes.txt", "nothing to look at"),
        ("x*.png", "matches this pattern"),
    ],
)
def test_sources_that_are_not_there(tmp_path, source, word):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=word):
        find_sources([tmp_path / source])


def test_everything_that_can_be_written_about_an_image(tmp_path):
    sources = find_sources([write_image(tmp_path / "p.png", rows=40, columns=60)])
    out = tmp_path / "out"
    summary, _ = run(sources, PredictionSettings(out, json=True, text=True, crops=True))
    assert summary.frames == 1
    assert dict(summary.detections) == {"a/b": 1}
    drawn = read_rgb(out / "p.jpg")
    assert drawn.shape == (40, 60, 3)
    assert np.abs(drawn.astype(int) - 200).max() > 50
    assert (out / "labels" / "p.txt").read_text() == "0 0.500000 0.500000 0.500000 0.500000 0.90000\n"
    assert read_rgb(out / "crops" / "a_b" / "p_0.jpg").shape == (20, 30, 3)
    (entry,) = json.loads((out / "predictions.json").read_text())
    assert (entry["width"], entry["height"]) == (60, 40)
    assert entry["detections"] == [{"box": [15.0, 10.0, 45.0, 30.0], "score": 0.9, "label": 0, "name": "a/b"}]


def test_batches_go_across_images_and_videos_in_order(tmp_path):
    """Two images, a video of three frames, two images: seven frames in batches of four and three."""
    for name, value in (("a.png", 10), ("b.png", 50), ("d.png", 90), ("e.png", 130)):
        write_image(tmp_path / name, value=value)
    write_video(tmp_path / "c.avi", frames=3, size_hw=(64, 96))
    out = tmp_path / "out"
    settings = PredictionSettings(out, batch=4, json=True, track=True)
    summary, model = run(find_sources([tmp_path]), settings)
    assert model.sizes == [4, 3]
    assert [model.brightness[place] for place in (0, 1, 5, 6)] == [10, 50, 90, 130]
    assert (summary.frames, summary.total) == (7, None)
    entries = json.loads((out / "predictions.json").read_text())
    places = [(entry["source"].rpartition("/")[2], entry["frame"]) for entry in entries]
    assert places == [("a.png", 0), ("b.png", 0), ("c.avi", 0), ("c.avi", 1), ("c.avi", 2), ("d.png", 0), ("e.png", 0)]
    # Tracks are of the video alone, and go on from one batch to the next.
    tracks = {place: entry["detections"][0].get("track") for place, entry in zip(places, entries, strict=True)}
    assert tracks["c.avi", 0] == tracks["c.avi", 2] == 1
    assert tracks["a.png", 0] is None
    assert sorted(path.name for path in out.iterdir())[:3] == ["a.jpg", "b.jpg", "c.mp4"]


def test_an_unreadable_image_does_not_break_a_batch(tmp_path):
    for name in ("a.png", "c.png", "d.png"):
        write_image(tmp_path / name)
    (tmp_path / "b.png").write_bytes(b"not an image")
    summary, model = run(find_sources([tmp_path]), PredictionSettings(tmp_path / "out", batch=2))
    assert model.sizes == [2, 1]
    assert (summary.frames, summary.total) == (3, 4)
    (line,) = summary.unreadable
    assert "b.png" in line


def test_the_canvas_is_the_models_unless_told(tmp_path):
    sources = find_sources([write_image(tmp_path / "a.png")])
    assert run(sources, PredictionSettings(tmp_path / "out"))[1].canvases == [(64, 64)]
    assert run(sources, PredictionSettings(tmp_path / "out2", imgsz=96))[1].canvases == [(96, 96)]


def test_thresholds_reach_the_model(tmp_path):
    model, given = FixedDetector(), {}
    plain = model.predict
    model.predict = lambda images, **options: given.update(options) or plain(images, **options)
    settings = PredictionSettings(tmp_path / "out", Thresholds(0.3, 0.6, 7))
    run(find_sources([write_image(tmp_path / "a.png")]), settings, model)
    assert (given["conf"], given["iou"], given["max_det"]) == (0.3, 0.6, 7)


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES))
def test_every_ending_that_training_takes_is_a_source(tmp_path, suffix):
    (tmp_path / f"a{suffix}").touch()
    (tmp_path / f"b{suffix.upper()}").touch()
    assert [source.kind for source in find_sources([tmp_path])] == ["image", "image"]


def test_in_a_mixed_folder_the_model_decides_and_the_rest_is_named(tmp_path):
    for name in ("a.png", "b.png"):
        write_image(tmp_path / name)
    for name in ("x.h5", "y.raw", "z_td.dat"):
        (tmp_path / name).touch()
    write_video(tmp_path / "v.avi", frames=1, size_hw=(32, 32))
    summary, _ = run(find_sources([tmp_path]), PredictionSettings(tmp_path / "out"))
    assert summary.frames == 3
    (line,) = summary.left_out
    assert line == f"left out: 3 recordings, such as {tmp_path / 'x.h5'}; the model sees images"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"carry": True}, "carry: for recordings of event cameras"),
        ({"window_us": 1000}, "window_us: for recordings of event cameras"),
        ({"preparation": "counts"}, "preparation: for recordings of event cameras"),
    ],
)
def test_options_of_recordings_are_refused_for_images(tmp_path, options, said):
    sources = find_sources([write_image(tmp_path / "a.png")])
    with pytest.raises(ConfigError, match=said):
        next(predict_sources(FixedDetector(), sources, PredictionSettings(tmp_path / "out"), **options))


def test_a_model_of_recordings_refuses_images(tmp_path):
    model = SpikeYOLO("t", num_classes=2, input=EventInput(), timesteps=2, in_channels=2)
    with pytest.raises(ConfigError, match="the model sees recordings, the data are images"):
        run(find_sources([write_image(tmp_path / "a.png")]), PredictionSettings(tmp_path / "out"), model)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    sources = find_sources([write_image(tmp_path / "a.png")])
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="file: is a file, no folder"):
        run(sources, PredictionSettings(tmp_path / "file"))
    (tmp_path / "out" / "predictions.json").mkdir(parents=True)
    with pytest.raises(WriteError, match=r"predictions\.json: is a folder, which is never replaced"):
        run(sources, PredictionSettings(tmp_path / "out", json=True, overwrite=True))
    with pytest.raises(ConfigError, match="batch: 0 is below 1"):
        PredictionSettings(tmp_path, batch=0)


def test_one_unreadable_image_does_not_stop_the_others(tmp_path):
    write_image(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"not an image")
    summary, _ = run(find_sources([tmp_path]), PredictionSettings(tmp_path / "out"))
    assert summary.frames == 1
    assert len(summary.unreadable) == 1
    assert "b.png" in summary.unreadable[0]
    with pytest.raises(DataError, match=r"b\.png"):
        run(find_sources([tmp_path / "b.png"]), PredictionSettings(tmp_path / "out2"))
    (tmp_path / "a.png").unlink()
    (tmp_path / "c.png").write_bytes(b"")
    with pytest.raises(DataError, match="none of the 2 sources"):
        run(find_sources([f"{tmp_path}/*.png"]), PredictionSettings(tmp_path / "out3"))


def test_json_is_valid_when_the_run_breaks_off(tmp_path):
    sources = find_sources([write_image(tmp_path / "a.png"), write_image(tmp_path / "b.png")])
    running = predict_sources(FixedDetector(), sources, PredictionSettings(tmp_path / "out", json=True))
    next(running)
    running.close()  # as an interruption does
    assert len(json.loads((tmp_path / "out" / "predictions.json").read_text())) == 1
    broken = FixedDetector()
    broken.predict = lambda *_, **__: 1 / 0
    with pytest.raises(ZeroDivisionError):
        run(sources, PredictionSettings(tmp_path / "out2", json=True), broken)
    assert json.loads((tmp_path / "out2" / "predictions.json").read_text()) == []


def test_memory_does_not_grow_with_the_frames(tmp_path):
    write_video(tmp_path / "v.avi", frames=150, size_hw=(64, 64))
    running = predict_sources(
        FixedDetector(), find_sources([tmp_path / "v.avi"]), PredictionSettings(tmp_path / "out", json=True, track=True)
    )
    for _ in range(50):
        next(running)
    tracemalloc.start()
    for _ in range(10):
        next(running)
    early = tracemalloc.get_traced_memory()[0]
    for _ in running:
        pass
    late = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert late - early < 64 * 64 * 3 * 10  # less than ten of the ninety frames


def test_command_line(tmp_path, capsys):
    import spikeyolo

    spikeyolo.SpikeYOLO("t", num_classes=2).save(tmp_path / "m.safetensors")
    for name in ("a.png", "b.png"):
        write_image(tmp_path / name)
    words = ["predict", "--weights", str(tmp_path / "m.safetensors"), "--imgsz", "64", "--out", str(tmp_path / "out")]
    assert main([*words, "--source", str(tmp_path / "a.png"), str(tmp_path / "b.png"), "--json", "true"]) == 0
    assert "2 images" in capsys.readouterr().out
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.jpg", "b.jpg", "predictions.json"]
    assert main([*words, "--source", str(tmp_path / "a.png"), "--imgsz", "50"]) == 1
    assert "imgsz: 50 is not a multiple of 32" in capsys.readouterr().err
    assert main([*words, "--source", str(tmp_path / "a.png"), "--device", "tpu9"]) == 1
    assert "device" in capsys.readouterr().err
