"""Training, validation and energy on recordings, from the folder of recordings on."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.helpers.event_datasets import write_data_set
from tests.helpers.golden import GOLDEN

from spikeyolo import SpikeYOLO, load, load_reference
from spikeyolo.cli.main import main
from spikeyolo.data.open import open_data
from spikeyolo.energy.measure import measure
from spikeyolo.errors import ConfigError, DataError, TrainingError
from spikeyolo.evaluation.event_evaluator import EventEvaluation, protocol_of
from spikeyolo.evaluation.prophesee import GEN1
from spikeyolo.evaluation.validate import ValidationSettings, read_images, read_split, validate
from spikeyolo.events import EventInput
from spikeyolo.structures import Detections
from spikeyolo.training import module
from spikeyolo.training.run import train
from spikeyolo.training.settings import TrainSettings

SETTINGS = TrainSettings(
    model="t",
    epochs=2,
    batch=2,
    nominal_batch=2,
    warmup_epochs=1,
    workers=0,
    device="cpu",
    window_us=40_000,
    event_augmentation={"hflip": 0.5, "zoom": 0.5},
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data_set(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return train(replace(SETTINGS, data=str(data)), tmp_path_factory.mktemp("runs") / "run")


def test_a_run_keeps_how_recordings_become_frames(run, data):
    model = load(run.best)
    assert model.input == EventInput.of({"window_us": 40_000, "timesteps": 2})
    assert (model.config.in_channels, model.config.timesteps, model.config.input_levels) == (2, 2, 1)
    assert model.names == ("car", "person")
    for name in ("results.csv", "train_batch0.png", "val_predictions.png", "curves.png"):
        assert (run.path / name).is_file(), name


def test_validation_gives_both_rules_by_their_names(run, data, tmp_path):
    found = validate(load(run.best).fold(), read_split(data, "test"), ValidationSettings(workers=0))
    found.write_json(tmp_path / "n.json")
    numbers = json.loads((tmp_path / "n.json").read_text())
    assert {"prophesee", "plain_coco", "instants_without_output", "speed_ms", "form"} <= numbers.keys()
    assert numbers["protocol"] == "none"
    assert numbers["prophesee"]["protocol"]["skip_us"] == 0
    assert numbers["instants_without_output"] == 0
    assert numbers["plain_coco"]["images"] == 2
    assert [path.name for path in found.write_all(tmp_path)] == ["precision_recall.png", "f1.png"]


def test_the_headline_is_by_the_protocol_that_it_names(run, data, tmp_path):
    """All labels lie in the first half second: by Gen1's rule nothing counts."""
    index = replace(read_split(data, "test"), protocol="gen1")
    validate(load(run.best).fold(), index, ValidationSettings(workers=0)).write_json(tmp_path / "n.json")
    numbers = json.loads((tmp_path / "n.json").read_text())
    assert (numbers["protocol"], numbers["AP"], numbers["images"], numbers["boxes"]) == ("gen1", None, 0, 0)
    assert numbers["plain_coco"]["boxes"] == 3


def test_resumed_after_an_epoch_gives_the_same_weights(run, data, tmp_path, monkeypatch):
    original = module.DetectorModule.on_train_batch_start

    def stop(self, batch, batch_idx):
        if self.trainer.current_epoch == 1:
            raise TrainingError("stopped")
        return original(self, batch, batch_idx)

    with monkeypatch.context() as patched:
        patched.setattr(module.DetectorModule, "on_train_batch_start", stop)
        with pytest.raises(TrainingError, match="stopped"):
            train(replace(SETTINGS, data=str(data)), tmp_path / "run")
    resumed = train(TrainSettings(device="cpu", workers=0), resume=tmp_path / "run")
    expected = load(run.best).state_dict()
    for name, value in load(resumed.best).state_dict().items():
        assert torch.equal(value, expected[name]), name


@pytest.mark.parametrize("preparation", ["gen1-published", None])
def test_preparation_and_representation_are_chosen_on_the_command_line(data, tmp_path, preparation):
    given = {"preparation": preparation} if preparation else {"representation": "voxel_grid", "timesteps": 3}
    settings = replace(SETTINGS, data=str(data), epochs=1, window_us=None, **given)
    model = load(train(settings, tmp_path / "run").best)
    expected = (3, 2, 255) if preparation else (10, 3, 16)
    assert (model.config.in_channels, model.config.timesteps, model.config.input_levels) == expected


def test_labels_given_as_detections_are_perfect_by_both_rules(data):
    index = replace(read_split(data, "train"), protocol="none")
    evaluation = EventEvaluation.of(index)
    for instant in range(len(index)):
        boxes, labels = map(torch.from_numpy, index.objects(instant))
        evaluation.update([instant], [Detections(boxes, torch.ones(len(boxes)), labels)])
    both = evaluation.compute_both()
    assert pytest.approx(1.0) == both.prophesee.AP
    assert pytest.approx(1.0) == both.plain_coco.AP


def test_the_protocol_of_the_data_set_filters(data):
    """At 0.1 and 0.2 s nothing counts by Gen1's rule, and all by plain COCO's."""
    index = replace(read_split(data, "train"), protocol="gen1")
    evaluation = EventEvaluation.of(index)
    for instant in range(len(index)):
        boxes, labels = map(torch.from_numpy, index.objects(instant))
        evaluation.update([instant], [Detections(boxes, torch.ones(len(boxes)), labels)])
    both = evaluation.compute_both()
    assert both.protocol.skip_us == GEN1.skip_us
    assert both.prophesee.boxes == 0
    assert pytest.approx(1.0) == both.plain_coco.AP


def test_missing_instants_are_refused(data):
    evaluation = EventEvaluation.of(read_split(data, "train"))
    with pytest.raises(DataError, match="4 of 4 instants were not evaluated"):
        evaluation.compute_both()


@pytest.mark.parametrize(("name", "diagonal"), [("gen1", 30), ("1mpx", 60), ("1mpx-halved", 30), ("none", 0)])
def test_protocols_by_name(name, diagonal):
    protocol = protocol_of(name, ["a", "b"])
    assert (protocol.min_diagonal, protocol.class_names, protocol.class_ids) == (diagonal, ("a", "b"), (0, 1))


def test_energy_is_counted_on_recordings_whatever_the_batch(data):
    model, index = load_reference(GOLDEN / "gen1_tiny" / "reference.pt"), read_split(data, "train")
    model.input = EventInput("last_event_frame", window_us=40_000)
    one, four = (measure(model, index, 640, batch=batch, examples=2) for batch in (1, 4))
    assert one.layers == four.layers
    assert (one.images, one.size_hw, one.timesteps) == (4, (64, 96), 2)
    assert one.layers[0].timesteps == 2  # another frame each time, so the first convolution runs twice
    assert sum(layer.spikes for layer in one.layers) > 0
    assert one.examples[0].image.shape == (64, 96, 3)
    assert one.examples[0].image.dtype == np.uint8


@pytest.mark.parametrize("field", ["preparation", "representation", "window_us"])
def test_settings_of_recordings_are_refused_for_images(shapes, field):
    value = {"preparation": "counts", "representation": "voxel_grid", "window_us": 1000}[field]
    with pytest.raises(ConfigError, match=f"{field}: for recordings of event cameras"):
        train(TrainSettings(data=str(shapes), model="t", device="cpu", **{field: value}))


def test_images_and_recordings_are_not_taken_for_each_other(run, data, shapes):
    with pytest.raises(ConfigError, match="describes recordings"):
        read_images(data, "val")
    images = SpikeYOLO("t", names=open_data(data).names, num_classes=2)
    with pytest.raises(ConfigError, match="does not say how recordings become frames"):
        validate(images, read_split(data, "val"))
    with pytest.raises(ConfigError, match="gives T, C = 2, 2; the network takes 1, 3"):
        validate(images, read_split(data, "val"), ValidationSettings(preparation="counts"))


def test_commands_from_recordings_to_detections(run, data, tmp_path, capsys):
    weights = str(run.best)
    assert main(["val", "--weights", weights, "--data", str(data), "--split", "test", "--workers", "0"]) == 0
    assert "plain COCO, nothing filtered: 3 boxes at 2" in " ".join(capsys.readouterr().out.split())
    recording = str(data.parent / "test" / "d_td.dat")
    out = tmp_path / "out"
    assert main(["predict", "--weights", weights, "--source", recording, "--out", str(out), "--carry", "--json"]) == 0
    said = capsys.readouterr().out
    assert "15 frames" in said
    assert "real-time factor" in said
    assert (out / "d_td.mp4").stat().st_size > 1000
    for words in (["--source", "p.jpg", "--carry"], ["--source", recording, "--window-us", "0"]):
        assert main(["predict", "--weights", weights, *words]) == 1
        assert capsys.readouterr().err.count("\n") == 1
    assert main(["val", "--weights", weights, "--data", str(data), "--split", "tset"]) == 1
    assert "no split 'tset' (it has train, val, test); did you mean 'test'?" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_see_what_one_sees(data, tmp_path):
    rows = []
    for processes in (1, 2):
        out = tmp_path / f"run{processes}"
        words = f"train --model t --data {data} --epochs 1 --batch 4 --workers 0 --device cpu --out {out}"
        subprocess.run(
            [sys.executable, "-m", "spikeyolo", *words.split(), "--processes", str(processes)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=True,
            timeout=300,
        )
        (row,) = csv.DictReader((out / "results.csv").read_text().splitlines())
        rows.append(row)
    for name in ("box_loss", "class_loss", "distribution_loss", "mean_count"):
        assert float(rows[1][name]) == pytest.approx(float(rows[0][name]), rel=0.01), name
