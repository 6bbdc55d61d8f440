"""Sweeps over T and D: on images and on recordings, gone on with, and refused where they would go wrong."""

import csv
import json
from dataclasses import replace

import cv2
import pytest
import torch
import yaml
from tests.helpers.event_datasets import write_data_set
from tests.helpers.networks import lively
from tests.helpers.runs import tiny_settings

import spikeyolo
from spikeyolo.cli.main import main
from spikeyolo.errors import ConfigError
from spikeyolo.evaluation.validate import ValidationSettings
from spikeyolo.events import EventInput
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.metering.technology import find_technology
from spikeyolo.spiking import SlotCode
from spikeyolo.sweep import Sweep, SweepPoint, at


@pytest.fixture
def weights(shapes, tmp_path):
    path = tmp_path / "m.safetensors"
    names = list(yaml.safe_load(shapes.read_text())["names"].values())
    seen = ImageInput((64, 64))
    lively(dtype=torch.float32, num_classes=len(names), names=names, input=seen).save(path)
    return path


def test_at_changes_nothing_but_time_and_count():
    network = lively(num_classes=2)
    changed = at(network, 2, 3)
    assert (changed.config.timesteps, changed.config.max_count) == (2, 3)
    same = at(network, network.config.timesteps, network.config.max_count)
    image = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    with torch.inference_mode():
        for ours, theirs in zip(same.double()(image), network(image), strict=True):
            assert ours.equal(theirs)
    with pytest.raises(ConfigError, match="dense"):
        at(network.fold(dense=True), 1, 1)


def sweep(shapes, weights, out, **options):
    words = [f"--{name}={value}" for name, value in options.items()]
    words = ["sweep", "--data", str(shapes), "--weights", str(weights), "--out", str(out), *words]
    return main([*words, "--workers", "0", "--device", "cpu"])


def test_a_grid_is_measured_and_gone_on_with(shapes, weights, tmp_path, capsys):
    out = tmp_path / "sweep"
    assert sweep(shapes, weights, out, timesteps="1", **{"max-count": "2,4"}) == 0
    first = json.loads((out / "sweep.json").read_text())
    # What is there is kept: a mark in it survives, and only the new points are computed.
    first["points"][0]["AP"] = 0.123
    (out / "sweep.json").write_text(json.dumps(first))
    assert sweep(shapes, weights, out, timesteps="1,2", **{"max-count": "2,4"}) == 0
    assert "Average precision against energy" in capsys.readouterr().out
    with (out / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["timesteps"], row["max_count"]) for row in rows] == [("1", "2"), ("1", "4"), ("2", "2"), ("2", "4")]
    assert rows[0]["AP"] == "0.123"
    energy = {(row["timesteps"], row["max_count"]): float(row["snn_mJ"]) for row in rows}
    assert energy["1", "2"] < energy["1", "4"]  # a neuron that may count further sends more
    assert 1.5 < energy["2", "4"] / energy["1", "4"] < 2.2
    assert len({row["ann_mJ"] for row in rows}) == 1
    assert cv2.imread(str(out / "sweep.png")) is not None

    before = (out / "sweep.json").read_bytes()
    assert sweep(shapes, weights, out, split="train") == 1
    assert "a sweep of other weights, data or settings" in capsys.readouterr().err
    assert (out / "sweep.json").read_bytes() == before


@pytest.mark.long
def test_a_model_is_swept_by_its_name(shapes, tmp_path, capsys):
    out = tmp_path / "sweep"
    assert sweep(shapes, "t-bccd", out, timesteps="1", imgsz="64", **{"max-count": "4"}) == 0
    table = capsys.readouterr().out
    assert "additions" in table  # and not cut in 80 columns
    (point,) = json.loads((out / "sweep.json").read_text())["points"]
    assert point["firing_rate"] > 0


def test_both_slot_codes_have_the_same_precision_at_other_energies(shapes, weights, tmp_path, capsys):
    out = tmp_path / "sweep"
    assert sweep(shapes, weights, out, timesteps="1", **{"max-count": "1,4"}) == 0
    before = json.loads((out / "sweep.json").read_text())
    for point in before["points"]:
        del point["slot_code"], point["doublings"]  # as a file from before there were codes
    (out / "sweep.json").write_text(json.dumps(before))
    assert sweep(shapes, weights, out, timesteps="1", **{"max-count": "1,4", "slot-code": "binary,unary"}) == 0
    assert "binary" in capsys.readouterr().out
    with (out / "sweep.csv").open() as file:
        rows = {(row["max_count"], row["slot_code"]): row for row in csv.DictReader(file)}
    assert list(rows) == [("1", "unary"), ("1", "binary"), ("4", "unary"), ("4", "binary")]
    for count in ("1", "4"):
        for key in ("AP", "AP50", "ann_mJ"):
            assert rows[count, "unary"][key] == rows[count, "binary"][key]
    unary, binary = (
        {k: float(rows["4", code][k]) for k in ("snn_mJ", "synaptic_ops", "doublings")} for code in SlotCode
    )
    assert binary["synaptic_ops"] < unary["synaptic_ops"]
    fewer = unary["synaptic_ops"] - binary["synaptic_ops"] - binary["doublings"]
    assert unary["snn_mJ"] - binary["snn_mJ"] == pytest.approx(fewer * 0.9e-9)
    assert rows["1", "unary"]["snn_mJ"] == rows["1", "binary"]["snn_mJ"]  # one slot in either
    assert [SweepPoint(**point).slots for point in json.loads((out / "sweep.json").read_text())["points"]] == [
        1,
        1,
        4,
        3,
    ]
    assert cv2.imread(str(out / "sweep.png")) is not None


@pytest.mark.long
def test_recordings_are_swept_their_windows_cut_into_other_timesteps(tmp_path):
    data, seen = write_data_set(tmp_path / "data"), EventInput("stacked_histogram", window_us=40_000)
    shape = {"timesteps": 2, "in_channels": seen.channels, "input_levels": 1, "names": ("car", "person")}
    model = lively(dtype=torch.float32, num_classes=2, input=seen, **shape)
    model.save(tmp_path / "m.safetensors")
    assert at(model, 4, 2).input == EventInput("stacked_histogram", timesteps=4, window_us=40_000)
    found, settings = [], ValidationSettings(workers=0)
    swept = Sweep(tmp_path / "out", str(data), "train", settings, find_technology("45nm-fp32"))
    swept.evaluate(str(tmp_path / "m.safetensors"), [(1, 4), (2, 4)], "cpu", found.append)
    assert [(point.timesteps, point.max_count) for point in found] == [(1, 4), (2, 4)]
    assert 1.3 < found[1].synaptic_ops / found[0].synaptic_ops < 3
    subject = json.loads((tmp_path / "out" / "sweep.json").read_text())["subject"]
    assert (subject["input"]["kind"], subject["input"]["window_us"]) == ("recordings", 40_000)


@pytest.mark.long
def test_another_size_is_another_sweep_and_the_models_own_is_not(shapes, weights, tmp_path, capsys):
    out = tmp_path / "sweep"
    grid = {"timesteps": "1", "max-count": "2"}
    assert sweep(shapes, weights, out, **grid) == 0
    assert sweep(shapes, weights, out, imgsz=64, **grid) == 0
    assert sweep(shapes, weights, out, imgsz=96, **grid) == 1
    assert "a sweep of other weights, data or settings" in capsys.readouterr().err


@pytest.mark.parametrize("change", [{"processes": 2}, {"nodes": 2}, {"device": "0,1"}])
def test_trainings_of_several_processes_are_refused(shapes, tmp_path, change):
    """Each process would run the whole sweep and write into one folder."""
    swept = Sweep(tmp_path / "out", str(shapes), "val", ValidationSettings(workers=0), find_technology("45nm-fp32"))
    with pytest.raises(ConfigError, match="sweep: --train needs one process on one device"):
        swept.train(replace(tiny_settings(shapes), **change), [(1, 1)], "cpu", print)
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_trainings_of_a_grid(shapes, tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("batch: 4\nwarmup_epochs: 0\nval_every: 1\n")
    out = tmp_path / "sweep"
    words = ["sweep", "--data", str(shapes), "--train", str(recipe), "--model", "t", "--epochs", "1", "--imgsz", "64"]
    words += ["--out", str(out), "--workers", "0", "--device", "cpu", "--timesteps", "1", "--max-count", "1,2"]
    assert main(words) == 0
    for count in (1, 2):
        assert spikeyolo.load(out / f"T1_D{count}" / "best.safetensors").config.max_count == count
    kept = json.loads((out / "sweep.json").read_text())
    # As if it had been interrupted before: trained runs are not trained again.
    (out / "sweep.json").write_text(json.dumps({**kept, "points": []}))
    made = (out / "T1_D1" / "best.safetensors").stat().st_mtime_ns
    assert main([*words, "--workers", "1"]) == 0
    assert main([*words, "--workers", "0"]) == 0  # where it computes may change; what it computes may not
    assert (out / "T1_D1" / "best.safetensors").stat().st_mtime_ns == made
    assert main([*words, "--epochs", "2"]) == 1
    assert "a sweep of other weights, data or settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give either --weights"),
        (["--weights", "m.safetensors", "--train", "small"], "give either --weights"),
        (["--weights", "m.safetensors", "--epochs", "3"], "belong to --train"),
        (["--weights", "m.safetensors", "--timesteps", "1,x"], "--timesteps: '1,x' is not a list"),
        (["--weights", "m.safetensors", "--max-count", "0"], "--max-count: '0' is not a list"),
        (["--weights", "m.safetensors", "--slot-code", "unary,gray"], "slot_code: 'gray' is not one of unary, binary"),
        (["--weights", "nowhere.safetensors"], "nowhere.safetensors: no such file"),
        (["--train", "nosuch"], "no file 'nosuch', and no such recipe"),
    ],
)
def test_mistakes(shapes, words, said, capsys):
    assert main(["sweep", "--data", str(shapes), *words]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
