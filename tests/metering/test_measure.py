"""Measuring a model on a data set, and what is said of it."""

import json

import numpy as np
import pytest
import torch
from tests.helpers.event_datasets import write_data_set
from tests.helpers.networks import lively

import spikeyolo
from spikeyolo.cli.main import main
from spikeyolo.data.open import open_data
from spikeyolo.errors import ConfigError
from spikeyolo.events import EventInput
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.metering.measure import measure
from spikeyolo.metering.report import (
    code_rows,
    code_table,
    counts_text,
    headline,
    layer_table,
    parameters_text,
    summary_table,
    to_json,
)
from spikeyolo.metering.technology import find_technology
from spikeyolo.synthetic.shapes import ShapesConfig, write_shapes

HOROWITZ = find_technology("45nm-fp32")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    data = write_shapes(tmp_path_factory.mktemp("energy") / "data", ShapesConfig(train=2, val=5, seed=1))
    return data, open_data(data).split("val")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    model = lively(dtype=torch.float32, num_classes=4, input=ImageInput((64, 64)))
    path = tmp_path_factory.mktemp("energy") / "m.safetensors"
    model.save(path)
    return model, path


@pytest.fixture(scope="module")
def measured(images, trained):
    """Of all five images at once. Nobody changes it."""
    return measure(trained[0], images[1])


@pytest.mark.long
@pytest.mark.few(1)
def test_measure_does_not_depend_on_batches_or_processes(images, trained, measured):
    _, index = images
    whole = measured
    assert whole.images == 5
    for options in ({"batch": 1}, {"batch": 3}, {"batch": 2, "processes": 2}):
        found = measure(trained[0], index, **options)
        assert found.layers == whole.layers
    assert [e.image.shape for e in whole.examples] == [(64, 64, 3)] * 4
    assert whole.examples[0].spikes.shape == (16, 16)


def test_json_holds_the_contract(measured):
    values = to_json(measured, HOROWITZ)
    json.dumps(values, allow_nan=False)
    assert {"gmac", "ann_mJ", "snn_mJ", "layers"} <= values.keys()
    layer = values["layers"][1]
    assert {"name", "macs", "mean_count", "firing_rate", "ac", "mac", "energy_mJ"} <= layer.keys()
    assert values["snn_mJ"] == pytest.approx(sum(x["energy_mJ"] for x in values["layers"]))
    assert values["gmac"] == pytest.approx(sum(x["macs"] for x in values["layers"]) / 1e9)
    assert values["ann"]["separable"]["gmac"] < values["ann"]["unfolded"]["gmac"] < values["ann"]["dense"]["gmac"]
    assert values["firing_rate"] == pytest.approx(
        np.average(
            [x["firing_rate"] for x in values["layers"][1:]], weights=[x["inputs"] for x in values["layers"][1:]]
        )
    )


def test_both_slot_codes_stand_side_by_side(measured):
    values = to_json(measured, HOROWITZ)
    unary, binary = values["slot_codes"]["unary"], values["slot_codes"]["binary"]
    assert (unary["slots"], binary["slots"], binary["slot_weights"]) == (4, 3, (4, 2, 1))
    for key in ("snn_mJ", "snn_memory_mJ", "firing_rate", "synaptic_ops"):
        assert unary[key] == values[key]  # the headline is of the published code
        assert binary[key] < unary[key]
    assert (unary["doublings"], binary["doublings"]) == (0, 2 * sum(x["outputs"] for x in values["layers"][1:]))
    for code in (unary, binary):
        name = "unary" if code is unary else "binary"
        for key in ("spikes", "doublings"):
            assert code[key] == pytest.approx(sum(x["slot_codes"][name][key] for x in values["layers"]))
        assert code["synaptic_ops"] == pytest.approx(sum(x["slot_codes"][name]["ac"] for x in values["layers"]))
        assert code["snn_mJ"] == pytest.approx(sum(x["slot_codes"][name]["energy_mJ"] for x in values["layers"]))
    shares, neurons = values["histogram"], sum(x["inputs"] for x in values["layers"][1:])
    assert sum(shares) == pytest.approx(1)
    assert unary["spikes"] == pytest.approx(neurons * (shares[1] + 2 * shares[2] + 3 * shares[3] + 4 * shares[4]))
    assert binary["spikes"] == pytest.approx(neurons * (shares[1] + shares[2] + 2 * shares[3] + shares[4]))
    rows = {label: row for label, *row in code_rows(values)}
    assert rows["weights of a timestep's slots"] == ["4 of 1", "4, 2, 1", ""]
    assert rows["slots"] == ["4", "3", "0.750"]
    assert rows["M doublings"] == ["0.000", f"{binary['doublings'] / 1e6:.3f}", ""]
    assert rows["M additions"][2] == f"{binary['synaptic_ops'] / unary['synaptic_ops']:.3f}"
    assert code_table(values).row_count == len(rows) == 8
    assert counts_text(values).startswith(f"spike counts: 0: {shares[0]:.1%}, 1: {shares[1]:.1%}, ")


def test_large_counts_stand_together():
    values = {"histogram": [0.5, *[0.01] * 50]}
    assert counts_text(values).endswith(", 8: 1.0%, 9+: 42.0%")


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    """Recordings, and a model of them."""
    data = write_data_set(tmp_path_factory.mktemp("recordings"))
    seen = EventInput("stacked_histogram", window_us=40_000)
    shape = {"timesteps": 2, "in_channels": seen.channels, "input_levels": 1}
    return open_data(data).split("train"), lively(dtype=torch.float32, num_classes=2, input=seen, **shape)


def test_recordings_are_counted_by_the_window(windows):
    index, model = windows
    found = measure(model, index, batch=3)
    assert (found.unit, found.images, found.timesteps) == ("window", len(index), 2)
    assert found.size_hw == (64, 96)
    assert measure(model, index, batch=1).layers == found.layers
    titles = [layer_table(found, HOROWITZ).title, summary_table(found, HOROWITZ).title]
    assert titles == ["A window of 64 x 96, mean of 4 windows", "Energy of a window: 45 nm, 32-bit floating point"]
    assert headline(to_json(found, HOROWITZ))[0].startswith("A window costs")
    with pytest.raises(ConfigError, match="imgsz: for images"):
        measure(model, index, 64)


@pytest.mark.long
def test_the_spike_driven_form_is_made_once_for_proof_and_count(images, trained, measured, monkeypatch):
    made, original = [], spikeyolo.SpikeYOLO.to_spike_driven
    monkeypatch.setattr(spikeyolo.SpikeYOLO, "to_spike_driven", lambda self: made.append(1) or original(self))
    found = measure(trained[0], images[1], verify=True)
    assert len(made) == 1
    assert len(found.audit.spiking_convolutions) == 88
    assert measured.audit is None
    assert measured.layers == found.layers


def test_both_numbers_of_parameters_are_told(trained, measured):
    found = measured
    assert found.trained_parameters == sum(p.numel() for p in trained[0].parameters())
    assert found.parameters == sum(p.numel() for p in trained[0].fold(dense=True).parameters()) > 1.5e6
    dense, counted = f"{found.parameters / 1e6:.1f}", f"{found.trained_parameters / 1e6:.1f}"
    expected = f"{dense} M parameters of the dense form ({counted} M as trained)"
    assert parameters_text(to_json(found, HOROWITZ)) == expected


def test_the_headline_adds_operations_and_memory_and_says_when_spikes_lose():
    values = {"unit": "window", "snn_mJ": 0.165, "ann_mJ": 0.758, "snn_memory_mJ": 5.319, "ann_memory_mJ": 4.640}
    first, operations, memory = headline(values)
    assert first == (
        "A window costs 5.484 mJ with spikes and 5.398 mJ as a dense ANN, operations and memory traffic together: "
        "spikes cost 1.02 times as much."
    )
    assert operations == (
        "Operations alone: 0.165 mJ with spikes, 0.758 mJ as a dense ANN (the ANN costs 4.59 times as much)."
    )
    assert "5.319 mJ with spikes, 4.640 mJ as a dense ANN (spikes cost 1.15 times as much)" in memory
    (only,) = headline({**values, "unit": "image", "snn_memory_mJ": None, "ann_memory_mJ": None})
    assert only.startswith("An image costs 0.165 mJ with spikes, 0.758 mJ as a dense ANN")
    assert "memory traffic is not known" in only
    (only,) = headline({**values, "ann_mJ": None})
    assert "an ANN cannot run on this hardware" in only


def test_command(images, trained, tmp_path, capsys):
    words = ["energy", "--weights", str(trained[1]), "--data", str(images[0]), "--workers", "0"]
    assert main([*words, "--json", str(tmp_path / "e.json")]) == 0
    said = capsys.readouterr().out
    assert "88 convolutions on zeros and ones alone" in said
    assert "backbone.stage1.0.token_mixer.0" in said
    assert "operations and memory traffic together" in said
    assert "An image in both slot codes" in said
    assert "spike counts: 0: " in said
    assert json.loads((tmp_path / "e.json").read_text())["images"] == 5
    assert main([*words, "--technology", "nowhere"]) == 1
    assert "neither a file" in capsys.readouterr().err
    folded = tmp_path / "folded.safetensors"
    trained[0].fold().save(folded)
    assert main(["energy", "--weights", str(folded), "--data", str(images[0])]) == 1
    assert "needs the trained model" in capsys.readouterr().err
