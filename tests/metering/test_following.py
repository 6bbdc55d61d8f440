"""Energy of recordings that are followed with potentials carried, by timestep."""

import json

import pytest
import torch
from tests.helpers.event_datasets import boxes_of, write_recording
from tests.helpers.networks import lively

from spikeyolo.cli.main import main
from spikeyolo.data.open import open_data
from spikeyolo.errors import ConfigError
from spikeyolo.events import EventInput, open_recording, render
from spikeyolo.imaging.tensors import as_input
from spikeyolo.metering.counting import on_counts, unit_of, watched
from spikeyolo.metering.measure import measure
from spikeyolo.metering.report import step_rows, to_json
from spikeyolo.metering.technology import find_technology

SIZE_HW = (32, 64)
SEEN = EventInput("count_frames", timesteps=2, window_us=40_000)


@pytest.fixture(scope="module")
def model():
    return lively("t", dtype=torch.float32, num_classes=2, timesteps=2, in_channels=2, input=SEEN, neuron="gen1")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Recordings of 2, 4 and 12 timesteps up to their last labels."""
    root = tmp_path_factory.mktemp("following")
    for number, end_us in enumerate((40_000, 80_000, 240_000)):
        boxes = boxes_of((40_000, 10, 8, 30, 20, 0), (end_us, 12, 9, 30, 20, 1))
        write_recording(root / "val", f"r{number}", boxes, seed=number, end_us=240_001, size_hw=SIZE_HW)
    file = root / "data.yaml"
    file.write_text("format: prophesee\nval: val\nnames: [car, person]\n")
    return file


@pytest.fixture(scope="module")
def index(data):
    return open_data(data).split("val")


@pytest.fixture(scope="module")
def followed(model, index):
    return measure(model, index, carry=True, batch=2)


def test_each_timestep_is_that_of_one_long_pass(model, index, followed):
    """Spikes and additions of the network run by hand, recording by recording, a timestep at a time."""
    network, spikes, additions, samples = on_counts(model), [0] * 9, [0] * 9, [0] * 9
    part = EventInput("count_frames", timesteps=1, window_us=20_000)
    for path, count in zip(sorted(index.recordings), (2, 4, 12), strict=True):
        recording, state = open_recording(path), {}
        for step in range(count):
            place = min(step, 8)
            samples[place] += 1

            def see(name, conv, x, y, place=place):
                if name != "backbone.stem":
                    spikes[place] += int(x.sum())
                    ones = torch.ones_like(conv.weight)
                    reached = torch.nn.functional.conv2d(x, ones, None, conv.stride, conv.padding, 1, conv.groups)
                    additions[place] += int(reached.double().sum())

            frames, _ = render(recording, (step + 1) * 20_000, part)
            with watched(network, see), torch.no_grad():
                images = as_input(torch.from_numpy(frames).unsqueeze(1), network.device, network.dtype)
                _, state = network(images, state)
    assert [step.samples for step in followed.by_timestep] == samples
    for step, spiked, added, there in zip(followed.by_timestep, spikes, additions, samples, strict=True):
        assert step.spikes == pytest.approx(spiked / there, rel=1e-12)
        assert step.synaptic_ops == pytest.approx(added / there, rel=1e-12)
    assert [(step.timestep, step.later) for step in followed.by_timestep] == [(n + 1, n == 8) for n in range(9)]
    assert followed.images == 18
    whole = sum(layer.ac for layer in followed.layers)
    assert whole == pytest.approx(2 * sum(additions) / 18)  # of a window: T timesteps


def test_it_does_not_depend_on_how_many_are_followed_at_once(model, index, followed):
    again = measure(model, index, carry=True, batch=3)
    assert (again.layers, again.by_timestep) == (followed.layers, followed.by_timestep)


def test_windows_from_rest_are_told_by_timestep_too(model, index):
    rest = measure(model, index)
    assert [(step.timestep, step.later, step.samples) for step in rest.by_timestep] == [
        (1, False, len(index)),
        (2, False, len(index)),
    ]
    assert sum(step.synaptic_ops for step in rest.by_timestep) == pytest.approx(sum(n.ac for n in rest.layers))


def test_json_table_and_page_tell_the_timesteps(model, data, tmp_path, capsys):
    weights, page = tmp_path / "m.safetensors", tmp_path / "e.html"
    model.save(weights)
    words = ["energy", "--weights", str(weights), "--data", str(data), "--workers", "0", "--no-verify", "--carry"]
    assert main([*words, "--no-layers", "--html", str(page), "--json", str(tmp_path / "e.json")]) == 0
    values = json.loads((tmp_path / "e.json").read_text())
    assert values["carried"] is True
    assert [step["timestep"] for step in values["by_timestep"]] == list(range(1, 10))
    stem = values["layers"][0]
    for step in values["by_timestep"]:  # 45 nm: 0.9 pJ an addition, 4.6 pJ a multiply-accumulate
        millijoule = (step["synaptic_ops"] * 0.9 + stem["macs"] * 4.6) * 1e-9
        assert step["snn_mJ"] == pytest.approx(millijoule)
        assert 0 < step["firing_rate"] < 1
    weighted = sum(step["snn_mJ"] * step["samples"] for step in values["by_timestep"]) / 18
    assert 2 * weighted == pytest.approx(values["snn_mJ"])
    printed, text = capsys.readouterr().out, page.read_text()
    assert "By timestep, counted from rest, potentials carried" in printed
    assert "9 and later" in printed
    for row in step_rows(values):
        assert "".join(f"<td>{cell}</td>" for cell in row) in text
    body = text.partition("<body>")[2]
    assert "image" not in body
    assert "picture" not in body
    assert "Mean of 18 timesteps, potentials carried of 32 x 64" in body


def test_what_cannot_be_followed(model, index):
    with pytest.raises(ConfigError, match="processes: recordings are followed by one"):
        measure(model, index, carry=True, processes=2)
    newest = SEEN.to_dict() | {"order": "newest-first"}
    backwards = lively("t", dtype=torch.float32, num_classes=2, timesteps=2, in_channels=2, input=EventInput.of(newest))
    with pytest.raises(ConfigError, match="newest-first"):
        measure(backwards, index, carry=True)


def test_places_in_time_are_kept_apart():
    conv = torch.nn.Conv2d(1, 2, 1, bias=False)
    x = torch.tensor([[[[1.0, 2.0]]], [[[0.0, 3.0]]], [[[4.0, 0.0]]]])
    unit = unit_of(conv, x, conv(x), 4, False, torch.tensor([2, 0, 2]))
    assert unit.histogram.tolist() == [[1, 0, 0, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 0, 1]]
    assert unit.synaptic_ops.tolist() == [6, 0, 14]  # two outputs a spike
    assert unit.digit_ops.tolist() == [4, 0, 6]  # 3 = 2 + 1; 1, 2 and 4 are one digit


def test_images_of_one_timestep_have_no_such_table(followed):
    values = to_json(followed, find_technology("45nm-fp32"))
    assert step_rows(values | {"by_timestep": values["by_timestep"][:1]}) == []
