"""Whole trainings with a teacher, an energy term and a last phase in which convolutions stay as they are."""

from __future__ import annotations

import csv
import shutil
import subprocess
from dataclasses import replace

import pytest
import torch
from tests.helpers.event_datasets import write_data_set
from tests.helpers.runs import ENVIRONMENT, assert_same_run, command, tiny_settings, train_until
from torch import nn

from spikeyolo import SpikeYOLO, load
from spikeyolo.errors import CheckpointError, ConfigError
from spikeyolo.synthetic.scene import CLASS_NAMES
from spikeyolo.training.run import train
from spikeyolo.training.run_folder import RunFolder
from spikeyolo.training.settings import TrainSettings, read_settings

LOSSES = ("feature_loss", "soft_class_loss", "soft_box_loss", "energy_loss")


@pytest.fixture(scope="session")
def twin(tmp_path_factory):
    """An ANN twin of the generated images' classes."""
    file = tmp_path_factory.mktemp("twin") / "twin.safetensors"
    torch.manual_seed(5)
    SpikeYOLO("t", names=CLASS_NAMES, neuron="relu").save(file)
    return file


@pytest.fixture(scope="session")
def aided(shapes, twin) -> TrainSettings:
    given = {"energy_weight": 2.0, "energy_code": "binary", "calibration_epochs": 1}
    return replace(tiny_settings(shapes), teacher=str(twin), **given)


@pytest.fixture(scope="session")
def whole(aided, tmp_path_factory) -> RunFolder:
    """A run with all of them; nobody writes to it."""
    return train(aided, tmp_path_factory.mktemp("aided") / "run")


def rows_of(run: RunFolder) -> list[dict[str, str]]:
    return list(csv.DictReader(run.results.read_text().splitlines()))


def weights(run: RunFolder) -> dict[str, torch.Tensor]:
    return torch.load(run.last, weights_only=True)["current_model_state"]


def test_what_a_run_shows_and_keeps(whole, finished):
    plain, first, second = rows_of(finished)[0], *rows_of(whole)
    assert list(first) == [*plain, *LOSSES, "gsop"]
    # The warm-up, all of the first epoch, leaves energy out and counts it.
    assert (float(first["energy_loss"]), float(second["energy_loss"]) > 0) == (0, True)
    assert all(float(row[name]) > 0 for row in (first, second) for name in (*LOSSES[:3], "gsop"))
    projectors = {name for name in weights(whole) if not name.startswith("network.")}
    assert projectors == {f"aids.0.projectors.{level}.{name}" for level in range(3) for name in ("weight", "bias")}
    assert load(whole.best).state_dict().keys() == load(finished.best).state_dict().keys()


@pytest.mark.long
def test_run_that_was_killed_within_the_last_epoch_ends_like_the_uninterrupted_one(whole, aided, tmp_path):
    out = tmp_path / "run"
    train_until(5, replace(aided, save_steps=1), out)
    assert_same_run(whole, train(TrainSettings(), resume=out))


@pytest.mark.long
def test_a_run_says_what_it_learns_from(aided, tmp_path, capsys):
    train(replace(aided, epochs=1), tmp_path / "run")
    said = capsys.readouterr().out
    for words in (
        "learns from twin.safetensors, 1.7 M parameters, neuron relu, T = 1, D = 4: features weigh 1, class scores 0.5",
        "the share of additions that spikes cause (binary code, of 4 spikes a neuron) weighs 2 after the warm-up",
        "in the last 1 of them convolutions stay as they are; norms and scales alone learn",
        "energy 0  gsop 0.0",
    ):
        assert words in said


@pytest.mark.long
def test_another_teacher_is_refused_a_moved_one_is_not(whole, twin, tmp_path):
    copied = RunFolder(tmp_path / "run")
    shutil.copytree(whole.path, copied.path)
    other, moved = tmp_path / "other.safetensors", tmp_path / "moved.safetensors"
    SpikeYOLO("t", names=CLASS_NAMES).save(other)
    shutil.copy(twin, moved)
    with pytest.raises(ConfigError, match=r"teacher: .*other\.safetensors is not the file that this run has learnt"):
        train(TrainSettings(teacher=str(other)), resume=copied.path)
    assert read_settings(copied.config).teacher == str(twin)
    train(TrainSettings(teacher=str(moved)), resume=copied.path)
    assert read_settings(copied.config).teacher == str(moved)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda kept: kept["state_dict"].pop("aids.0.projectors.1.bias"),
            r"state_dict has no 'aids.0.projectors.1.bias'",
        ),
        (lambda kept: kept["state_dict"]["aids.0.projectors.1.bias"].fill_(torch.nan), "projectors.1.bias holds NaN"),
        (lambda kept: kept["state_dict"].update({"aids.1.more": torch.zeros(1)}), "is of another network"),
        (lambda kept: kept["history"]["current"][3].update(gsop="many"), "history is 'many', not a number"),
    ],
    ids=["missing", "NaN", "of another aid", "text"],
)
def test_what_is_kept_of_aids_is_checked(whole, tmp_path, change, said):
    damaged = RunFolder(tmp_path / "run")
    shutil.copytree(whole.path, damaged.path)
    kept = torch.load(damaged.last, weights_only=True)
    change(kept)
    torch.save(kept, damaged.last)
    with pytest.raises(CheckpointError, match=said):
        train(TrainSettings(epochs=3), resume=damaged.path)


@pytest.mark.long
def test_two_processes_and_recordings_in_bf16(aided, whole, tmp_path):
    """Every process learns from the teacher; losses are means over all their images."""
    data = write_data_set(tmp_path / "data")
    teacher = tmp_path / "events.safetensors"
    SpikeYOLO("t-gen1", names=("car", "person"), in_channels=2).save(teacher)
    settings = replace(
        aided, data=str(data), teacher=str(teacher), imgsz=None, precision="bf16", processes=2, batch=2, nominal_batch=2
    )
    subprocess.run(command(tmp_path, settings, tmp_path / "run"), env=ENVIRONMENT, check=True, timeout=600)
    for row in rows_of(RunFolder(tmp_path / "run")):
        assert all(float(row[name]) > 0 for name in (*LOSSES[:3], "gsop"))


def test_a_run_without_a_teacher_gets_none_later(finished, twin):
    with pytest.raises(ConfigError, match=r"resume: teacher is None in .* and cannot become"):
        train(TrainSettings(teacher=str(twin)), resume=finished.path)


def test_what_cannot_be_makes_no_folder(tiny, aided, tmp_path):
    other = tmp_path / "other.safetensors"
    SpikeYOLO("t", num_classes=3).save(other)
    for settings, said in (
        (replace(aided, teacher=str(other)), "knows 3 classes, the data have 4"),
        (replace(tiny, energy_weight=1.0, neuron="relu"), "energy_weight: an ANN twin has no spikes"),
    ):
        with pytest.raises(ConfigError, match=said):
            train(settings, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_in_the_last_epochs_norms_alone_learn(tiny, tmp_path):
    """Neither weight decay nor momentum moves a convolution, the head's biases included."""
    settings = replace(tiny, calibration_epochs=1, weight_decay=0.5)
    run = RunFolder(tmp_path / "run")
    train_until(4, settings, run.path)  # last.ckpt is of the first epoch's end
    before = weights(run)
    after = weights(train(TrainSettings(), resume=run.path))
    convolutions = {
        f"network.{name}.{key}"
        for name, module in SpikeYOLO("t", names=CLASS_NAMES).named_modules()
        if isinstance(module, nn.Conv2d)
        for key in module.state_dict()
    }
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert not moved & convolutions
    norms = {name for name in before if name.endswith(("norm.weight", "norm.bias"))}
    assert len(moved & norms) > 0.9 * len(norms)
    assert len(convolutions) > 80


@pytest.mark.long
def test_start_from_the_twin_with_learned_scales_is_the_same_after_a_kill(tiny, twin, tmp_path, capsys):
    """Scales are set from the same batches again where there is no checkpoint yet, and from last.ckpt afterwards."""
    settings = replace(tiny, model=str(twin), neuron="coco", learned_scale="channel", epochs=1)
    whole = train(settings, tmp_path / "whole")
    assert "learned scales set from the potentials of 10 images: " in capsys.readouterr().out
    scales = [value for name, value in weights(whole).items() if name.endswith(".neuron.scale")]
    assert len(scales) > 80
    # They begin at 1 without data, and in the layers that stay silent in a twin which nothing has been learnt by.
    assert sum(float(value.mean()) < 0.5 for value in scales) > 10
    for batches, save_steps in ((1, None), (2, 1)):
        out = tmp_path / f"killed-{batches}"
        train_until(batches, replace(settings, save_steps=save_steps), out)
        assert_same_run(whole, train(TrainSettings(), resume=out))


@pytest.mark.long
def test_a_training_in_its_warm_up_is_that_without_an_energy_term(finished, tiny, tmp_path):
    """To the last digit: counting changes nothing."""
    run = train(replace(tiny, epochs=1, energy_weight=5.0), tmp_path / "run")
    found, plain = rows_of(run)[0], rows_of(finished)[0]
    assert {name: found[name] for name in plain} == plain
