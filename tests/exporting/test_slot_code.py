"""The binary slot code in what is exported: its weights are told, the numbers are the unary ones, its slots run."""

import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from tests.helpers.chip_packages import written
from tests.helpers.networks import lively
from torch.nn import functional as F

from spikeyolo.artefact import SlotCodeName
from spikeyolo.cli.main import main
from spikeyolo.errors import ConfigError
from spikeyolo.exporting.configs import IntegerConfig
from spikeyolo.exporting.export import export
from spikeyolo.exporting.registry import chosen, find_format
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.model.forms.integer import thresholds
from spikeyolo.runtime import Inferencer, reference
from spikeyolo.runtime.reference import Network, PackageError, compare, slots_of
from spikeyolo.spiking import SlotCode, counts_to_slots

BINARY = IntegerConfig(slot_code="binary", check=False)
UNIT = "backbone.stage2.1.channel_mixer.0"


def levels_of(model, images):
    frames = images if images.ndim == 5 else images.expand(model.config.timesteps, *images.shape)
    return (frames * model.config.input_levels).round().clamp(-255, 255).to(torch.int16).numpy()


@pytest.fixture(scope="module")
def model():
    return lively("t", num_classes=3, dtype=torch.float32, input=ImageInput.of(64))


@pytest.fixture(scope="module")
def packages(tmp_path_factory, model):
    """The same network in both codes."""
    folder, images = tmp_path_factory.mktemp("codes"), torch.rand(1, 3, 64, 64)
    return [written(folder / code, model, images, IntegerConfig(slot_code=code, check=False)) for code in SlotCode]


def manifest_of(folder):
    return json.loads((folder / "manifest.json").read_text())


def test_a_name_for_every_code():
    assert get_args(SlotCodeName) == tuple(map(str, SlotCode))


def test_a_package_tells_the_weights_of_its_slots_and_holds_the_same_integers(packages):
    unary, binary = packages
    codes = [manifest_of(folder)["neuron"].pop("slot_code") for folder in packages]
    assert codes == [{"name": "unary", "weights": [1, 1, 1, 1]}, {"name": "binary", "weights": [4, 2, 1]}]
    assert [manifest_of(folder)["artefact"]["slot_code"] for folder in packages] == [[1, 1, 1, 1], [4, 2, 1]]
    for name in ("weights.safetensors", "golden.safetensors", "manifest.schema.json", "reference.py"):
        assert (unary / name).read_bytes() == (binary / name).read_bytes()


@pytest.mark.parametrize(
    ("code", "valid"),
    [
        ({"name": "unary", "weights": [1, 1, 1, 1]}, True),
        ({"name": "binary", "weights": [4, 2, 1]}, True),
        ({"name": "binary", "weights": [32, 16, 8, 4, 2, 1]}, True),
        ({"name": "unary", "weights": [4, 2, 1]}, False),
        ({"name": "binary", "weights": [1, 2, 4]}, False),
        ({"name": "binary", "weights": [4, 1, 2]}, False),
        ({"name": "gray", "weights": [4, 2, 1]}, False),
        ({"name": "binary", "weights": []}, False),
        ({"name": "binary"}, False),
    ],
)
def test_the_schema_knows_both_codes(packages, code, valid):
    manifest = manifest_of(packages[1])
    manifest["neuron"]["slot_code"] = code
    schema = json.loads((packages[1] / "manifest.schema.json").read_text())
    assert Draft202012Validator(schema).is_valid(manifest) == valid


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("preset", "timesteps", "max_count"),
    [
        ("t", 1, 4),
        ("t-gen1", 2, 7),
        *(pytest.param("t", t, d, marks=pytest.mark.long) for t in (1, 2, 4) for d in (1, 2, 3, 8, 15)),
    ],
)
def test_the_program_gives_the_integers_of_binary_slots_in_pytorch(tmp_path, preset, timesteps, max_count):
    network = lively(preset, dtype=torch.float32, timesteps=timesteps, max_count=max_count, num_classes=2)
    integer, images = network.to_integer("binary"), torch.rand(timesteps, 1, 3, 64, 32)
    folder = written(tmp_path / "chip", integer, images)
    assert manifest_of(folder)["neuron"]["slot_code"]["weights"] == list(SlotCode.BINARY.weights(max_count))
    assert compare(folder) == compare(folder, slots=True) == 123
    with torch.no_grad():
        expected = integer(images)
    for slots in (False, True):
        logits, _ = Network(folder).run(levels_of(integer, images), slots=slots)
        for ours, theirs in zip(logits, expected, strict=True):
            mean = ours.astype(np.float64) / timesteps / 2**integer.fraction_bits
            np.testing.assert_array_equal(mean.astype(np.float32), theirs.numpy())


def test_on_slots_the_program_weighs_zeros_and_ones_alone_three_times_a_unit(packages, monkeypatch):
    seen, weigh = [], reference.weigh
    monkeypatch.setattr(reference, "weigh", lambda x, w, layer: seen.append((layer, x)) or weigh(x, w, layer))
    golden = reference.read_tensors(packages[1] / "golden.safetensors")
    compare(packages[1], slots=True)
    of_slots = [(layer["name"], x) for layer, x in seen if layer["sees"] == "counts"]
    assert len(of_slots) == 88 * 3
    assert all(set(np.unique(x).tolist()) <= {0, 1} for _, x in of_slots)
    digits = [x for name, x in of_slots if name == UNIT]
    expected = counts_to_slots(torch.from_numpy(golden[f"{UNIT}.counts"].copy()), 4, "binary")[0].numpy()
    for ours, theirs in zip(digits, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_after_each_slot_the_sum_is_that_of_the_leading_digits(packages):
    network, golden = Network(packages[1]), reference.read_tensors(packages[1] / "golden.safetensors")
    sums = []
    watch = lambda layer, kind, values: sums.append(values) if (layer, kind) == (UNIT, "sums") else None  # noqa: E731
    network.run(golden["input"], slots=True, watch=watch)
    counts = torch.from_numpy(golden[f"{UNIT}.counts"][0].copy()).long()
    weight = torch.from_numpy(network.tensors[f"{UNIT}.weight"].copy()).double()
    assert len(sums) == 3
    for after, dropped in zip(sums, (4, 2, 1), strict=True):
        expected = F.conv2d((counts // dropped).double(), weight, padding=weight.shape[-1] // 2)
        np.testing.assert_array_equal(after[0], expected.numpy())


@given(st.integers(1, 63), st.sampled_from(SlotCode))
def test_one_rule_gives_the_slots_of_both_codes(max_count, code):
    counts = np.arange(max_count + 1, dtype=np.uint8)
    ours = slots_of(counts, list(code.weights(max_count)))
    theirs = counts_to_slots(torch.from_numpy(counts).unsqueeze(0), max_count, code)[0]
    np.testing.assert_array_equal(np.array(ours, dtype=np.uint8), theirs.numpy())


@given(st.integers(1, 63), st.sampled_from(SlotCode), st.integers(0, 2**16))
def test_one_comparator_in_turn_sends_the_same_spikes(max_count, code, seed):
    """As docs/chip-package.md says: a spike where H reaches threshold number sent + w, counted from 1."""
    levels = thresholds(max_count, 6)
    potentials = np.random.default_rng(seed).integers(-100, 64 * (max_count + 3), 50)
    weights = code.weights(max_count)
    expected = slots_of(reference.fire(potentials, np.array(levels)), list(weights))
    for place, h in enumerate(potentials):
        sent = 0
        for slot, weight in enumerate(weights):
            fires = sent + weight <= max_count and h >= levels[sent + weight - 1]
            sent += weight * fires
            assert fires == expected[slot][place]


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ([4, 1, 2], "token_mixer.0: .* values of out differ"),
        ([1, 2, 4], "token_mixer.0: .* values of out differ"),
        ([2, 1], "values of out differ"),
        ([4, 2], "values of out differ"),
        ([4, 2, 0], "cannot be computed .ZeroDivisionError"),
        ("421", "cannot be computed"),
        ([], "cannot be computed .IndexError"),
    ],
    ids=str,
)
def test_wrong_weights_of_slots_are_found(tmp_path, packages, weights, said):
    for file in packages[1].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    manifest = manifest_of(tmp_path)
    manifest["neuron"]["slot_code"]["weights"] = weights
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert compare(tmp_path) == 123  # counts do not ask for it
    with pytest.raises(PackageError, match=said):
        compare(tmp_path, slots=True)


def test_a_package_runs_in_the_inferencer_whichever_its_code(packages, model):
    image = np.random.default_rng(0).integers(0, 256, (1, 3, 64, 64), dtype=np.uint8)
    with torch.no_grad():
        expected = model.to_integer("binary")(torch.from_numpy(image).double() / 255)
    for folder, weights in zip(packages, ((1, 1, 1, 1), (4, 2, 1)), strict=True):
        inferencer = Inferencer(folder)
        assert inferencer.artefact.slot_code == weights
        found, _ = inferencer.run(image)
        for name, level in zip(("logits8", "logits16", "logits32"), expected, strict=True):
            np.testing.assert_array_equal(found[name], level.numpy())


@pytest.mark.few(1)
@pytest.mark.parametrize("format", ["integer-onnx", "qonnx"])
def test_graphs_on_counts_are_the_same_but_for_what_they_say(model, tmp_path, format):
    onnx = pytest.importorskip("onnx")
    graphs, said = [], []
    for code in SlotCode:
        path = export(model, format, tmp_path / f"{code}.onnx", slot_code=str(code)).path
        read = onnx.load(path)
        graphs.append(read.graph.SerializeToString(deterministic=True))
        (text,) = (entry.value for entry in read.metadata_props if entry.key == "spikeyolo")
        said.append(json.loads(text)["slot_code"])
    assert graphs[0] == graphs[1]
    assert said == [[1, 1, 1, 1], [4, 2, 1]]


@pytest.mark.long
def test_a_saved_code_is_kept_unless_another_is_asked_for(model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model.to_integer("binary").save("integer.safetensors")
    model.to_spike_driven("binary").save("spikes.safetensors")
    words = ["export", "--weights", "integer.safetensors", "--format", "integer"]
    assert main([*words, "--out", "kept", "--golden-size", "32"]) == 0
    assert "largest difference logits 0;" in capsys.readouterr().out  # beside binary slots in PyTorch
    assert main([*words, "--out", "changed", "--golden-size", "32", "--slot-code", "unary"]) == 0
    assert [manifest_of(Path(name))["neuron"]["slot_code"]["name"] for name in ("kept", "changed")] == [
        "binary",
        "unary",
    ]
    assert main(["export", "--weights", "spikes.safetensors", "--dense", "--out", "spikes.onnx"]) == 0
    assert Inferencer("spikes.onnx").artefact.slot_code == (4, 2, 1)
    capsys.readouterr()
    assert main([*words, "--out", "gray", "--slot-code", "gray"]) == 2
    assert "--slot-code: 'gray' is not one of unary, binary" in capsys.readouterr().err


@pytest.mark.parametrize("format", ["onnx", "openvino", "nir"])
def test_formats_of_floating_point_have_no_slots(format):
    with pytest.raises(ConfigError, match=rf"slot_code: does not apply to {format}, it is of integer-onnx, qonnx, int"):
        chosen(find_format(format), {"slot_code": "binary"})
