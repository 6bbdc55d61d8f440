"""A neuron of the user's own module on the command line, from training to export."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors import safe_open
from tests.helpers.images import write_image

from spikeyolo.cli.main import main
from spikeyolo.training.settings import read_settings

MINE = """
import torch
from torch import nn
from spikeyolo import SpikingNeuron
from spikeyolo.spiking import ILIF
from spikeyolo.spiking.spiking_neuron import with_slope


class Leaky(SpikingNeuron):
    '''I-LIF with a learned offset a layer, which only training knows.'''

    def __init__(self, channels, max_count):
        super().__init__(channels, max_count)
        self.offset = nn.Parameter(torch.zeros(1))

    def step(self, current, v):
        h = current + 0.25 * v + (self.offset if self.training else 0.0)
        counts = with_slope(h.clamp(0, self.max_count).round(), h, lambda h: torch.exp(-h.abs() / 4))
        return counts, h - counts.detach()

    def as_ilif(self):
        return ILIF(0.25, 1.0, self.max_count)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a user's data and module, in which the program is started."""
    for split in ("train", "val"):
        for number in range(2):
            write_image(tmp_path / f"images/{split}/{number}.jpg", 48, 64, value=60 * number + 60)
            label = tmp_path / f"labels/{split}/{number}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text("0 0.5 0.5 0.4 0.4\n")
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [cat]\n")
    (tmp_path / "leaky_of_the_test.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    sys.modules.pop("leaky_of_the_test", None)


NAME = "leaky_of_the_test:Leaky"
TRAIN = (
    "train --data data.yaml --model t --imgsz 64 --epochs 1 --batch 2 --nominal-batch 2 --warmup-epochs 0 "
    f"--workers 0 --device cpu --out run --neuron {NAME}"
).split()
BEST = "run/best.safetensors"


def in_another_process(words):
    """What a new process, which has imported nothing, says and answers."""
    command = [sys.executable, "-B", "-c", "import sys; from spikeyolo.cli.main import main; sys.exit(main())"]
    done = subprocess.run([*command, *words.split()], capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.long
def test_it_is_trained_and_saved_by_name(folder, capsys):
    assert main(TRAIN) == 0, capsys.readouterr()
    with safe_open(BEST, framework="pt") as file:
        assert json.loads(file.metadata()["config"])["neuron"] == NAME
    assert read_settings(folder / "run/config.yaml").neuron == NAME
    kept = torch.load("run/last.ckpt", weights_only=True)["current_model_state"]
    offsets = [value for name, value in kept.items() if name.endswith("neuron.offset")]
    assert len(offsets) > 80
    assert any(value.abs().sum() > 0 for value in offsets)
    assert main(f"predict --weights {BEST} --neuron {NAME} --source images/val --out found".split()) == 0
    # An integer network has no place for the offset.
    assert main(f"export --weights {BEST} --neuron {NAME} --format integer --imgsz 64 --out chip".split()) == 1
    assert f"to_integer: {NAME} has numbers of its own (offset)" in capsys.readouterr().err


@pytest.mark.long
def test_from_training_to_export(folder, capsys):
    pytest.importorskip("onnxruntime")
    assert main(TRAIN) == 0, capsys.readouterr()
    # Another process knows of no such class, and is not to import it because the run or its weights say so.
    for words in ("train --resume run --epochs 2", f"val --weights {BEST} --data data.yaml --workers 0"):
        code, said = in_another_process(words)
        assert code == 1, said
        assert f"'{NAME}' is a class from outside the package" in said
        assert "give its name with --neuron" in said
    code, said = in_another_process(f"train --resume run --epochs 2 --neuron {NAME}")
    assert code == 0, said
    assert "going on at epoch 2 of 2" in said

    capsys.readouterr()
    weights = f"--weights {BEST} --neuron {NAME}"
    for words in (
        f"val {weights} --data data.yaml --workers 0 --spike-driven",
        f"energy {weights} --data data.yaml --workers 0 --processes 2 --json energy.json",
        f"export {weights} --format onnx --imgsz 64 --out own.onnx",
        f"benchmark {weights} --data data.yaml --formats trained integer --repeats 3 --out table",
        f"sweep {weights} --data data.yaml --workers 0 --timesteps 1 --max-count 2 --out sweep",
    ):
        assert main(words.split()) == 0, capsys.readouterr()
    assert "verified: " in capsys.readouterr().out
    assert json.loads((folder / "energy.json").read_text())["snn_mJ"] > 0
    # What was exported is an I-LIF neuron, and needs no class; the option is refused.
    assert main(["val", "--weights", "own.onnx", "--data", "data.yaml", "--workers", "0"]) == 0, capsys.readouterr()
    assert main(f"val --weights own.onnx --neuron {NAME} --data data.yaml --workers 0".split()) == 1
    assert "neuron: for models in PyTorch; own.onnx is exported" in capsys.readouterr().err


def test_the_command_that_goes_on_names_the_neuron_again(folder, capsys, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("spikeyolo.training.module.DetectorModule.training_step", interrupted)
    assert main(TRAIN) == 130
    assert f"spikeyolo train --resume run --neuron {NAME}" in capsys.readouterr().err
