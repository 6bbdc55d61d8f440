from __future__ import annotations

import math

import pytest

from spikeyolo.training.optimization import Schedule
from spikeyolo.training.settings import TrainSettings


def test_linear_course_without_warmup():
    schedule = Schedule(TrainSettings(epochs=10, lr=0.01, final_lr=0.1, warmup_epochs=0, batch=16), batches=5)
    # Falls by (1 - 0.1) / 10 an epoch, and not within one.
    assert [schedule.at(e, 3).lr for e in range(3)] == pytest.approx([0.01, 0.0091, 0.0082])
    assert schedule.at(9, 4).lr == pytest.approx(0.0019)
    assert schedule.at(0, 0).momentum == pytest.approx(0.937)
    assert schedule.at(0, 0).accumulate == 4


def test_cosine_course():
    schedule = Schedule(TrainSettings(epochs=4, lr=1.0, final_lr=0.2, schedule="cosine", warmup_epochs=0), batches=1)
    half = (1 + math.cos(math.pi / 4)) / 2
    expected = [1.0, 0.2 + 0.8 * half, 0.6, 0.2 + 0.8 * (1 - half)]
    assert [schedule.at(e, 0).lr for e in range(4)] == pytest.approx(expected)


def test_warmup_by_hand():
    # Two epochs of four batches: the warm-up has eight positions; nominal 64 = 4 batches of 16.
    settings = TrainSettings(epochs=100, lr=0.01, final_lr=0.0, warmup_epochs=2, batch=16)
    schedule = Schedule(settings, batches=4)
    start, middle, end = schedule.at(0, 0), schedule.at(1, 0), schedule.at(2, 0)
    assert (start.lr, start.bias_lr, start.momentum, start.accumulate) == (0.0, 0.1, 0.8, 1)
    assert middle.lr == pytest.approx(0.5 * 0.0099)
    assert middle.bias_lr == pytest.approx((0.1 + 0.0099) / 2)
    assert middle.momentum == pytest.approx((0.8 + 0.937) / 2)
    assert middle.accumulate == 2  # round(2.5), to even
    assert (end.lr, end.bias_lr) == (pytest.approx(0.0098), pytest.approx(0.0098))
    assert (end.momentum, end.accumulate) == (0.937, 4)


def test_adamw_biases_start_at_zero():
    schedule = Schedule(TrainSettings(optimizer="adamw", lr=0.001, batch=64), batches=4)
    assert schedule.at(0, 0).bias_lr == 0.0


def test_large_batches_step_every_time():
    schedule = Schedule(TrainSettings(batch=256), batches=4)
    assert {schedule.at(e, 0).accumulate for e in range(20)} == {1}
