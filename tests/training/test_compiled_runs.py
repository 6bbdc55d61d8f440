"""Trainings with --compile: the runs that they are without, whatever the compiler does."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest
import torch
from tests.helpers.compilers import Compiler
from tests.helpers.runs import ENVIRONMENT, SCRIPT, assert_same_run, command, rows_of, train_until
from torch import nn

from spikeyolo import SpikeYOLO, load
from spikeyolo.synthetic.scene import CLASS_NAMES
from spikeyolo.training.run import train
from spikeyolo.training.run_folder import RunFolder
from spikeyolo.training.settings import TrainSettings, read_settings

SAYS = "compiling the network for training: its first batch can take minutes"
WHY = "torch.compile fails here, so the network runs as it is, uncompiled: RuntimeError: no luck and more"


@pytest.fixture
def compiler(monkeypatch):
    stands_in = Compiler()
    monkeypatch.setattr(torch, "compile", stands_in)
    return stands_in


@pytest.mark.long
def test_a_compiled_run_that_was_killed_and_resumed_is_the_run_without(finished, tiny, tmp_path, capsys, compiler):
    # Ten images are two batches of four and one of two. Counts are measured in the first.
    out = tmp_path / "run"
    train_until(4, replace(tiny, compile=True, save_steps=1), out)
    assert read_settings(out / "config.yaml").compile
    said = capsys.readouterr().out.splitlines()
    assert said.count(SAYS) == 1
    training = ["SpikingNetwork.features", "DetectHead.forward"]
    # The rehearsal, and of three batches the second: the first is watched, the last smaller. Validation in one batch.
    assert compiler.calls[:4] == training * 2
    assert len(compiler.calls) == 2 * (1 + 1 + 1)
    assert_same_run(finished, train(TrainSettings(), resume=out))
    assert capsys.readouterr().out.splitlines().count(SAYS) == 1
    assert load(out / "best.safetensors").compiled is None


@pytest.mark.long
@pytest.mark.few(1)
@pytest.mark.parametrize("fails", ["small", "forward", "backward"])
def test_a_run_whose_compiler_fails_is_the_run_without(finished, tiny, tmp_path, capsys, compiler, fails):
    compiler.fails = fails
    run = train(replace(tiny, compile=True), tmp_path / "run")
    said = capsys.readouterr().out.splitlines()
    assert (said.count(SAYS), said.count(WHY)) == (fails != "small", 1)
    assert_same_run(finished, run)


@pytest.mark.long
def test_a_compiled_student_learns_from_its_teacher(tiny, tmp_path, compiler):
    torch.manual_seed(5)
    SpikeYOLO("t", names=CLASS_NAMES, neuron="relu").save(tmp_path / "teacher.safetensors")
    settings = replace(tiny, epochs=1, teacher=str(tmp_path / "teacher.safetensors"))
    runs = [train(replace(settings, compile=on), tmp_path / str(on)) for on in (False, True)]
    assert compiler.calls
    assert_same_run(*runs)


COMPILED = SCRIPT.replace(
    'if __name__ == "__main__":',
    'from spikeyolo.model import compiling\ncompiling.BACKEND = "aot_eager"\n\nif __name__ == "__main__":',
)


@pytest.mark.long
@pytest.mark.parametrize("processes", [1, 2])
def test_losses_of_a_compiled_run_are_those_without(tiny, tmp_path, monkeypatch, processes):
    """By the real torch.compile, to 1e-4 as between one process and two: without spikes, so that no count hangs on the
    last bit of a sum, with small steps, and with frozen norms: where norms learn, noise of 1e-6 in the gradients
    changes the losses of an uncompiled run by 6e-3 in the second epoch.
    """
    norms = [name for name, part in SpikeYOLO("t").named_modules() if isinstance(part, nn.BatchNorm2d)]
    settings = replace(tiny, neuron="relu", lr=1e-6, processes=processes, freeze=norms)
    plain = command(tmp_path, settings, tmp_path / "plain")
    subprocess.run(plain, env=ENVIRONMENT, check=True, timeout=600, capture_output=True)
    monkeypatch.setattr("tests.helpers.runs.SCRIPT", COMPILED)
    compiled = command(tmp_path, replace(settings, compile=True), tmp_path / "compiled")
    done = subprocess.run(compiled, env=ENVIRONMENT, check=True, timeout=1800, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.count(SAYS) == 1
    assert "uncompiled" not in done.stdout
    for a, b in zip(rows_of(tmp_path / "plain"), rows_of(tmp_path / "compiled"), strict=True):
        for name in ("box_loss", "class_loss", "distribution_loss"):
            assert float(b[name]) == pytest.approx(float(a[name]), rel=1e-4)
    ours, theirs = (
        torch.load(RunFolder(tmp_path / name).last, weights_only=True)["state_dict"] for name in ("compiled", "plain")
    )
    assert list(ours) == list(theirs)
