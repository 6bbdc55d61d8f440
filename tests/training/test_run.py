"""Whole trainings of preset t on a few tiny images."""

from __future__ import annotations

import csv
import warnings
from dataclasses import replace

import lightning.pytorch as pl
import pytest
import torch
import yaml
from tests.helpers.runs import assert_same_run, train_until

from spikeyolo import load
from spikeyolo.data.images.augmentation import Augmentation
from spikeyolo.data.images.image_data import ImageData
from spikeyolo.errors import ConfigError, DataError, TrainingError
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.locks import NAME
from spikeyolo.synthetic.scene import CLASS_NAMES
from spikeyolo.training.history import LOSSES
from spikeyolo.training.module import DetectorModule
from spikeyolo.training.run import train
from spikeyolo.training.run_folder import RunFolder
from spikeyolo.training.settings import TrainSettings
from spikeyolo.training.step_log import Step
from spikeyolo.training.transfer import starting_model


def test_run_folder_holds_what_the_design_says(finished, shapes):
    names = {path.name for path in finished.path.iterdir()}
    images = {"train_batch0.png", "train_batch1.png", "train_batch2.png", "val_predictions.png", "curves.png"}
    files = {"config.yaml", "data.json", "results.csv", "best.safetensors", "last.ckpt", "tensorboard", NAME}
    assert names == files | images
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
    best = load(finished.best)
    assert (best.names, best.input) == (CLASS_NAMES, ImageInput.of(64))


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


def test_loss_that_is_not_finite_names_and_keeps_the_batch(tiny, tmp_path, monkeypatch):
    run = RunFolder(tmp_path / "run")
    step = DetectorModule.training_step

    def poisoned(self, batch, batch_idx):
        if self.trainer.current_epoch == 1 and batch_idx == 1:
            batch = replace(batch, images=torch.full(batch.images.shape, float("nan")))
            self.trainer.datamodule.host_batch = batch
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
    start = starting_model(tiny, load(run.best).names, ImageInput.of(64))[0].state_dict()
    moved = {name for name, value in start.items() if not torch.equal(value, kept[f"network.{name}"])}
    assert moved
    assert not any(name.startswith("head.") for name in moved)
    assert any(name.startswith("backbone.") for name in moved)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("patience", "val_every", "epochs"),
    [(2, 1, 3), (2, 2, 4), (3, 2, 6)],
    ids=["the first is the best, then two", "one validation is two epochs", "rounded up to two validations"],
)
def test_patience_counts_epochs(tiny, tmp_path, monkeypatch, patience, val_every, epochs):
    monkeypatch.setattr("spikeyolo.training.module.fitness", lambda ap, ap50: 0.5)
    monkeypatch.setattr(DetectorModule, "training_step", lambda self, batch, batch_idx: fake_step(self))
    run = train(replace(tiny, epochs=12, patience=patience, val_every=val_every), tmp_path / "run")
    assert len(run.results.read_text().splitlines()) == 1 + epochs


def fake_step(module: DetectorModule) -> None:
    """A step that learns nothing."""
    losses = dict.fromkeys(LOSSES, torch.tensor(1.0))
    module.unread.append(Step(module.trainer.datamodule.host_batch, 0, 0, 0.1, losses, torch.tensor(0.5)))
    module.optimizers().step()
    module.read_steps()


def test_nothing_that_is_logged_has_to_be_exchanged_as_a_tensor_of_the_cpu(tiny, tmp_path, monkeypatch):
    """NCCL, which trains on several GPUs, refuses those: the first validation would be the end."""
    seen, log = [], pl.LightningModule.log

    def watched(self, name, value, *args, **options):
        seen.append((name, value, options.get("sync_dist", False)))
        log(self, name, value, *args, **options)

    monkeypatch.setattr(pl.LightningModule, "log", watched)
    monkeypatch.setattr(DetectorModule, "training_step", lambda self, batch, batch_idx: fake_step(self))
    train(replace(tiny, epochs=1, patience=1), tmp_path / "run")
    assert [name for name, _, _ in seen] == ["fitness"]
    assert not any(exchanged and isinstance(value, torch.Tensor) for _, value, exchanged in seen)


def test_a_training_says_what_it_is_about_to_do(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(DetectorModule, "training_step", lambda self, batch, batch_idx: fake_step(self))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nor does it say anything else
        train(replace(tiny, epochs=1), tmp_path / "run")
    said = capsys.readouterr()
    for words in (
        "model t: 1.7 M parameters, 4 classes, neuron coco, T = 1, D = 4; it sees images of 64 x 64 pixels",
        "10 to train on with ",
        "4 to validate on with ",
        "1 epoch of 3 batches of 4, 2 batches a step, sgd at 0.01, on CPU in 32; written to",
        "epoch 1/1  box 1.000",
    ):
        assert words in said.out
    assert said.err == ""


def test_data_that_cannot_be_used_make_no_folder_and_are_read_once(tiny, tmp_path, monkeypatch):
    """The first process reads them before others start, which find the index that it kept."""
    splits, split = [], ImageData.split

    def counted(self, name, **options):
        splits.append(name)
        if name == "val" and len(splits) > 2:
            raise DataError("broken")
        return split(self, name, **options)

    monkeypatch.setattr(ImageData, "split", counted)
    monkeypatch.setattr(DetectorModule, "training_step", lambda self, batch, batch_idx: fake_step(self))
    train(replace(tiny, epochs=1), tmp_path / "run")
    assert splits == ["train", "val"]
    with pytest.raises(DataError, match="broken"):
        train(replace(tiny, epochs=1), tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"preparation": "counts"}, "preparation: for recordings"),
        ({"representation": "voxel_grid"}, "representation: for recordings"),
        ({"window_us": 1000}, "window_us: for recordings"),
        ({"event_augmentation": {"zoom": 0.0}}, r"event_augmentation\.zoom: for recordings"),
        ({"data": ""}, "data: name a data.yaml"),
    ],
)
def test_settings_that_do_not_apply_are_refused(tiny, tmp_path, given, said):
    with pytest.raises(ConfigError, match=said):
        train(replace(tiny, **given), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_validation_only_now_and_then_but_always_at_the_end(tiny, tmp_path):
    run = train(replace(tiny, epochs=3, val_every=2), tmp_path / "run")
    rows = list(csv.DictReader(run.results.read_text().splitlines()))
    assert [row["AP"] != "" for row in rows] == [False, True, True]


@pytest.mark.long
def test_learned_scales_learn_and_go_on_where_they_were(tiny, tmp_path):
    learning = replace(tiny, epochs=3, learned_scale="channel", surrogate_width=0.5, max_count=7)
    whole = train(learning, tmp_path / "whole")
    weights = torch.load(whole.last, weights_only=True)["current_model_state"]
    scales = torch.cat([v for name, v in weights.items() if name.endswith(".neuron.scale")])
    assert (scales > 0).all()
    assert (scales != 1).double().mean() > 0.5
    train_until(4, replace(learning, save_steps=1), tmp_path / "killed")
    assert_same_run(whole, train(TrainSettings(), resume=tmp_path / "killed"))


@pytest.mark.long
def test_scales_in_mixed_precision(tiny, tmp_path):
    run = train(replace(tiny, epochs=1, precision="bf16", learned_scale="layer"), tmp_path / "run")
    assert all(value.isfinite().all() for value in load(run.best).state_dict().values())


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_mixed_precision_with_other_optimisers_and_without_augmentation(tiny, tmp_path, name):
    plain = {"precision": "bf16", "optimizer": name, "lr": 1e-3, "augmentation": Augmentation.none()}
    run = train(replace(tiny, epochs=1, **plain), tmp_path / "run")
    assert len(run.results.read_text().splitlines()) == 2
