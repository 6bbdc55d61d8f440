"""The chip package: its numpy program gives the network's integers, and names the first layer that is damaged."""

import ast
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from jsonschema import Draft202012Validator
from safetensors.numpy import load_file
from tests.helpers.chip_packages import small_model, small_package, written
from tests.helpers.golden import GOLDEN, NETWORKS, golden_input
from tests.helpers.networks import lively

import spikeyolo
from spikeyolo.artefact import read_artefact
from spikeyolo.errors import ConfigError, ShapeError
from spikeyolo.exporting import integer as integer_export
from spikeyolo.exporting.configs import IntegerConfig
from spikeyolo.exporting.golden import count_at_once
from spikeyolo.model.forms.convert import converted
from spikeyolo.model.forms.form import Form
from spikeyolo.runtime import reference
from spikeyolo.runtime.reference import Network, compare

SOURCE = Path(reference.__file__)


def levels_of(model, images):
    """What the network sees, (T, B, C, H, W)."""
    frames = images if images.ndim == 5 else images.expand(model.config.timesteps, *images.shape)
    return (frames * model.config.input_levels).round().clamp(-255, 255).to(torch.int16).numpy()


def assert_same_integers(folder, integer, images):
    """The network's logits by its own forward and by the package's program, on counts and on slots."""
    count_at_once(integer)  # tests/model/forms/test_integer.py: slots give the same
    with torch.no_grad():
        expected = integer(images)
    network = Network(folder)
    for slots in (False, True):
        logits, _ = network.run(levels_of(integer, images), slots=slots)
        for ours, theirs in zip(logits, expected, strict=True):
            assert ours.dtype == np.int64
            mean = ours.astype(np.float64) / integer.config.timesteps
            np.testing.assert_array_equal((mean / 2**integer.fraction_bits).astype(np.float32), theirs.numpy())


@pytest.mark.few(1)
@pytest.mark.parametrize("name", NETWORKS)
def test_golden_networks(tmp_path, name):
    model = spikeyolo.load_reference(GOLDEN / name / "reference.pt").to_integer()
    images = golden_input(name, torch.float32)
    folder = written(tmp_path / "chip", model, images)
    assert_same_integers(folder, model, images)
    assert compare(folder) == len(Network(folder).layers)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("preset", "timesteps", "max_count"),
    [("t", 1, 4), ("t", 2, 1), ("t", 4, 8), ("t-gen1", 1, 8), ("t-gen1", 2, 4), ("t-gen1", 4, 1)],
)
def test_lively_networks(tmp_path, preset, timesteps, max_count):
    model = lively(preset, dtype=torch.float32, timesteps=timesteps, max_count=max_count, num_classes=2)
    model, images = converted(model, Form.INTEGER, 12), torch.rand(1, 3, 64, 32)
    folder = written(tmp_path / "chip", model, images)
    assert_same_integers(folder, model, images)
    assert compare(folder) == compare(folder, slots=True) == 123


def test_event_frames_below_zero_and_beyond_one(tmp_path):
    model = lively("t-gen1", dtype=torch.float32, timesteps=2, in_channels=2, input_levels=16, decay=0.0)
    model = converted(model, Form.INTEGER, 9)
    images = torch.randn(2, 1, 2, 32, 32) * 9
    folder = written(tmp_path / "chip", model, images)
    assert load_file(folder / "golden.safetensors")["input"].min() < -100
    assert_same_integers(folder, model, images)
    assert compare(folder) == 123
    assert json.loads((folder / "manifest.json").read_text())["neuron"]["leak_shift"] is None


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return small_package(tmp_path_factory.mktemp("package") / "chip")


@pytest.mark.few(1)
def test_a_stream_in_parts_equals_one_pass(package, model):
    torch.manual_seed(2)
    frames = torch.rand(4, 1, 3, 64, 64)
    network, levels = Network(package), levels_of(model, frames)
    whole, end = network.run(levels)
    first, state = network.run(levels[:1])
    before = {name: v.copy() for name, v in state.items()}
    second, state_2 = network.run(levels[1:], state)
    for at_once, a, b in zip(whole, first, second, strict=True):
        np.testing.assert_array_equal(at_once, a + b)
    assert all(np.array_equal(state[name], before[name]) for name in before)  # not changed
    _, expected = model.to_integer()(frames, {})
    assert {f"{name}.neuron" for name in end} == expected.keys()
    for name, v in end.items():
        np.testing.assert_array_equal(v, state_2[name])
        np.testing.assert_array_equal(v, expected[f"{name}.neuron"].numpy())


def test_what_the_folder_holds(package, model):
    manifest = json.loads((package / "manifest.json").read_text())
    schema = json.loads((package / "manifest.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(manifest)
    assert not Draft202012Validator(schema).is_valid({**manifest, "more": 1})
    assert manifest["names"] == list(model.names)
    assert (manifest["input"], manifest["artefact"]) == (None, None)  # recordings, of which nothing is known
    assert manifest["in"] == {"channels": 3, "rows": 64, "columns": 96}
    assert manifest["golden"] == {"images": 1, "rows": 64, "columns": 64}
    assert (package / "reference.py").read_bytes() == SOURCE.read_bytes()
    assert sorted(p.name for p in package.iterdir()) == sorted(
        [
            "manifest.json",
            "manifest.schema.json",
            "weights.safetensors",
            "golden.safetensors",
            "reference.py",
            "README.md",
        ]
    )
    weights = load_file(package / "weights.safetensors")
    one = 2 ** manifest["fraction_bits"]
    halves = [slot * one + one // 2 for slot in range(4)]  # the tie itself fires where it rounds up to even
    assert weights["thresholds"].tolist() == [halves[0] + 1, halves[1], halves[2] + 1, halves[3]]
    assert weights["thresholds"].dtype == np.int32


def test_what_programs_read_of_the_input(tmp_path):
    model = lively(dtype=torch.float32, names=["a", "b"])
    folder = written(tmp_path / "chip", model, torch.rand(1, 3, 32, 64))
    manifest = json.loads((folder / "manifest.json").read_text())
    Draft202012Validator(json.loads((folder / "manifest.schema.json").read_text())).validate(manifest)
    assert manifest["input"] == {"kind": "images", "size_hw": [32, 64]}  # of the images, not the model's 640
    artefact = read_artefact(json.dumps(manifest["artefact"]), "manifest.json")
    assert (artefact.precision, artefact.outputs, list(artefact.size_hw)) == ("integer", "logits", [32, 64])
    assert (artefact.names, artefact.fraction_bits) == (("a", "b"), manifest["fraction_bits"])


def test_shapes_and_bounds_of_the_manifest_hold_for_the_golden_values(tmp_path, model):
    folder = written(tmp_path / "chip", model, torch.rand(1, 3, 96, 64))
    manifest, golden = json.loads((folder / "manifest.json").read_text()), load_file(folder / "golden.safetensors")
    for layer in manifest["layers"]:
        out = golden[f"{layer['name']}.out"]
        assert out.shape == (2, 1, *(layer["out"][side] for side in ("channels", "rows", "columns")))
        if layer["kind"] == "convolution":
            assert np.abs(out.astype(np.int64)).max() <= layer["bounds"]["outputs"]
        if layer.get("sees") == "counts":
            counts, potentials = (golden[f"{layer['name']}.{kind}"] for kind in ("counts", "potentials"))
            assert (counts.dtype, counts.max() <= 4) == (np.uint8, True)
            assert np.abs(potentials.astype(np.int64)).max() <= layer["bounds"]["potentials"]
    for level in manifest["logits"]:
        assert golden[level["name"]].shape == (1, level["channels"], level["rows"], level["columns"])
    size = sum(values.nbytes for values in golden.values())
    network = model.to_integer()
    graph = integer_export.read_graph(network)
    assert size == integer_export.golden_bytes(graph, integer_export.shapes(graph, (3, 96, 64)), 1, 2)


def test_the_program_is_short_and_needs_numpy_alone():
    text = SOURCE.read_text()
    assert len(text.splitlines()) <= 300
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found.add(node.module.partition(".")[0])
    assert found - sys.stdlib_module_names == {"numpy"}


def test_every_form_that_can_become_the_integer_one_gives_the_same_package(tmp_path, model):
    images = torch.rand(1, 3, 32, 32)
    integer = model.to_integer()
    folders = [written(tmp_path / str(i), m, images) for i, m in enumerate([model.fold(dense=True), integer])]
    for name in ("manifest.json", "weights.safetensors", "golden.safetensors"):
        assert len({(folder / name).read_bytes() for folder in folders}) == 1
    assert integer.backbone.down2.on_slots  # the caller's network is as before


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: (lively(neuron="relu"), torch.rand(1, 3, 32, 32)), ConfigError, "neuron='relu' has no spikes"),
        (lambda: (lively(decay=0.3), torch.rand(1, 3, 32, 32)), ConfigError, "decay: 0.3 is not 1, 1/2"),
        (lambda: (lively(), torch.rand(1, 3, 48, 32)), ShapeError, "multiples of 32"),
        (lambda: (lively(timesteps=2), torch.rand(3, 1, 3, 32, 32)), ShapeError, "T = 3"),
    ],
)
def test_what_cannot_be_exported(tmp_path, make, error, said):
    model, images = make()
    with pytest.raises(error, match=said) as raised:
        written(tmp_path / "chip", model, images)
    assert "\n" not in str(raised.value)
    assert not list((tmp_path / "chip").iterdir())


def test_weights_whose_sums_could_overflow_are_refused(tmp_path, model):
    integer = model.to_integer()
    integer.backbone.down2.shift.fill_(31)
    with pytest.raises(ConfigError, match=r"sums of backbone.down2 can leave 32 bits"):
        written(tmp_path / "chip", integer, torch.rand(1, 3, 32, 32))


def test_golden_values_beyond_the_limit_are_refused(tmp_path, model, monkeypatch):
    monkeypatch.setattr(integer_export, "MOST_GOLDEN", 1 << 20)
    with pytest.raises(ConfigError, match="golden_size: golden values of 1 images of 64 x 64 take"):
        written(tmp_path / "chip", model, torch.rand(1, 3, 64, 64))


@pytest.mark.parametrize(("field", "value"), [("images", 0), ("golden_size", 100), ("golden_size", 0)])
def test_settings_out_of_range(field, value):
    with pytest.raises(ConfigError, match=field):
        IntegerConfig(**{field: value})
