"""Packages for chips in the Inferencer: the very logits of the integer form in PyTorch."""

import json
import shutil

import numpy as np
import pytest
import torch
from tests.helpers.exported import pixels
from tests.helpers.golden import GOLDEN
from tests.helpers.memory import assert_memory_stays

from spikeyolo import load_reference
from spikeyolo.cli.main import main
from spikeyolo.errors import CheckpointError, ConfigError
from spikeyolo.events import EventInput
from spikeyolo.exporting.integer import IntegerConfig, write_integer
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.imaging.io import write_rgb
from spikeyolo.runtime import Inferencer
from spikeyolo.spiking import NeuronState

SIZE = (64, 96)
FRAMES = EventInput("last_event_frame", timesteps=2, window_us=40_000)


def network_of(name, seen):
    model = load_reference(GOLDEN / name / "reference.pt")
    model.input = seen
    return model.to_integer()


def packaged(folder, network):
    folder.mkdir()
    frames = network.timesteps, 1, 3, *SIZE
    images = torch.rand(*(frames if isinstance(network.input, EventInput) else frames[1:]))
    write_integer(network, folder, IntegerConfig(golden_size=32, check=False), images, network.input)
    return folder


@pytest.fixture(scope="module")
def stills():
    return network_of("tiny_t4", ImageInput(SIZE))


@pytest.fixture(scope="module")
def package(stills, tmp_path_factory):
    return packaged(tmp_path_factory.mktemp("packages") / "stills", stills)


def test_images(stills, package):
    inferencer, images = Inferencer(package), [pixels(*SIZE, seed) for seed in range(2)]
    batch = np.stack([image.transpose(2, 0, 1) for image in images])
    found, _ = inferencer.run(batch)
    with torch.no_grad():
        expected = stills(torch.from_numpy(batch).double() / 255)
    for name, level in zip(("logits8", "logits16", "logits32"), expected, strict=True):
        assert np.array_equal(found[name], level.numpy())
    ours, theirs = (model.predict(images, conf=1e-3) for model in (inferencer, stills))
    for one, other in zip(ours, theirs, strict=True):
        assert len(one) == len(other) > 0
        np.testing.assert_allclose(one.boxes, other.boxes.numpy(), rtol=0, atol=1e-4)


def test_streams_in_parts(tmp_path):
    network = network_of("gen1_tiny", FRAMES)
    inferencer = Inferencer(packaged(tmp_path / "events", network))
    frames = np.random.default_rng(0).integers(0, 256, (4, 1, 3, *SIZE), dtype=np.uint8)
    state, theirs = {}, NeuronState()
    for frame in frames:
        found, state = inferencer.run(frame[None], state)
        with torch.no_grad():
            expected, theirs = network(torch.from_numpy(frame[None]).double() / 255, theirs)
        assert np.array_equal(found["logits8"], expected[0].numpy())
    whole, _ = inferencer.run(frames[:2])
    with torch.no_grad():
        expected = network(torch.from_numpy(frames[:2]).double() / 255)
    assert np.array_equal(whole["logits8"], expected[0].numpy())


def test_predict_on_the_command_line(package, tmp_path, capsys):
    write_rgb(tmp_path / "a.png", pixels(50, 70))
    words = ["predict", "--weights", str(package), "--source", str(tmp_path / "a.png"), "--out", str(tmp_path / "out")]
    assert main([*words, "--json", "--conf", "0.001"]) == 0
    (entry,) = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert entry["detections"]
    capsys.readouterr()
    assert main([*words, "--overwrite", "--device", "cuda"]) == 1
    assert "are computed on the cpu" in capsys.readouterr().err


def test_threads_are_numpys(package):
    with pytest.raises(ConfigError, match="OMP_NUM_THREADS"):
        Inferencer(package, threads=1)


def edit(package, change):
    content = json.loads((package / "manifest.json").read_text())
    change(content)
    (package / "manifest.json").write_text(json.dumps(content))


def pool(manifest):
    return next(layer for layer in manifest["layers"] if layer["kind"] == "max_pool")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda p: (p / "weights.safetensors").write_bytes(_flipped(p / "weights.safetensors")), "sha256"),
        (lambda p: (p / "weights.safetensors").unlink(), "no such file"),
        (lambda p: (p / "manifest.json").write_bytes((p / "manifest.json").read_bytes()[:999]), "no manifest"),
        (lambda p: (p / "manifest.json").write_text("[]"), "no manifest"),
        (lambda p: edit(p, lambda m: m.pop("artefact")), "not written by spikeyolo export"),
        (lambda p: edit(p, lambda m: m["artefact"].update(names=["a"])), "of other classes"),
        (lambda p: edit(p, lambda m: m["artefact"].update(fraction_bits=None)), "not that of integers"),
        (lambda p: edit(p, lambda m: m["layers"].pop(3)), "missing"),
        (lambda p: edit(p, lambda m: m["layers"][0].update(padding=[10**9, 10**9])), "has no size that a layer has"),
        (lambda p: edit(p, lambda m: pool(m).update(kernel=[10**9, 10**9])), "has no size that a layer has"),
    ],
)
def test_a_damaged_package_is_one_line(package, tmp_path, damage, said):
    copied = shutil.copytree(package, tmp_path / "package")
    damage(copied)
    with pytest.raises(CheckpointError, match=said) as caught:
        Inferencer(copied)
    assert str(copied) in str(caught.value)
    assert "\n" not in str(caught.value)


def _flipped(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    return bytes(content)


@pytest.mark.long
@pytest.mark.parametrize("count", [20, pytest.param(2000, marks=pytest.mark.long)])
def test_memory_does_not_grow(count, package):
    assert_memory_stays(Inferencer(package), [pixels(32, 32, seed) for seed in range(3)], count)
