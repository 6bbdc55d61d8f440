"""The functions beside the commands: one list of names and defaults, objects in place of what is printed."""

import inspect
import json
from dataclasses import fields, is_dataclass

import numpy as np
import pytest
import torch
from PIL import Image
from tests.helpers.networks import lively

import spikeyolo
from spikeyolo.benchmarking.benchmark import benchmark
from spikeyolo.cli.arguments import options_of
from spikeyolo.cli.main import main
from spikeyolo.data.open import open_data
from spikeyolo.errors import ConfigError, ShapeError
from spikeyolo.evaluation.validate import ValidationSettings, validate
from spikeyolo.exporting.export import export
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.imaging.io import read_rgb, write_rgb
from spikeyolo.prediction.settings import PredictionSettings
from spikeyolo.spiking import SpikingNeuron
from spikeyolo.synthetic.video import write_video
from spikeyolo.training.settings import TrainSettings
from spikeyolo.verbs.predict import Results


@pytest.fixture(scope="module")
def model(shapes):
    names = open_data(shapes).names
    return lively(names=names, input=ImageInput((64, 64)), dtype=torch.float32)


@pytest.fixture(scope="module")
def weights(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "t.safetensors"
    model.save(path)
    return path


def defaults(parameters):
    return {name: parameter.default for name, parameter in parameters.items()}


@pytest.mark.parametrize("name", ["val", "predict", "energy", "train", "export", "benchmark"])
def test_a_function_has_the_names_and_defaults_of_its_command(name):
    function = getattr(spikeyolo, name)
    module = __import__(f"spikeyolo.cli.{name}", fromlist=[name])
    # An option such as `gains.box` is a field of the setting `gains`.
    options = {n.partition(".")[0]: o.default for n, o in options_of(getattr(module, name)).items()}
    if name != "train":  # whose configs are recipes; of other commands they are files of options
        options.pop("config")
    theirs = defaults(inspect.signature(function).parameters)
    only_theirs = {"progress", "stream", "write", "choices"}
    only_options = {"layers"} if name == "energy" else set()  # what is printed
    if name == "export":  # what formats let one choose has many names
        options = {n: default for n, default in options.items() if n in theirs}
    assert theirs.keys() - only_theirs == options.keys() - only_options
    differing = {n for n in theirs.keys() & options.keys() if theirs[n] != options[n] and not is_dataclass(theirs[n])}
    assert not differing


def test_defaults_are_those_of_the_settings():
    of_val = defaults(inspect.signature(spikeyolo.val).parameters)
    settings = ValidationSettings()
    assert {of_val[name] for name in ("batch",)} == {settings.batch}
    assert [of_val[name] for name in ("conf", "iou", "max_det")] == list(vars(settings.thresholds).values())
    assert [of_val[name] for name in ("workers", "imgsz", "preparation")] == [2, None, None]
    of_predict = defaults(inspect.signature(spikeyolo.predict).parameters)
    plain = PredictionSettings()
    for field in fields(plain):
        if field.name != "thresholds":
            assert of_predict[field.name] == getattr(plain, field.name), field.name
    of_train = defaults(inspect.signature(spikeyolo.train).parameters)
    assert {name: of_train[name] for name in vars(TrainSettings())} == vars(TrainSettings())
    assert "passes over the training images" in spikeyolo.train.__doc__


def test_val_gives_what_was_measured_and_prints_nothing(model, weights, shapes, tmp_path, capsys):
    found = spikeyolo.val(model, shapes, workers=0, engine="torch", json=tmp_path / "n.json", out=tmp_path / "plots")
    assert capsys.readouterr() == ("", "")
    index = open_data(shapes).split("val")
    expected = validate(model.fold(), index, ValidationSettings(workers=0))
    assert found.metrics.twelve() == pytest.approx(expected.metrics.twelve(), nan_ok=True)
    written = json.loads((tmp_path / "n.json").read_text())
    assert written["images"] == 4
    assert written["AP"] == pytest.approx(expected.metrics.AP)
    assert (tmp_path / "plots" / "confusion.png").is_file()
    assert repr(found).startswith(f"Validation(AP {expected.metrics.AP:.3f}, AP50 ")
    assert "on 4 images" in repr(found)
    assert "<pre" in found._repr_html_()
    assert model.training is False
    of_file = spikeyolo.val(weights, shapes, workers=0, engine="torch", device="cpu")
    assert of_file.metrics.twelve() == pytest.approx(expected.metrics.twelve(), nan_ok=True)


def test_energy_gives_a_report(model, shapes, tmp_path, capsys):
    lines = []
    found = spikeyolo.energy(
        model, shapes, workers=0, json=tmp_path / "e.json", html=tmp_path / "e.html", progress=lines.append
    )
    assert capsys.readouterr() == ("", "")
    assert [line.partition(":")[0] for line in lines] == ["verified"]
    values = json.loads((tmp_path / "e.json").read_text())
    assert values["images"] == 4
    assert found.to_json()["snn_mJ"] == pytest.approx(values["snn_mJ"])
    assert repr(found).startswith("EnergyReport(An image costs ")
    assert "firing rate" in repr(found)
    assert "Energy of the model on data.yaml, val" in (tmp_path / "e.html").read_text()
    assert "additions" in found._repr_html_()


def test_train_gives_the_run(shapes, tmp_path):
    run = spikeyolo.train(
        data=shapes,
        model="t",
        epochs=1,
        batch=4,
        imgsz=64,
        workers=0,
        device="cpu",
        warmup_epochs=0,
        out=tmp_path / "r",
    )
    assert run.path == tmp_path / "r"
    assert run.best.is_file()
    assert run.metrics.images == 4
    assert repr(run) == f"TrainedRun(AP {run.metrics.AP:.3f}, AP50 {run.metrics.AP50:.3f}; best weights: {run.best})"
    assert run.model().names == open_data(shapes).names
    assert "<pre" in run._repr_html_()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"epoch": 3}, "epoch: no such setting, did you mean 'epochs'"),
        ({"config": "smal"}, "did you mean 'small'"),
        ({"config": "small", "resume": "runs/train"}, "leave config out"),
        ({"neuron": SpikingNeuron, "data": "x.yaml"}, "neuron"),
        ({"imgsz": 65}, "imgsz"),
    ],
)
def test_train_refuses(settings, said):
    with pytest.raises(ConfigError, match=said):
        spikeyolo.train(**settings)


@pytest.mark.parametrize(
    ("function", "more"), [("val", {}), ("energy", {}), ("predict", {"source": np.zeros((32, 32, 3), np.uint8)})]
)
def test_a_model_that_is_given_is_used_as_it_is(model, shapes, function, more):
    arguments = more or {"data": shapes}
    with pytest.raises(ConfigError, match="neuron"):
        getattr(spikeyolo, function)(model, neuron="relu", **arguments)
    with pytest.raises(ConfigError, match="expected a file or a SpikeYOLO"):
        getattr(spikeyolo, function)(42, **arguments)


@pytest.fixture
def images(tmp_path):
    generator = np.random.default_rng(0)
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        write_rgb(folder / name, generator.integers(0, 255, (50, 70, 3), dtype=np.uint8))
    return folder


def test_predict_takes_whatever_images_come_as(model, images):
    pixels = read_rgb(images / "a.png")
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    expected = model.predict(pixels, conf=0.0, max_det=5)[0]
    assert len(expected) == 5
    several = [images / "a.png", pixels, Image.fromarray(pixels), tensor, tensor / 255, str(images / "a.p*g")]
    found = spikeyolo.predict(model, several, conf=0.0, max_det=5, engine="torch")
    assert [one.source for one in found][1:5] == ["image0", "image1", "image2", "image3"]
    for one in found:
        assert one.detections == expected
        np.testing.assert_array_equal(one.image, pixels)
        assert one.detections.names == model.names
    assert [d == expected for d in model.predict(several[:5], conf=0.0, max_det=5)] == [True] * 5
    (alone,) = spikeyolo.predict(model, pixels, conf=0.0, max_det=5, engine="torch")
    assert alone.detections == expected
    batch = spikeyolo.predict(model, torch.stack([tensor, tensor]), conf=0.0, max_det=5, engine="torch")
    assert [one.detections == expected for one in batch] == [True, True]


def test_predict_writes_only_where_it_is_told(model, images, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    found = spikeyolo.predict(model, images, conf=0.0, max_det=5, engine="torch")
    assert [one.source for one in found] == [str(images / "a.png"), str(images / "b.png")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images"]
    spikeyolo.predict(model, images, conf=0.0, max_det=5, engine="torch", out="found", json=True, crops=True)
    entries = json.loads((tmp_path / "found" / "predictions.json").read_text())
    assert entries == [one.to_dict() for one in found]
    assert (tmp_path / "found" / "a.jpg").is_file()
    with pytest.raises(ConfigError, match="by out"):
        spikeyolo.predict(model, images, json=True)
    assert capsys.readouterr() == ("", "")


def test_what_a_result_shows(model, images, tmp_path):
    (one,) = spikeyolo.predict(model, images / "a.png", conf=0.0, max_det=2, engine="torch")
    assert repr(one).startswith(f"FrameResult({images / 'a.png'}: Detections(2: ")
    assert one._repr_png_().startswith(b"\x89PNG")
    np.testing.assert_array_equal(one.plot(), one.detections.plot(images / "a.png"))
    one.save(tmp_path / "drawn.png")
    np.testing.assert_array_equal(read_rgb(tmp_path / "drawn.png"), one.plot())
    assert [len(each) for each in one] == [1, 1]


def test_a_list_does_not_keep_the_pixels_of_files(model, images):
    (one,) = spikeyolo.predict(model, images / "a.png", engine="torch")
    assert "image" not in vars(one.frame)
    write_rgb(images / "a.png", np.full((50, 70, 3), 7, np.uint8))
    assert one.image.mean() == 7


def test_a_video_is_looked_at_as_it_is_asked_for(model, tmp_path):
    write_video(tmp_path / "v.avi", frames=5, size_hw=(48, 64))
    results = spikeyolo.predict(model, tmp_path / "v.avi", engine="torch", out=tmp_path / "out", json=True)
    assert isinstance(results, Results)
    assert results.summary.frames == 0
    first = next(results)
    assert (first.frame.index, results.summary.frames) == (0, 1)
    assert "frame 0" in repr(first)
    assert [one.frame.index for one in results] == [1, 2, 3, 4]
    assert len(json.loads((tmp_path / "out" / "predictions.json").read_text())) == 5
    assert repr(results).startswith("Results(5 frames: ")
    everything = spikeyolo.predict(model, tmp_path / "v.avi", engine="torch", stream=False)
    assert [one.frame.index for one in everything] == [0, 1, 2, 3, 4]


def test_what_cannot_be_read_is_a_warning_among_others(model, images):
    (images / "b.png").write_bytes(b"no image")
    with pytest.warns(UserWarning, match=r"skipped: .*b\.png"):
        assert len(spikeyolo.predict(model, images, engine="torch")) == 1
    with pytest.raises(ShapeError, match="images: expected"):
        spikeyolo.predict(model, np.zeros((4, 4)))


def test_the_command_prints_what_the_function_gives(model, weights, images, capsys, monkeypatch):
    monkeypatch.chdir(images.parent)
    assert main(["predict", "--weights", str(weights), "--source", str(images), "--engine", "torch"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "2 images: " in out
    assert "written to runs/predict" in out
    assert (images.parent / "runs" / "predict" / "b.jpg").is_file()


def test_the_command_says_which_score_was_asked_for_where_it_finds_nothing(weights, images, capsys, monkeypatch):
    monkeypatch.chdir(images.parent)
    words = ["predict", "--weights", str(weights), "--source", str(images / "a.png"), "--engine", "torch"]
    assert main([*words, "--conf", "1"]) == 0
    assert "1 image: nothing found with a score of 1 or more (--conf); written to" in capsys.readouterr().out


def test_functions_that_were_there_are_the_same():
    assert spikeyolo.export is export
    assert spikeyolo.benchmark is benchmark
