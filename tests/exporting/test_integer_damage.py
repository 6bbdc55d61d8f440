"""A damaged chip package: one line that names the first layer that is not as it should be."""

import json
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file
from tests.helpers.chip_packages import small_package

from spikeyolo.runtime import reference
from spikeyolo.runtime.reference import PackageError, compare


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return small_package(tmp_path_factory.mktemp("package") / "chip")


@pytest.fixture
def copied(tmp_path, package):
    return Path(shutil.copytree(package, tmp_path / "copy"))


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


FIRST, HEAD = "backbone.stage1.0.token_mixer.0", "head.classes.2.2"
WEIGHT_OF = "backbone.stage2.1.channel_mixer.0"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: change(f, "backbone.stem.weight", flip), "backbone.stem: * of * values of out differ, first at "),
        (lambda f: change(f, f"{WEIGHT_OF}.weight", flip), f"{WEIGHT_OF}: * of * values of out differ, first at "),
        (lambda f: change(f, f"{HEAD}.bias", flip), f"{HEAD}: * of * values of out differ, first at "),
        (
            lambda f: change(f, f"{WEIGHT_OF}.shift", lambda v: v + 1),
            f"{WEIGHT_OF}: * of * values of out differ, first at ",
        ),
        (
            lambda f: change(f, f"{WEIGHT_OF}.shift", lambda v: v + 29),
            f"{WEIGHT_OF}: cannot be computed (ValueError: a value leaves",
        ),
        (lambda f: change(f, f"{HEAD}.weight", lambda v: v[:, 1:]), f"{HEAD}.weight: int8 (3, "),
        (lambda f: change(f, "thresholds", lambda v: v + 1), "thresholds: not the same in weights.safetensors and "),
        (
            lambda f: change(f, "add.4.out", flip, "golden.safetensors"),
            "add.4: 1 of 8192 values of out differ, first at T 0, B 0, C 0, H 0, W 0: ",
        ),
        (lambda f: edit(f, lambda m: m["neuron"].update(leak_shift=2)), f"{FIRST}: * of counts differ, first at T 1"),
        (
            lambda f: edit(f, lambda m: m["neuron"].update(gain_shift=0)),
            f"{FIRST}: * of counts differ, first at T 0",
        ),
        (
            lambda f: edit(f, lambda m: m["layers"][0].update(stride=[2, 2])),
            "backbone.stem: out of shape (2, 1, 16, 31",
        ),
        (
            lambda f: edit(f, lambda m: m["layers"][0].pop("stride")),
            "backbone.stem: cannot be computed (KeyError: 'stride')",
        ),
        (lambda f: edit(f, without(HEAD)), f"{HEAD}: missing in manifest.json, logits32 takes what it gives"),
        (
            lambda f: edit(f, without("add.4")),
            "add.4: missing in manifest.json, backbone.stage1.0.channel_mixer.0 takes",
        ),
        (lambda f: edit(f, without("backbone.sppf.pool.1")), "backbone.sppf.pool.1: missing in manifest.json, "),
        (lambda f: edit(f, rewired), "add.4.out: in golden.safetensors, but of no layer in manifest.json"),
        (lambda f: edit(f, swapped), "concatenate.*: * values of out differ"),
        (
            lambda f: edit(f, lambda m: m.pop("neuron")),
            "manifest.json: damaged, or not of this kind (KeyError: 'neuron')",
        ),
        (cut("manifest.json", 0.5), "manifest.json: damaged"),
        (cut("golden.safetensors", 0.9), "*: cut short in golden.safetensors, which ends at "),
        (cut("golden.safetensors", 0.001), "golden.safetensors: cut short within its header, at "),
        (cut("weights.safetensors", 0.9), "*.*: cut short in weights.safetensors, which ends at "),
        (cut("weights.safetensors", 0), "weights.safetensors: cut short within its header, at 0 bytes"),
        (lambda f: (f / "golden.safetensors").unlink(), "golden.safetensors: no file of integers (FileNot"),
        (lambda f: (f / "manifest.json").unlink(), "manifest.json: damaged, or not of this kind (FileNotFound"),
    ],
)
def test_damage_is_one_line_that_names_the_first_layer(copied, capsys, damage, said):
    damage(copied)
    assert reference.main([str(copied)]) == 1
    out = capsys.readouterr().out
    assert fnmatch(out, f"{said}*")
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
    assert fnmatch(damaged.stdout, "backbone.down3: * values of out differ, first at *")
    assert damaged.stdout.count("\n") == 1
