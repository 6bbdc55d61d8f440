"""The chip package: its numpy program gives the network's integers, and names the first layer that is damaged."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from jsonschema import Draft202012Validator
from safetensors.numpy import load_file, save_file
from tests.helpers.golden import GOLDEN, NETWORKS, golden_input
from tests.helpers.networks import lively

import spikeyolo
from spikeyolo.errors import ConfigError, ShapeError
from spikeyolo.export import integer as integer_export
from spikeyolo.export import reference
from spikeyolo.export.integer import IntegerConfig, write_integer
from spikeyolo.export.reference import Network, PackageError, compare

SOURCE = Path(reference.__file__)
QUICK = IntegerConfig(check=False)


def written(folder, model, images, config=QUICK):
    folder.mkdir()
    write_integer(model, folder, config, images)
    return folder


def levels_of(model, images):
    """What the network sees, (T, B, C, H, W)."""
    frames = images if images.ndim == 5 else images.expand(model.config.timesteps, *images.shape)
    return (frames * model.config.input_levels).round().clamp(-255, 255).to(torch.int16).numpy()


def assert_same_integers(folder, integer, images):
    """The network's logits by its own forward and by the package's program, on counts and on slots."""
    with torch.no_grad():
        expected = integer(images)
    network = Network(folder)
    for slots in (False, True):
        logits, _ = network.run(levels_of(integer, images), slots=slots)
        for ours, theirs in zip(logits, expected, strict=True):
            assert ours.dtype == np.int64
            mean = ours.astype(np.float64) / integer.config.timesteps
            np.testing.assert_array_equal((mean / 2**integer.fraction_bits).astype(np.float32), theirs.numpy())


@pytest.mark.parametrize("name", NETWORKS)
def test_golden_networks(tmp_path, name):
    model = spikeyolo.load_reference(GOLDEN / name / "reference.pt").to_integer()
    images = golden_input(name, torch.float32)
    folder = written(tmp_path / "chip", model, images)
    assert_same_integers(folder, model, images)
    assert compare(folder) == len(Network(folder).layers)


@pytest.mark.parametrize(
    ("preset", "timesteps", "max_count"),
    [("t", 1, 4), ("t", 2, 1), ("t", 4, 8), ("t-gen1", 1, 8), ("t-gen1", 2, 4), ("t-gen1", 4, 1)],
)
def test_lively_networks(tmp_path, preset, timesteps, max_count):
    model = lively(preset, dtype=torch.float32, timesteps=timesteps, max_count=max_count, num_classes=2)
    model, images = model.to_integer(), torch.rand(1, 3, 64, 32)
    folder = written(tmp_path / "chip", model, images)
    assert_same_integers(folder, model, images)
    assert compare(folder) == compare(folder, slots=True) == 123


def test_event_frames_below_zero_and_beyond_one(tmp_path):
    model = lively("t-gen1", dtype=torch.float32, timesteps=2, in_channels=2, input_levels=16, decay=0.0)
    model = model.to_integer()
    images = torch.randn(2, 1, 2, 32, 32) * 9
    folder = written(tmp_path / "chip", model, images)
    assert load_file(folder / "golden.safetensors")["input"].min() < -100
    assert_same_integers(folder, model, images)
    assert compare(folder) == 123
    assert json.loads((folder / "manifest.json").read_text())["neuron"]["leak_shift"] is None


@pytest.fixture(scope="module")
def model():
    return lively("t-gen1", dtype=torch.float32, timesteps=2, num_classes=3)


@pytest.fixture(scope="module")
def package(tmp_path_factory, model):
    """Of two images, checked by itself."""
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("package") / "chip"
    return written(folder, model, torch.rand(2, 3, 64, 96), IntegerConfig(images=1, golden_size=64))


@pytest.fixture
def copied(tmp_path, package):
    return Path(shutil.copytree(package, tmp_path / "copy"))


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


def test_the_program_runs_alone(copied):
    def run(*options):
        return subprocess.run(
            [sys.executable, "-I", copied / "reference.py", *options], capture_output=True, text=True, check=False
        )

    fine = run("--slots")
    assert (fine.returncode, fine.stdout, fine.stderr) == (0, "all 123 layers equal\n", "")
    change(copied, "backbone.down3.shift", lambda values: values + 1)
    damaged = run()
    assert (damaged.returncode, damaged.stderr) == (1, "")
    assert damaged.stdout.startswith("backbone.down3: out differ in ")
    assert damaged.stdout.count("\n") == 1


def change(folder, name, how, file="weights.safetensors"):
    tensors = load_file(folder / file)
    tensors[name] = how(tensors[name])
    save_file(tensors, folder / file)


def flip(values):
    """One bit of the number in the middle of a kernel of the weights, or of the first number."""
    values = values.copy()
    at = (0, 0, *(side // 2 for side in values.shape[2:])) if values.ndim == 4 else (0,) * values.ndim
    values[at] ^= 64
    return values


def edit(folder, how):
    file = folder / "manifest.json"
    manifest = json.loads(file.read_text())
    how(manifest)
    file.write_text(json.dumps(manifest))


def without(name):
    def remove(manifest):
        manifest["layers"] = [layer for layer in manifest["layers"] if layer["name"] != name]

    return remove


def rewired(manifest):
    """As if there were no first block's token mixer."""
    without("add.4")(manifest)
    for layer in manifest["layers"]:
        layer["sources"] = ["backbone.stem" if source == "add.4" else source for source in layer["sources"]]


def swapped(manifest):
    layer = next(layer for layer in manifest["layers"] if layer["kind"] == "concatenate")
    layer["sources"].reverse()


def cut(name, share):
    def truncate(folder):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(len(content) * share)])

    return truncate


HEAD = "head.classes.2.2"
WEIGHT_OF = "backbone.stage2.1.channel_mixer.0"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: change(f, "backbone.stem.weight", flip), "backbone.stem: out differ in "),
        (lambda f: change(f, f"{WEIGHT_OF}.weight", flip), f"{WEIGHT_OF}: out differ in "),
        (lambda f: change(f, f"{HEAD}.bias", flip), f"{HEAD}: out differ in "),
        (lambda f: change(f, f"{WEIGHT_OF}.shift", lambda v: v + 1), f"{WEIGHT_OF}: out differ in "),
        (
            lambda f: change(f, f"{WEIGHT_OF}.shift", lambda v: v + 29),
            f"{WEIGHT_OF}: cannot be computed (a value leaves",
        ),
        (lambda f: change(f, f"{HEAD}.weight", lambda v: v[:, 1:]), f"{HEAD}.weight: int8 (3, "),
        (lambda f: change(f, "thresholds", lambda v: v + 1), "thresholds: not the same in weights.safetensors and "),
        (
            lambda f: change(f, "add.4.out", flip, "golden.safetensors"),
            "add.4: out differ in 1 of 8192 values, first at T 0, B 0, C 0, H 0, W 0: ",
        ),
        (lambda f: edit(f, lambda m: m["neuron"].update(leak_shift=2)), "backbone.stage1.0.token_mixer.0: "),
        (
            lambda f: edit(f, lambda m: m["neuron"].update(gain_shift=0)),
            "backbone.stage1.0.token_mixer.0: counts differ",
        ),
        (
            lambda f: edit(f, lambda m: m["layers"][0].update(stride=[2, 2])),
            "backbone.stem: out of shape (2, 1, 16, 31",
        ),
        (lambda f: edit(f, lambda m: m["layers"][0].pop("stride")), "backbone.stem: cannot be computed ('stride')"),
        (lambda f: edit(f, without(HEAD)), f"{HEAD}: missing in manifest.json, logits32 takes what it gives"),
        (
            lambda f: edit(f, without("add.4")),
            "add.4: missing in manifest.json, backbone.stage1.0.channel_mixer.0 takes",
        ),
        (lambda f: edit(f, without("backbone.sppf.pool.1")), "backbone.sppf.pool.1: missing in manifest.json, "),
        (lambda f: edit(f, rewired), "add.4.out: in golden.safetensors, but of no layer in manifest.json"),
        (lambda f: edit(f, swapped), "concatenate."),
        (
            lambda f: edit(f, lambda m: m.pop("neuron")),
            "manifest.json: damaged, or not of this kind (KeyError('neuron'))",
        ),
        (cut("manifest.json", 0.5), "manifest.json: damaged"),
        (cut("golden.safetensors", 0.9), "cut short in golden.safetensors, which ends at "),
        (cut("golden.safetensors", 0.001), "golden.safetensors: cut short within its header, at "),
        (cut("weights.safetensors", 0.9), "cut short in weights.safetensors, which ends at "),
        (cut("weights.safetensors", 0), "weights.safetensors: cut short within its header, at 0 bytes"),
        (lambda f: (f / "golden.safetensors").unlink(), "golden.safetensors: no safetensors file of integers (FileNot"),
        (lambda f: (f / "manifest.json").unlink(), "manifest.json: damaged, or not of this kind (FileNotFound"),
    ],
)
def test_damage_is_one_line_that_names_the_first_layer(copied, capsys, damage, said):
    damage(copied)
    assert reference.main([str(copied)]) == 1
    out = capsys.readouterr().out
    assert said in out
    assert out.count("\n") == 1


def test_a_missing_or_foreign_tensor_is_named(copied):
    tensors = load_file(copied / "weights.safetensors")
    bias = tensors.pop(f"{WEIGHT_OF}.bias")
    save_file(tensors, copied / "weights.safetensors")
    with pytest.raises(PackageError, match=rf"^{WEIGHT_OF}.bias: missing in weights.safetensors$"):
        compare(copied)
    save_file({**tensors, f"{WEIGHT_OF}.bias": bias, "other": bias}, copied / "weights.safetensors")
    with pytest.raises(PackageError, match=r"^other: in weights.safetensors, but of no layer"):
        compare(copied)


def test_what_no_golden_image_shows_the_checksum_does(copied):
    with (copied / "weights.safetensors").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(PackageError, match=r"^weights.safetensors: is not the file that was exported \(sha256\)"):
        compare(copied)


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
    folders = [written(tmp_path / str(i), m, images) for i, m in enumerate([model, model.fold(dense=True), integer])]
    for name in ("manifest.json", "weights.safetensors", "golden.safetensors"):
        assert len({(folder / name).read_bytes() for folder in folders}) == 1
    assert integer.backbone.down2.binary  # the caller's network is as before


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
