"""What a training says while it runs."""

from __future__ import annotations

import io
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from rich.console import Console

from spikeyolo.training.callbacks import progress
from spikeyolo.training.callbacks.progress import TrainingProgress, epoch_line
from spikeyolo.training.module import DetectorModule

SHOWN = {"box_loss": 16.384, "class_loss": 14.331, "distribution_loss": 14.249, "lr": 0.01, "mean_count": 0.437}


def trainer_of(device: str = "cpu", **values) -> SimpleNamespace:
    return SimpleNamespace(
        is_global_zero=True,
        world_size=1,
        current_epoch=99,
        max_epochs=300,
        num_training_batches=2957,
        num_val_batches=[157],
        global_step=0,
        loggers=[],
        fit_loop=SimpleNamespace(total_batch_idx=1),
        strategy=SimpleNamespace(root_device=torch.device(device)),
        **values,
    )


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when the test says so."""
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now.seconds)
    return now


@pytest.mark.parametrize("width", [80, 120])
def test_the_line_fits_the_terminal_with_bar_share_and_time_left(monkeypatch, clock, width):
    screen = io.StringIO()
    console = Console(file=screen, width=width, force_terminal=True)
    monkeypatch.setattr(progress, "console", lambda **_: console)
    monkeypatch.setattr(progress.sys, "stderr", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(progress, "memory_gb", lambda: 12.3)
    trainer, callback = trainer_of(), TrainingProgress()
    callback.on_train_epoch_start(trainer, None)
    for batch in range(1000):
        clock.seconds += 0.032
        callback.on_train_batch_end(
            trainer, Mock(spec=DetectorModule, shown=SHOWN), None, SimpleNamespace(batch_size=40), batch
        )
    callback._bar.refresh()
    (line,) = [
        "".join(segment.text for segment in segments)
        for segments in console.render_lines(callback._bar.get_renderable(), console.options)
    ]
    callback.on_exception(trainer, None, None)
    assert line.startswith("epoch 100/300 ━")
    assert "34%" in line
    assert ":" in line.split("34%")[1].split("loss" if width == 80 else "box")[0]  # the time left
    assert line.rstrip().endswith("1250 images/s  12.3 GB")
    assert "…" not in line


@pytest.mark.parametrize(
    ("device", "seconds", "said"),
    [
        ("cpu", 0.2, "takes about 33 hours on"),
        ("cpu", 10.0, "takes about 69 days on this CPU; a GPU, --model t"),
        ("cpu", 0.01, ""),
        ("cuda", 10.0, ""),
    ],
    ids=["long", "far too long", "short", "on a GPU"],
)
def test_who_trains_for_weeks_on_a_cpu_is_told_once(capsys, clock, device, seconds, said):
    """201 epochs are left, each of 2957 batches of 10 s: 68.8 days."""
    trainer, callback = trainer_of(device), TrainingProgress()
    callback.on_train_epoch_start(trainer, None)
    for batch in range(50):
        clock.seconds += seconds if batch else 1000.0  # the first one warms up
        callback.on_train_batch_end(
            trainer, Mock(spec=DetectorModule, shown=SHOWN), None, SimpleNamespace(batch_size=40), batch
        )
    out = capsys.readouterr().out
    assert said in out
    assert out.count("\n") == bool(said)


def test_what_is_left_of_an_epoch():
    row = {**SHOWN, "AP": 0.25, "AP50": 0.5}
    assert epoch_line(row, 3, 80, 61.4) == (
        "epoch 3/80  box 16.384  class 14.331  distribution 14.249  mean count 0.44  AP50 0.500  AP 0.250  61 s"
    )


def test_further_terms_of_the_loss_stand_in_the_epochs_line():
    row = {**SHOWN, "soft_class_loss": 0.25, "energy_loss": 0.0625, "gsop": 0.0012345}
    assert epoch_line(row, 3, 80, 61.4) == (
        "epoch 3/80  box 16.384  class 14.331  distribution 14.249  soft class 0.25  energy 0.0625  gsop 0.00123  "
        "mean count 0.44  61 s"
    )
