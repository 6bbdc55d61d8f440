"""Whole trainings of preset t on a few tiny images."""

from __future__ import annotations

import csv
import errno
import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from tests.helpers.runs import tiny_settings

from spikeyolo import load
from spikeyolo.data.images.augmentation import Augmentation
from spikeyolo.errors import CheckpointError, ConfigError, TrainingError
from spikeyolo.synthetic.scene import CLASS_NAMES
from spikeyolo.training.module import DetectorModule
from spikeyolo.training.run import train
from spikeyolo.training.run_folder import RunFolder, new_folder, resumed_settings
from spikeyolo.training.settings import TrainSettings, read_settings
from spikeyolo.training.transfer import starting_model


class Killed(BaseException):
    """Stands for a kill: nothing catches it and nothing is cleaned up in its name."""


def interrupted_train(monkeypatch, settings: TrainSettings, out: Path, batches: int, resume: bool = False) -> None:
    """Trains until so many batches have been used, then dies."""
    step, used = DetectorModule.training_step, []

    def dying_step(self, batch, batch_idx):
        if len(used) == batches:
            raise Killed
        used.append(batch_idx)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(DetectorModule, "training_step", dying_step)
    with pytest.raises(Killed):
        train(settings, None if resume else out, out if resume else None)
    monkeypatch.setattr(DetectorModule, "training_step", step)


def states(run: RunFolder) -> dict[str, torch.Tensor]:
    """Every tensor of a last.ckpt that decides how training goes on, and the best weights."""
    kept = torch.load(run.last, weights_only=True)
    optimizer = kept["optimizer_states"][0]["state"]
    flat = {f"current.{k}": v for k, v in kept["current_model_state"].items()}
    flat |= {f"average.{k}": v for k, v in kept["state_dict"].items()}
    flat |= {f"{i}.{k}": v for i, s in optimizer.items() for k, v in s.items() if isinstance(v, torch.Tensor)}
    return flat | {f"best.{k}": v for k, v in load(run.best).state_dict().items()}


def assert_same_run(first: RunFolder, second: RunFolder) -> None:
    assert first.results.read_text() == second.results.read_text()
    one, two = states(first), states(second)
    assert one.keys() == two.keys()
    different = [name for name in one if not torch.equal(one[name], two[name])]
    assert not different


@pytest.fixture(scope="module")
def finished(shapes, tmp_path_factory) -> RunFolder:
    """A run that nothing interrupted: the settings of `tiny`."""
    settings = tiny_settings(shapes)
    return train(settings, tmp_path_factory.mktemp("finished") / "run")


def test_run_folder_holds_what_the_design_says(finished, shapes):
    names = {path.name for path in finished.path.iterdir()}
    images = {"train_batch0.png", "train_batch1.png", "train_batch2.png", "val_predictions.png", "curves.png"}
    assert names == {"config.yaml", "results.csv", "best.safetensors", "last.ckpt", "tensorboard"} | images
    assert list((finished.path / "tensorboard").glob("events.*"))
    config = yaml.safe_load(finished.config.read_text())
    assert (config["data"], config["model"], config["epochs"]) == (str(shapes), "t", 2)
    rows = list(csv.DictReader(finished.results.read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    # Ten images are three batches. The warm-up, three batches long, sums 1, 1 and 2; an epoch's end steps anyway.
    assert [int(row["step"]) for row in rows] == [3, 5]
    for row in rows:
        assert all(float(row[name]) > 0 for name in ("box_loss", "class_loss", "distribution_loss", "lr", "mean_count"))
        assert all(0 <= float(row[name]) <= 1 for name in ("AP", "AP50", "AP75", "AR100", "fitness"))
    assert load(finished.best).names == CLASS_NAMES


def test_weights_moved_and_best_holds_the_average(finished):
    kept = torch.load(finished.last, weights_only=True)
    trained, average = kept["current_model_state"], kept["state_dict"]
    assert sum(not torch.equal(trained[name], average[name]) for name in trained) > len(trained) / 2
    best = load(finished.best).state_dict()
    # Both epochs have AP 0, so that the first, of three updates, stays the best: some way from where it ended.
    assert any(not torch.equal(best[name], average[f"network.{name}"]) for name in best)
    assert int(kept["averaging_state"]["n_averaged"]) == 5


def test_same_seed_same_run_and_another_seed_another(finished, tiny, tmp_path):
    assert_same_run(finished, train(tiny, tmp_path / "again"))
    other = train(replace(tiny, seed=1, epochs=1), tmp_path / "other")
    assert other.results.read_text().splitlines()[1] != finished.results.read_text().splitlines()[1]


@pytest.mark.parametrize(
    ("batches", "save_steps"),
    [(2, 1), (2, None), (4, None), (5, 1)],
    ids=["within the first epoch", "before any checkpoint", "within the last, from its start", "within the last"],
)
def test_resumed_run_is_the_uninterrupted_one(finished, tiny, tmp_path, monkeypatch, batches, save_steps):
    out = tmp_path / "run"
    interrupted_train(monkeypatch, replace(tiny, save_steps=save_steps), out, batches)
    assert (out / "last.ckpt").exists() == (save_steps is not None or batches > 3)
    resumed = train(TrainSettings(workers=0), resume=out)
    assert_same_run(finished, resumed)


def test_killed_twice_and_between_saving_and_renaming(finished, tiny, tmp_path, monkeypatch):
    out = tmp_path / "run"
    interrupted_train(monkeypatch, replace(tiny, save_steps=1), out, 2)
    before = (out / "last.ckpt").read_bytes()
    rename = Path.replace

    def dying_rename(self, target):
        if Path(target).name == "last.ckpt":
            (out / ".last.ckpt.left").write_bytes(b"half a checkpoint")
            raise Killed
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", dying_rename)
    with pytest.raises(Killed):
        train(TrainSettings(workers=0), resume=out)
    monkeypatch.setattr(Path, "replace", rename)
    assert (out / "last.ckpt").read_bytes() == before
    assert_same_run(finished, train(TrainSettings(workers=0), resume=out))
    assert not list(out.glob(".last.ckpt.*"))


def test_full_disk_costs_a_warning_and_not_the_run(tiny, tmp_path, monkeypatch, caplog):
    run = train(replace(tiny, epochs=1), tmp_path / "run")
    before = run.last.read_bytes()
    config = read_settings(run.config)
    run.config.write_text(replace(config, epochs=2).to_yaml())  # a run that has one epoch to go

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    start = DetectorModule.on_train_start

    def filling_the_disk(self):
        monkeypatch.setattr(os, "fsync", full)
        start(self)

    monkeypatch.setattr(DetectorModule, "on_train_start", filling_the_disk)
    with caplog.at_level(logging.WARNING, "spikeyolo"):
        train(TrainSettings(workers=0), resume=run.path)
    assert "last.ckpt was not saved, training goes on" in caplog.text
    assert "No space left on device" in caplog.text
    assert run.last.read_bytes() == before
    assert not list(run.path.glob(".last.ckpt*"))


def test_loss_that_is_not_finite_names_and_keeps_the_batch(tiny, tmp_path, monkeypatch):
    run = RunFolder(tmp_path / "run")
    step = DetectorModule.training_step

    def poisoned(self, batch, batch_idx):
        if self.trainer.current_epoch == 1 and batch_idx == 1:
            batch = replace(batch, images=torch.full(batch.images.shape, float("nan")))
            self.batch = batch
        return step(self, batch, batch_idx)

    monkeypatch.setattr(DetectorModule, "training_step", poisoned)
    with pytest.raises(TrainingError, match="epoch 2, batch 2: the loss is not finite") as caught:
        train(tiny, run.path)
    kept = torch.load(run.path / "failed_batch.pt", weights_only=True)
    assert kept["images"].shape == (4, 3, 64, 64)
    assert bool(kept["images"].isnan().all())
    assert all(image_id in str(caught.value) for image_id in kept["image_ids"])
    last = torch.load(run.last, weights_only=True)
    assert last["epoch"] == 0
    assert all(bool(value.isfinite().all()) for value in last["current_model_state"].values())


def test_gradient_that_is_not_finite_stops_before_the_step(tiny, tmp_path, monkeypatch):
    def poisoned(self):
        next(self.network.parameters()).grad.fill_(float("inf"))

    monkeypatch.setattr(DetectorModule, "on_after_backward", poisoned)
    with pytest.raises(TrainingError, match="epoch 1, batch 1: the gradient is not finite"):
        train(tiny, tmp_path / "run")


def test_frozen_parts_keep_weights_and_statistics(tiny, tmp_path):
    run = train(replace(tiny, epochs=1, freeze=["head"]), tmp_path / "run")
    kept = torch.load(run.last, weights_only=True)["current_model_state"]
    start = starting_model(tiny, load(run.best).names)[0].state_dict()
    moved = {name for name, value in start.items() if not torch.equal(value, kept[f"network.{name}"])}
    assert moved
    assert not any(name.startswith("head.") for name in moved)
    assert any(name.startswith("backbone.") for name in moved)


def test_early_stopping(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("spikeyolo.training.module.fitness", lambda ap, ap50: 0.5)
    run = train(replace(tiny, epochs=6, patience=2), tmp_path / "run")
    assert len(run.results.read_text().splitlines()) == 1 + 3  # the first is the best, then two without a better one


def test_validation_only_now_and_then_but_always_at_the_end(tiny, tmp_path):
    run = train(replace(tiny, epochs=3, val_every=2), tmp_path / "run")
    rows = list(csv.DictReader(run.results.read_text().splitlines()))
    assert [row["AP"] != "" for row in rows] == [False, True, True]


def test_mixed_precision_with_adamw_and_without_augmentation(tiny, tmp_path):
    plain = {"precision": "bf16", "optimizer": "adamw", "lr": 1e-3, "augmentation": Augmentation.none()}
    run = train(replace(tiny, epochs=1, **plain), tmp_path / "run")
    assert len(run.results.read_text().splitlines()) == 2


def test_settings_of_a_run_cannot_change_but_those_of_the_machine(finished):
    changed = resumed_settings(finished.path, TrainSettings(workers=7))
    assert changed == replace(read_settings(finished.config), workers=7)
    with pytest.raises(ConfigError, match=r"epochs is 2 in .* and cannot become 9"):
        resumed_settings(finished.path, TrainSettings(epochs=9))
    with pytest.raises(ConfigError, match="no folder of a run"):
        resumed_settings(finished.path / "tensorboard", TrainSettings())


def test_folder_that_holds_a_run_is_not_overwritten(finished):
    with pytest.raises(ConfigError, match="already holds a run"):
        new_folder(finished.path)


def test_default_folders_are_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("runs/train").mkdir(parents=True)
    assert new_folder(None).path == Path("runs/train-2")


def test_damaged_checkpoint_is_one_error(tiny, tmp_path):
    run = train(replace(tiny, epochs=1), tmp_path / "run")
    run.last.write_bytes(run.last.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"last\.ckpt: cannot be read"):
        train(TrainSettings(workers=0), resume=run.path)
