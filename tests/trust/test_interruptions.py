"""Trainings that are killed, or asked to stop, at any moment: resumed, they are what they would have been."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.helpers.runs import assert_same_run

from spikeyolo.interruption import Interrupted
from spikeyolo.synthetic.shapes import ShapesConfig, write_shapes
from spikeyolo.training.module import DetectorModule
from spikeyolo.training.run import train
from spikeyolo.training.run_folder import RunFolder
from spikeyolo.training.settings import MACHINE, TrainSettings


def as_in_a_terminal() -> None:
    """What runs in the background ignores a Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(words: Sequence[str], folder: Path) -> subprocess.Popen:
    """The program in a session of its own, so that nothing it leaves behind is overlooked."""
    return subprocess.Popen(
        [sys.executable, "-m", "spikeyolo", *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
        preexec_fn=as_in_a_terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def left_behind(session: int) -> list[str]:
    """Processes of a session that are still there, after a while for those that are just ending."""
    for _ in range(100):
        listed = subprocess.run(["ps", "-eo", "sid=,args="], capture_output=True, text=True, check=True).stdout
        found = [line for line in listed.splitlines() if line.split()[0] == str(session) and "<defunct>" not in line]
        if not found:
            break
        time.sleep(0.1)
    return found


def write_recipe(folder: Path, settings: TrainSettings) -> list[str]:
    (folder / "recipe.yaml").write_text(settings.to_yaml())
    return ["train", "--config", "recipe.yaml", "--out", "run"]


WHERE = [
    (1, "training_step", 1),
    pytest.param(1, "training_step", 2, marks=pytest.mark.long),
    pytest.param(1, "training_step", 3, marks=pytest.mark.long),
    (1, "training_step", 5),
    (1, "validation_step", 1),
    pytest.param(1, "validation_step", 2, marks=pytest.mark.long),
    (1, "validation_step", 4),
    (2, "validation_step", 1),  # only the last epoch is validated
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Two epochs of three batches, of which two are a step, and of two batches of validation; and its settings."""
    folder = tmp_path_factory.mktemp("whole")
    data = write_shapes(folder / "data", ShapesConfig(seed=3, train=10, val=6, size=64))
    settings = TrainSettings(
        data=str(data), model="t", epochs=2, batch=4, nominal_batch=8, imgsz=64, warmup_epochs=0, workers=0,
        device="cpu",
    )  # fmt: skip
    return train(settings, folder / "run"), settings


@pytest.mark.few(1)
@pytest.mark.parametrize(("val_every", "step", "number"), WHERE)
def test_a_signal_at_any_batch_saves_what_is_done(whole, tmp_path, monkeypatch, val_every, step, number):
    finished, settings = whole
    if val_every == 2:
        settings = replace(settings, val_every=2)
        finished = train(settings, tmp_path / "whole")
    calls, used = [], []
    original, training_step = getattr(DetectorModule, step), DetectorModule.training_step

    def interrupted(self, batch, batch_idx):
        calls.append(batch_idx)
        if len(calls) == number:
            signal.raise_signal(signal.SIGTERM)
        return original(self, batch, batch_idx)

    with monkeypatch.context() as patched:
        patched.setattr(DetectorModule, step, interrupted)
        with pytest.raises(Interrupted, match=r"stopped by SIGTERM; go on with: spikeyolo train --resume ") as caught:
            train(settings, tmp_path / "run")
    assert caught.value.exit_code == 143
    assert len(calls) <= number + 1  # one more where two batches are a step

    def counted(self, batch, batch_idx):
        used.append(batch_idx)
        return training_step(self, batch, batch_idx)

    monkeypatch.setattr(DetectorModule, "training_step", counted)
    assert_same_run(finished, train(TrainSettings(), resume=tmp_path / "run", given=set()))
    done = len(calls) if step == "training_step" else 6 if number > 2 or val_every == 2 else 3
    assert len(used) == 6 - done  # no batch is computed again


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "said", "delay"),
    [
        pytest.param("SIGINT", 130, "interrupted", 2.0, marks=pytest.mark.long),
        ("SIGTERM", 143, "stopped by SIGTERM", 0.5),
    ],
)
def test_the_program_says_how_to_go_on_and_leaves_nobody_behind(whole, tmp_path, number, code, said, delay):
    finished, settings = whole
    process = start([*write_recipe(tmp_path, settings), "--workers", "2"], tmp_path)
    assert process.stdout is not None
    while "written to run" not in process.stdout.readline():
        assert process.poll() is None
    time.sleep(delay)
    os.killpg(process.pid, getattr(signal, number))  # as a terminal or a scheduler: to the workers, too
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, len(errors.splitlines())) == (code, 1), errors
    assert errors.startswith(f"spikeyolo: {said}")
    assert errors.endswith("spikeyolo train --resume run\n")
    assert not left_behind(process.pid)
    assert_same_run(finished, train(replace(settings, workers=0), resume=tmp_path / "run", given=set(MACHINE)))


@pytest.mark.long
def test_processes_that_train_together_stop_together_and_one_speaks(whole, tmp_path):
    _, settings = whole
    process = start([*write_recipe(tmp_path, replace(settings, epochs=1000)), "--processes", "2"], tmp_path)
    assert process.stdout is not None
    while "epoch 1/" not in process.stdout.readline():
        assert process.poll() is None
    os.kill(process.pid, signal.SIGTERM)  # the others are not told
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (
        143,
        "spikeyolo: stopped by SIGTERM; go on with: spikeyolo train --resume run\n",
    )
    assert not left_behind(process.pid)
    assert (tmp_path / "run" / "last.ckpt").exists()


@pytest.mark.long
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(("number", "moments"), [("SIGKILL", 20), ("SIGTERM", 10)])
def test_random_moments(tmp_path, workers, number, moments):
    """Each time from the last checkpoint, and each time later: all of a run's life is met."""
    data = write_shapes(tmp_path / "data", ShapesConfig(seed=3, train=24, val=8, size=64))
    settings = TrainSettings(
        data=str(data), model="t", epochs=6, batch=4, nominal_batch=8, imgsz=64, warmup_epochs=1, workers=workers,
        device="cpu", save_steps=2,
    )  # fmt: skip
    finished = train(settings, tmp_path / "whole")
    generator, report, kills, round_ = random.Random(workers), [], 0, 0
    while kills < moments:
        round_ += 1
        folder = tmp_path / str(round_)
        folder.mkdir()
        words = write_recipe(folder, settings)
        while True:
            process = start(words, folder)
            try:
                assert process.stdout is not None
                if generator.random() < 0.7:  # from when it trains on, else from its start
                    while "written to run" not in (process.stdout.readline() or "written to run"):
                        pass
                _, errors = process.communicate(timeout=generator.uniform(0, 6))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, getattr(signal, number))
                _, errors = process.communicate(timeout=60)
                kills += 1
            # -15: Python has not got to the first line of this program yet, or is done with the last.
            assert process.returncode in ({0, -9} if number == "SIGKILL" else {0, 143, -15}), errors
            assert len(errors.splitlines()) == (process.returncode == 143), errors
            assert not left_behind(process.pid)
            saved = (folder / "run" / "last.ckpt").exists()
            report.append(f"{process.returncode}{'' if saved else ' before any checkpoint'}")
            if process.returncode == 0:
                break
            words = ["train", "--resume", "run"] if (folder / "run" / "config.yaml").exists() else words
        assert_same_run(finished, RunFolder(folder / "run"))
    print(f"\n{number}, {workers} workers: {kills} kills, {round_} runs to the end, all equal; codes {report}")
