"""When last.ckpt is written within an epoch."""

from __future__ import annotations

from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from spikeyolo.interruption import StopRequest, signals_restored
from spikeyolo.training.callbacks.checkpoints import ASK_EVERY, RunCheckpoints
from spikeyolo.training.module import DetectorModule
from spikeyolo.training.run_folder import RunFolder


def run(monkeypatch, tmp_path, *, processes: int, batches: int, seconds: float, together: int, **settings):
    """Batches of so many seconds, so many of them a step; returns the steps saved at, and the questions asked."""
    now, saved, asked = [0.0], [], []
    monkeypatch.setattr("spikeyolo.training.callbacks.checkpoints.time.monotonic", lambda: now[0])
    trainer = SimpleNamespace(
        world_size=processes,
        global_step=0,
        num_training_batches=batches,
        strategy=SimpleNamespace(
            broadcast=lambda late: asked.append(late) or late, reduce_boolean_decision=lambda stops, all: stops
        ),
        save_checkpoint=lambda _: saved.append(trainer.global_step),
    )
    module = Mock(spec=DetectorModule, pending=0)
    settings = {"minutes": 10, "steps": None, "stop": StopRequest(), **settings}
    callback = RunCheckpoints(RunFolder(tmp_path), Mock(), **settings)
    with signals_restored():
        callback.on_train_start(trainer, module)
    for batch in range(batches):
        now[0] += seconds
        module.pending = (batch + 1) % together
        trainer.global_step += module.pending == 0
        callback.on_train_batch_end(trainer, module, None, None, batch)
    return saved, len(asked)


def test_one_process_looks_at_its_clock_between_steps(monkeypatch, tmp_path):
    saved, asked = run(monkeypatch, tmp_path, processes=1, batches=65, seconds=60, together=2)
    assert (saved, asked) == ([5, 10, 15, 20, 25, 30], 0)


@pytest.mark.parametrize("together", [1, 2, 3])
def test_several_processes_ask_each_other_seldom_whatever_the_batches_of_a_step(monkeypatch, tmp_path, together):
    """A question is two collectives; the clocks of the processes differ, so that one decides for all."""
    batches = 5 * ASK_EVERY * together + 1
    saved, asked = run(monkeypatch, tmp_path, processes=2, batches=batches, seconds=60, together=together)
    assert saved == [ASK_EVERY * number for number in range(1, 6)]
    assert asked == 5


def test_steps_need_no_question(monkeypatch, tmp_path):
    saved, asked = run(monkeypatch, tmp_path, processes=2, batches=10, seconds=0, together=1, steps=4)
    assert (saved, asked) == ([4, 8], 0)
