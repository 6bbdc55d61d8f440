"""Several processes on one machine, and one that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from tests.helpers.event_datasets import write_data_set
from tests.helpers.gradients import Toy, batch, gradients, one_process
from tests.helpers.runs import ENVIRONMENT, assert_same_run, command, rows_of
from torch import nn

from spikeyolo.model.detector import SpikeYOLO
from spikeyolo.training.run import train
from spikeyolo.training.run_folder import RunFolder
from spikeyolo.training.settings import TrainSettings


def test_gradient_of_two_processes_is_that_of_one(tmp_path):
    torch.multiprocessing.spawn(one_process, (str(tmp_path),), nprocs=2)
    alone = Toy().double()
    expected, parts = gradients(alone, *batch())
    for rank in range(2):
        found = torch.load(tmp_path / str(rank), weights_only=True)
        torch.testing.assert_close(found["parts"], parts)
        torch.testing.assert_close(found["gradients"], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.long
def test_two_processes_write_one_run_like_that_of_one_and_stop_together(tiny, tmp_path):
    # Without spikes and with small steps: where neurons round, the last bit of a sum decides between counts, and even
    # the order of the images in a batch changes single losses. Norms are frozen: each process has its own statistics.
    norms = [name for name, part in SpikeYOLO("t").named_modules() if isinstance(part, nn.BatchNorm2d)]
    settings = replace(tiny, neuron="relu", lr=1e-6, epochs=4, patience=1, freeze=norms)
    one = train(settings, tmp_path / "one")
    two = command(tmp_path, replace(settings, processes=2), tmp_path / "two")
    done = subprocess.run(two, env=ENVIRONMENT, check=True, timeout=300, capture_output=True, text=True)
    assert done.stderr == ""  # no hints of libraries
    assert done.stdout.count("epoch 2/4") == 1
    assert "on CPU, 2 processes in 32" in done.stdout
    alone, shared = rows_of(one.path), rows_of(tmp_path / "two")
    assert len(alone) == len(shared) == 2  # nothing is learnt, so that the second of four epochs is the last
    for a, b in zip(alone, shared, strict=True):
        assert (a["step"], a["AP"]) == (b["step"], b["AP"])
        for name in ("box_loss", "class_loss", "distribution_loss"):
            assert float(b[name]) == pytest.approx(float(a[name]), rel=1e-4)


@pytest.mark.long
def test_two_processes_train_on_recordings_in_bf16(tmp_path):
    data = write_data_set(tmp_path / "data")
    settings = TrainSettings(
        data=str(data), model="t", epochs=1, batch=4, workers=0, device="cpu", processes=2, precision="bf16"
    )
    subprocess.run(command(tmp_path, settings, tmp_path / "run"), env=ENVIRONMENT, check=True, timeout=300)
    (row,) = rows_of(tmp_path / "run")
    assert all(float(row[name]) > 0 for name in ("box_loss", "class_loss", "distribution_loss", "mean_count"))


@pytest.mark.long
@pytest.mark.parametrize("processes", [1, 2])
def test_kill_9_within_an_epoch_then_resume_gives_the_same_weights(tiny, tmp_path, processes):
    settings = replace(tiny, workers=1, save_steps=1, processes=processes)
    whole, cut = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "cut")
    subprocess.run(command(tmp_path, settings, whole.path), env=ENVIRONMENT, check=True, timeout=300)
    process = subprocess.Popen(command(tmp_path, settings, cut.path), env=ENVIRONMENT, start_new_session=True)
    while not cut.last.exists():  # written after the first of the three steps of an epoch
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    again = [sys.executable, "-m", "spikeyolo", "train", "--resume", str(cut.path)]
    subprocess.run(again, env=ENVIRONMENT, check=True, timeout=300)
    assert_same_run(whole, cut)
