"""Runs that were interrupted, are finished, or are to become longer."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tests.helpers.runs import Killed, assert_same_run, train_until
from tests.helpers.scripts import ROOT

from spikeyolo.detection.thresholds import Thresholds
from spikeyolo.errors import CheckpointError, ConfigError, WriteError
from spikeyolo.evaluation.validate import ValidationSettings
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.training import run
from spikeyolo.training.banner import continuation
from spikeyolo.training.module import DetectorModule
from spikeyolo.training.run import train, validate_best
from spikeyolo.training.run_folder import RunFolder, new_folder, resumed_settings
from spikeyolo.training.settings import TrainSettings, read_settings


@pytest.fixture
def copy(finished, tmp_path) -> RunFolder:
    """A finished run to write to."""
    shutil.copytree(finished.path, tmp_path / "copy")
    return RunFolder(tmp_path / "copy")


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("batches", "save_steps"),
    [(2, None), (4, None), (5, 1)],
    ids=["before any checkpoint", "within the last epoch, from its start", "within the last epoch"],
)
def test_resumed_run_is_the_uninterrupted_one(finished, tiny, tmp_path, capsys, batches, save_steps):
    out = tmp_path / "run"
    train_until(batches, replace(tiny, save_steps=save_steps), out)
    assert (out / "last.ckpt").exists() == (save_steps is not None or batches > 3)
    resumed = train(TrainSettings(), resume=out)
    assert_same_run(finished, resumed)
    assert f"going on at epoch {1 + batches // 3} of 2" in capsys.readouterr().out


@pytest.mark.long
def test_killed_twice_and_between_saving_and_renaming(finished, tiny, tmp_path, monkeypatch):
    out = tmp_path / "run"
    train_until(2, replace(tiny, save_steps=1), out)
    before = (out / "last.ckpt").read_bytes()
    rename = Path.replace

    def dying_rename(self, target):
        if Path(target).name == "last.ckpt":
            (out / ".last.ckpt.0a1b2c3d.ckpt").write_bytes(b"half a checkpoint")
            raise Killed
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", dying_rename)
        with pytest.raises(Killed):
            train(TrainSettings(), resume=out)
    assert (out / "last.ckpt").read_bytes() == before
    assert_same_run(finished, train(TrainSettings(), resume=out))
    assert not list(out.glob(".last.ckpt.*"))


def test_full_disk_costs_warnings_and_the_last_line_says_what_is_missing(copy, monkeypatch, caplog):
    before = copy.last.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    start = DetectorModule.on_train_start

    def filling_the_disk(self):
        monkeypatch.setattr(os, "fsync", full)
        start(self)

    monkeypatch.setattr(DetectorModule, "on_train_start", filling_the_disk)
    with caplog.at_level(logging.WARNING, "spikeyolo"), pytest.raises(WriteError) as caught:
        train(TrainSettings(epochs=3), resume=copy.path)
    assert "last.ckpt and results.csv could not be saved" in str(caught.value)
    assert f"go on from the last checkpoint: spikeyolo train --resume {copy.path}" in str(caught.value)
    assert "last.ckpt was not saved, training goes on" in caplog.text
    assert "No space left on device" in caplog.text
    assert copy.last.read_bytes() == before
    assert not list(copy.path.glob(".last.ckpt*"))


def test_what_is_given_counts_even_where_it_is_the_default(finished):
    """The run has workers 0 and batch 4; 2 and 32 are what TrainSettings has unless told."""
    kept, plain = read_settings(finished.config), TrainSettings()
    assert resumed_settings(finished.path, plain, {"workers", "processes"}) == replace(kept, workers=2)
    assert resumed_settings(finished.path, plain) == resumed_settings(finished.path, plain, set()) == kept
    with pytest.raises(ConfigError, match=r"batch is 4 in .* and cannot become 32; .* --model .*best\.safetensors"):
        resumed_settings(finished.path, plain, {"batch"})
    with pytest.raises(ConfigError, match=r"epochs is 2 in .* and cannot become 1"):
        resumed_settings(finished.path, TrainSettings(epochs=1), {"epochs"})
    with pytest.raises(ConfigError, match="no folder of a run"):
        resumed_settings(finished.path / "tensorboard", plain)


def test_from_python_what_differs_from_the_defaults_is_given(finished):
    kept = read_settings(finished.config)
    assert resumed_settings(finished.path, TrainSettings(workers=7)) == replace(kept, workers=7)
    assert resumed_settings(finished.path, TrainSettings(data=kept.data)) == kept
    with pytest.raises(ConfigError, match=r"lr is 0\.01 in .* and cannot become 0\.5"):
        resumed_settings(finished.path, TrainSettings(lr=0.5))


@pytest.mark.parametrize(("interval", "before"), [("epoch", "0.6"), ("batch", "0.2")])
def test_a_longer_run_says_from_which_rate_it_goes_on(tmp_path, interval, before):
    # Linear to 0.2 of 1 in two epochs: the second begins at 0.6; by the batch it ends at 0.2. The third of four: 0.6.
    planned = TrainSettings(epochs=2, lr=1.0, final_lr=0.2, schedule_interval=interval)
    said = continuation(replace(planned, epochs=4), planned, RunFolder(tmp_path), 2)
    assert said[-1].endswith(f"goes on as in a run of 4: from {before} to 0.6, then down")


def test_a_run_becomes_longer_and_says_what_that_means(copy, finished, capsys):
    same = train(TrainSettings(), resume=copy.path, given=set())
    assert "this run is finished: 2 of 2 epochs; a larger --epochs goes on with it" in capsys.readouterr().out
    assert same.last.read_bytes() == finished.last.read_bytes()
    train(TrainSettings(epochs=3), resume=copy.path, given={"epochs"})
    said = capsys.readouterr().out
    assert "going on at epoch 3 of 3" in said
    # linear to 0.004 of 0.01: the second of two epochs had 0.01 (0.004 + 0.996 / 2), the third of three has a third.
    assert "planned for 2 epochs; the learning rate goes on as in a run of 3: from 0.00502 to 0.00336" in said
    rows = copy.results.read_text().splitlines()
    assert rows[:3] == finished.results.read_text().splitlines()
    assert len(rows) == 4
    assert read_settings(copy.config).epochs == 3


def test_checkpoints_keep_the_names_that_runs_of_earlier_versions_have(finished):
    """Under another name the fitness of best.safetensors would be forgotten, and worse weights replace it."""
    assert set(torch.load(finished.last, weights_only=True)["callbacks"]) == {"ExponentialAverage", "RunRecorder"}


def test_the_best_weights_are_measured_as_the_run_was(copy, monkeypatch):
    settings = replace(read_settings(copy.config), batch=6, conf=0.1, iou=0.5, max_det=7)
    copy.config.write_text(settings.to_yaml())
    with safe_open(copy.best, "pt") as file:  # as an earlier version wrote it: the size is not in it
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        metadata = {key: value for key, value in file.metadata().items() if key != "input"} | {"version": "1"}
    save_file(tensors, copy.best, metadata)
    seen = {}

    def look(model, index, how):
        seen.update(input=model.input, device=model.device.type, images=len(index), how=how)

    monkeypatch.setattr(run, "validate", look)
    validate_best(copy)
    how = ValidationSettings(6, Thresholds(0.1, 0.5, 7), workers=0)
    assert seen == {"input": ImageInput.of(64), "device": "cpu", "images": 4, "how": how}


def test_folder_that_holds_a_run_is_not_overwritten(finished):
    with pytest.raises(ConfigError, match="already holds a run"), new_folder(finished.path):
        pass


def test_default_folders_are_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("runs/train").mkdir(parents=True)
    with new_folder(None) as folder:
        assert folder.path == Path("runs/train-2")


def test_damaged_checkpoint_is_one_error(copy):
    copy.last.write_bytes(copy.last.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"last\.ckpt: not a PyTorch checkpoint, or cut short") as caught:
        train(TrainSettings(), resume=copy.path)
    assert "\n" not in str(caught.value)


def test_settings_of_earlier_versions_load():
    """A config.yaml that commit a5d9316 wrote, with `--config small --model t --epochs 5 --workers 1`.

    What `small` was then is the recipe that `benchmarks/neuron.py` keeps.
    """
    settings = read_settings(Path(__file__).parent / "config_of_0.1.yaml")
    expected = replace(read_settings(ROOT / "benchmarks" / "neuron.yaml"), data="data.yaml", model="t")
    assert settings == replace(expected, epochs=5, workers=1)
