"""Models that come with the package: they are what the table says, go by their names everywhere, and find things."""

import json
import os
import shlex
import zlib
from pathlib import Path

import pytest
import yaml
from tests.helpers.scripts import load_script

import spikeyolo
from spikeyolo.cli.arguments import arguments_of, options_of, read_file, read_words
from spikeyolo.cli.main import main
from spikeyolo.cli.train import find_config
from spikeyolo.cli.train import train as train_command
from spikeyolo.data.open import open_data
from spikeyolo.demo.samples import write_samples
from spikeyolo.errors import CheckpointError, ConfigError
from spikeyolo.evaluation.validate import ValidationSettings, validate
from spikeyolo.model.forms.form import Form
from spikeyolo.synthetic.shapes import ShapesConfig, write_shapes
from spikeyolo.training.settings import TrainSettings
from spikeyolo.training.transfer import read_model
from spikeyolo.weights.shipped import FOLDER, SAMPLES, lasting_name, published_models, shipped_models, weights_file

ROOT = Path(__file__).parents[2]
NAMES = list(shipped_models())


def test_all_of_them_and_no_others_have_a_file():
    assert {file.stem for file in FOLDER.glob("*.safetensors")} == set(NAMES) >= {"t-bccd"}


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_what_the_table_says(name):
    told, model = shipped_models()[name], spikeyolo.load(name)
    assert model.form is Form.TRAINABLE
    assert model.names == tuple(told.names)
    assert (model.config.timesteps, model.config.max_count) == (told.timesteps, told.max_count)
    assert str(model.input) == told.sees
    assert sum(parameter.numel() for parameter in model.parameters()) == told.parameters
    assert told.file.stat().st_size < 3e6
    assert 0 < told.AP < told.AP50 <= 1
    assert abs(told.AP - told.AP_float32) < 0.03  # what few bits may cost


@pytest.mark.parametrize("name", NAMES)
def test_a_model_finds_what_its_samples_hold(name, tmp_path):
    samples = write_samples(name, tmp_path)
    index = open_data(samples.data).split("test")
    found = validate(spikeyolo.load(name).fold(), index, ValidationSettings(workers=0)).metrics
    assert found.AP50 > 0.5 * shipped_models()[name].AP50  # a handful of samples scatters
    assert not list(FOLDER.rglob(".spikeyolo_cache"))


def test_the_package_fits_a_wheel_of_four_megabytes():
    files = [file for file in (ROOT / "src").rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    assert sum(len(zlib.compress(file.read_bytes())) for file in files) < 4e6


def test_samples_carry_their_licence():
    assert "MIT License" in (SAMPLES / "LICENSE").read_text()
    assert "Shenggan/BCCD_Dataset" in (SAMPLES / "SOURCE.txt").read_text()
    assert sum(file.stat().st_size for file in SAMPLES.rglob("*.jpg")) < 150_000


def test_a_file_of_that_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert weights_file("t-bccd").parent == FOLDER
    spikeyolo.SpikeYOLO("t", names=["mine"]).save("t-bccd")
    assert spikeyolo.load("t-bccd").names == ("mine",)
    Path("t-bccd").unlink()
    Path("t-bccd").symlink_to("nowhere")  # theirs, too, though broken
    with pytest.raises(CheckpointError, match="t-bccd: no such file"):
        spikeyolo.load("t-bccd")
    Path("t-bccd").unlink()
    Path("t-bccd").mkdir()
    with pytest.raises(CheckpointError, match="t-bccd: is a folder"):
        spikeyolo.load("t-bccd")


@pytest.mark.parametrize("wrong", ["t-bcd", "t-bccd.safetensors", "tbccd"])
def test_a_typing_mistake_gets_the_near_name(wrong):
    with pytest.raises(CheckpointError, match=f"^{wrong}: no such file; did you mean 't-bccd'"):
        spikeyolo.load(wrong)


@pytest.mark.parametrize("wrong", ["my.safetensors", "runs/t-bccd", "细胞", "a" * 5000, "nul\0", "./t-bccd"])
def test_other_names_are_files(wrong):
    with pytest.raises(CheckpointError) as caught:
        spikeyolo.load(wrong)
    assert "did you mean" not in str(caught.value)


def test_training_takes_a_name_and_says_what_there_is(tmp_path):
    assert read_model("t-bccd").names == ("RBC", "WBC", "Platelets")
    with pytest.raises(ConfigError, match=r"neither a preset \(t, n.*, a model of the package.*did you mean 't-bccd'"):
        read_model("t-bcd")
    with pytest.raises(ConfigError, match=r"t-bccd: has weights, and is loaded by spikeyolo\.load"):
        spikeyolo.SpikeYOLO("t-bccd")


def test_a_run_keeps_names_and_addresses_and_whole_paths_of_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kept = ("t-bccd", "hf://owner/name@main")
    assert [lasting_name(name) for name in kept] == list(kept)
    assert lasting_name("best.safetensors") == str(tmp_path / "best.safetensors")
    Path("t-bccd").touch()
    assert lasting_name("t-bccd") == str(tmp_path / "t-bccd")


def test_train_from_a_name_and_from_one_that_is_nearly_right(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = write_shapes(tmp_path / "data", ShapesConfig(train=2, val=1, size=64))
    words = ["train", "--data", str(data), "--epochs", "1", "--imgsz", "64", "--batch", "2", "--workers", "0"]
    assert main([*words, "--model", "t-bcd"]) == 1
    assert "did you mean 't-bccd'" in capsys.readouterr().err
    assert main([*words, "--model", "t-bccd", "--teacher", "t-bccd"]) == 1  # which knows other classes
    assert "teacher: t-bccd knows 3 classes" in capsys.readouterr().err
    assert main([*words, "--model", "t-bccd", "--device", "cpu", "--out", "run"]) == 0
    assert "t-bccd: " in capsys.readouterr().out
    assert yaml.safe_load(Path("run/config.yaml").read_text())["model"] == "t-bccd"


def test_predict_by_name_on_the_samples_that_the_command_writes(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["models", "--samples", "样本"]) == 0
    lines = [shlex.split(line)[1:] for line in capsys.readouterr().out.splitlines() if line.startswith("  spikeyolo")]
    assert len(lines) == 2 * len(NAMES)
    assert main([*lines[0], "--device", "cpu", "--json", "--out", "found"]) == 0
    found = json.loads(Path("found/predictions.json").read_text())
    assert {row["name"] for row in found[0]["detections"]} <= {"RBC", "WBC", "Platelets"}
    capsys.readouterr()
    assert main(["models", "--samples", "样本"]) == 1
    assert "holds files already" in capsys.readouterr().err


def test_the_command_tells_all_that_is_known(capsys):
    assert main(["models"]) == 0
    shown = capsys.readouterr().out
    plain = " ".join(shown.split())
    for name, model in shipped_models().items():
        assert f"\n{name}\n" in shown
        assert f"\n  by {model.recipe}\n" in shown
        assert f"AP {model.AP:.3f}, AP50 {model.AP50:.3f} on {model.measured_on}" in plain
        assert f"firing rate {model.firing_rate:.1%}" in plain
        assert f"T = {model.timesteps}, D = {model.max_count}" in plain
    assert all(f"  {other.convert}" in shown.splitlines() for other in published_models())
    assert main(["models", "--json"]) == 0
    assert [model["name"] for model in json.loads(capsys.readouterr().out)["models"]] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_its_recipe_is_a_command_that_is_understood(name):
    program, command, *words = shlex.split(shipped_models()[name].recipe)
    assert program == "spikeyolo"
    if command == "train":
        read_words(options_of(train_command), words)
    else:
        assert command == "demo"


def script():
    return load_script("benchmarks/ship_weights.py")


def test_the_command_of_a_run_trains_so_again():
    settings = TrainSettings.from_dict(
        yaml.safe_load((ROOT / "src/spikeyolo/training/recipes/small.yaml").read_text())
        | {"model": "t", "max_count": 7, "energy_weight": 10.0, "energy_code": "binary", "epochs": 40, "data": "x.yaml"}
        | {"augmentation": {"mosaic": 0.25, "close_mosaic": 15, "vflip": 0.5}, "workers": 1}
    )
    words = shlex.split(script().command(settings, "small", "bccd/data.yaml"))[2:]
    options = options_of(train_command)
    given = read_words(options, words)
    values = read_file(options, Path(find_config(given["config"]))) | given
    del values["config"]
    again = arguments_of(train_command, values, given)["settings"]
    assert again.to_dict() == {**settings.to_dict(), "data": "bccd/data.yaml", "workers": again.workers}
    assert again.workers == TrainSettings().workers


@pytest.mark.long
def test_shipping_measures_what_it_writes(tmp_path, monkeypatch):
    samples = write_samples("t-bccd", tmp_path / "samples")
    run = tmp_path / "run"
    run.mkdir()
    spikeyolo.load("t-bccd").save(run / "best.safetensors")
    (run / "config.yaml").write_text(TrainSettings(data=str(samples.data), model="t", epochs=2).to_yaml())
    (tmp_path / "out").mkdir()
    script().main(str(run), str(tmp_path / "out"), "mine", "small", "cells", "BCCD (MIT)", bits=8)
    entry = yaml.safe_load((tmp_path / "out" / "models.yaml").read_text())["mine"]
    monkeypatch.chdir(tmp_path)
    model = spikeyolo.load(Path("out") / "mine.safetensors")
    index = open_data(samples.data).split("test")
    assert entry["AP"] == validate(model.fold(), index, ValidationSettings(workers=0)).metrics.AP
    assert entry["measured_on"] == "the 4 images of the split test of BCCD, COCO's rule"
    assert entry["names"] == ["RBC", "WBC", "Platelets"]
    assert set(os.listdir("out")) == {"mine.safetensors", "models.yaml"}
    cost = spikeyolo.energy(model, samples.data, split="test", workers=0).to_json()
    assert entry["snn_millijoule"] == [cost["snn_mJ"], cost["snn_memory_mJ"]]
