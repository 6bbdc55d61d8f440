"""Trainings that take seconds."""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

import pytest
import torch

from spikeyolo import load
from spikeyolo.training.module import DetectorModule
from spikeyolo.training.run import train
from spikeyolo.training.run_folder import RunFolder
from spikeyolo.training.settings import TrainSettings


def tiny_settings(data: Path) -> TrainSettings:
    """Two epochs of three batches."""
    return TrainSettings(
        data=str(data),
        model="t",
        epochs=2,
        batch=4,
        nominal_batch=8,
        imgsz=64,
        warmup_epochs=1,
        workers=0,
        device="cpu",
    )


SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path
from spikeyolo.training.run import train
from spikeyolo.training.settings import read_settings

if __name__ == "__main__":
    train(read_settings(Path(sys.argv[1])), Path(sys.argv[2]))
"""


def command(folder: Path, settings: TrainSettings, out: Path) -> list[str]:
    """What trains by these settings in a process of its own, which starts the others."""
    (folder / "script.py").write_text(SCRIPT)
    (folder / "settings.yaml").write_text(settings.to_yaml())
    return [sys.executable, str(folder / "script.py"), str(folder / "settings.yaml"), str(out)]


ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


class Killed(BaseException):
    """Stands for a kill: nothing catches it and nothing is cleaned up in its name."""


def train_until(batches: int, settings: TrainSettings, out: Path | None = None, resume: Path | None = None) -> None:
    """Train until so many batches have been used, then die."""
    step, used = DetectorModule.training_step, []

    def dying_step(self, batch, batch_idx):
        if len(used) == batches:
            raise Killed
        used.append(batch_idx)
        return step(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(DetectorModule, "training_step", dying_step)
        with pytest.raises(Killed):
            train(settings, out, resume)


def rows_of(run: Path) -> list[dict[str, str]]:
    """What results.csv of a run's folder says."""
    return list(csv.DictReader((run / "results.csv").read_text().splitlines()))


def states(run: RunFolder) -> dict[str, torch.Tensor]:
    """Every tensor of a last.ckpt that decides how training goes on, and the best weights."""
    kept = torch.load(run.last, weights_only=True)
    optimizer = kept["optimizer_states"][0]["state"]
    flat = {f"current.{k}": v for k, v in kept["current_model_state"].items()}
    flat |= {f"average.{k}": v for k, v in kept["state_dict"].items()}
    flat |= {f"{i}.{k}": v for i, s in optimizer.items() for k, v in s.items() if isinstance(v, torch.Tensor)}
    return flat | {f"best.{k}": v for k, v in load(run.best).state_dict().items()}


def assert_same_run(first: RunFolder, second: RunFolder) -> None:
    """To the last bit."""
    assert first.results.read_text() == second.results.read_text()
    one, two = states(first), states(second)
    assert one.keys() == two.keys()
    different = [name for name in one if not torch.equal(one[name], two[name])]
    assert not different
