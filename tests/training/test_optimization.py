"""The optimiser, its course over a training, and the average of the weights."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from spikeyolo import SpikeYOLO
from spikeyolo.training.callbacks.averaging import ExponentialAverage, ema_decay, lerp
from spikeyolo.training.optimization import (
    Position,
    Schedule,
    lay_out_gradients,
    make_optimizer,
    move_to,
    parameter_groups,
    scaled_decay,
)
from spikeyolo.training.settings import TrainSettings


def test_groups_hold_every_parameter_once_and_only_convolutions_decay():
    model = SpikeYOLO("t", num_classes=2)
    groups = {group["name"]: group for group in parameter_groups(model, 0.1)}
    grouped = [p for group in groups.values() for p in group["params"]]
    assert len(grouped) == len({id(p) for p in grouped}) == len(list(model.parameters()))
    owners = {id(p): m for m in model.modules() for p in m.parameters(recurse=False)}
    assert all(isinstance(owners[id(p)], nn.Conv2d) for p in groups["weights"]["params"])
    assert all(isinstance(owners[id(p)], nn.BatchNorm2d) for p in groups["norms"]["params"])
    assert all(p.ndim == 1 for p in groups["biases"]["params"])
    assert {name: group["weight_decay"] for name, group in groups.items()} == {"weights": 0.1, "norms": 0, "biases": 0}


@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
@pytest.mark.parametrize("kind", ["layer", "channel"])
def test_learned_scales_do_not_decay_and_stay_positive(kind, name):
    model = SpikeYOLO("t", num_classes=2, learned_scale=kind)
    scales = [p for n, p in model.named_parameters() if n.endswith(".neuron.scale")]
    groups = {group["name"]: group for group in parameter_groups(model, 0.1)}
    assert {id(scale) for scale in scales} <= {id(p) for p in groups["norms"]["params"]}
    optimizer = make_optimizer(model, TrainSettings(optimizer=name, weight_decay=0.1))
    for scale in scales:
        scale.grad = torch.zeros_like(scale)
    optimizer.step()
    assert all((scale == 1).all() for scale in scales)
    for scale in scales:
        scale.grad = torch.full_like(scale, 1e6)
    for _ in range(3):
        optimizer.step()
        assert all((scale > 0).all() for scale in scales)


def test_frozen_parameters_are_left_out():
    model = SpikeYOLO("t", num_classes=2)
    model.backbone.requires_grad_(False)
    grouped = [p for group in parameter_groups(model, 0.1) for p in group["params"]]
    assert len(grouped) == len(list(model.parameters())) - len(list(model.backbone.parameters()))


@pytest.mark.parametrize(
    ("batch", "expected"),
    [(16, 5e-4), (40, 5e-4 * 80 / 64), (64, 5e-4), (128, 1e-3)],
    ids=["four batches of 16", "two of 40 are 80", "one", "never less than one"],
)
def test_decay_is_scaled_to_the_images_of_a_step(batch, expected):
    assert scaled_decay(TrainSettings(batch=batch)) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
def test_position_reaches_the_optimiser(name):
    optimizer = make_optimizer(SpikeYOLO("t", num_classes=2), TrainSettings(optimizer=name))
    move_to(optimizer, Position(lr=0.25, bias_lr=0.5, momentum=0.75, accumulate=1))
    groups = {group["name"]: group for group in optimizer.param_groups}
    assert [groups[kind]["lr"] for kind in ("weights", "norms", "biases")] == [0.25, 0.25, 0.5]
    assert all((g["momentum"] if name == "sgd" else g["betas"][0]) == 0.75 for g in groups.values())


def test_first_steps_by_hand():
    """A weight of 1 with gradient 2, lr 0.1, decay 0.01, on the CPU.

    AdamW: 1 - 0.1 * 0.01 * 1 - 0.1 * 2 / (2 + eps) = 0.899; Nesterov: g = 2 + 0.01 * 1, 1 - 0.1 * (g + 0.9 g) = 0.6181.
    """
    for name, expected in (("adamw", 0.899), ("sgd", 0.6181)):
        model = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.ones_(model.weight)
        settings = TrainSettings(optimizer=name, lr=0.1, momentum=0.9, weight_decay=0.01, batch=64, nominal_batch=64)
        optimizer = make_optimizer(model, settings)
        model.weight.grad = torch.full_like(model.weight, 2.0)
        optimizer.step()
        assert model.weight.item() == pytest.approx(expected, abs=1e-6), name


def test_average_follows_its_formula():
    assert ema_decay(2000, 0.9999, 2000) == pytest.approx(0.9999 * (1 - 1 / 2.718281828))
    weight, counter = torch.tensor([1.0]), torch.tensor([3])
    # After two updates this is the third, of decay 0.9 * (1 - exp(-1.5)) = 0.69918.
    share = ExponentialAverage(0.9, 2.0).share(2)
    lerp([weight, counter], [torch.tensor([2.0]), torch.tensor([7])], share)
    assert float(weight) == pytest.approx(0.69918 * 1 + 0.30082 * 2, abs=1e-4)
    assert int(counter) == 7


@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
def test_steps_are_right_where_weights_and_gradients_lie_in_memory_differently(name):
    """torch's fused steps on CPUs go through both in the order of memory, and move weights by others' gradients."""
    settings, weights = TrainSettings(optimizer=name, lr=0.01, batch=64), []
    for fused in (True, False):
        torch.manual_seed(0)
        model = nn.Conv2d(3, 16, 7, bias=False).to(memory_format=torch.channels_last)
        optimizer = make_optimizer(model, settings)
        assert optimizer.param_groups[0]["fused"]
        optimizer.param_groups[0]["fused"] = fused
        for _ in range(20):
            model.weight.grad = torch.randn(16, 3, 7, 7)
            assert model.weight.grad.stride() != model.weight.stride()
            optimizer.step()
        weights.append(model.weight.detach())
    torch.testing.assert_close(*weights)


def test_gradients_that_lie_as_their_weights_stay_the_same_tensors():
    model = SpikeYOLO("t", num_classes=2)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = [parameter.grad for parameter in model.parameters()]
    lay_out_gradients(model.parameters())
    assert all(p.grad is kept for p, kept in zip(model.parameters(), before, strict=True))


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


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_a_course_by_the_batch_goes_through_that_of_the_epochs(schedule):
    settings = TrainSettings(epochs=4, lr=1.0, final_lr=0.2, schedule=schedule, warmup_epochs=0)
    by_epoch, by_batch = (Schedule(replace(settings, schedule_interval=i), batches=5) for i in ("epoch", "batch"))
    assert [by_batch.at(e, 0).lr for e in range(4)] == [by_epoch.at(e, 0).lr for e in range(4)]
    falling = [by_batch.at(e, b).lr for e in range(4) for b in range(5)]
    assert falling == sorted(set(falling), reverse=True)
    assert len(falling) == 20
    done = 19 / 20  # of the last batch
    left = 1 - done if schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
    assert falling[-1] == pytest.approx(0.2 + 0.8 * left)


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


def test_position_says_which_phase_it_is():
    settings = TrainSettings(epochs=5, warmup_epochs=1.5, calibration_epochs=2, batch=64)
    schedule = Schedule(settings, batches=2)
    at = [schedule.at(epoch, batch) for epoch in range(5) for batch in range(2)]
    assert [position.warming for position in at] == [True] * 3 + [False] * 7
    assert [position.calibrating for position in at] == [False] * 6 + [True] * 4
    assert not any(Schedule(TrainSettings(), 2).at(299, batch).calibrating for batch in range(2))


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_biases_of_others_than_sgd_start_at_zero(name):
    schedule = Schedule(TrainSettings(optimizer=name, lr=0.001, batch=64), batches=4)
    assert schedule.at(0, 0).bias_lr == 0.0


def test_large_batches_step_every_time():
    schedule = Schedule(TrainSettings(batch=256), batches=4)
    assert {schedule.at(e, 0).accumulate for e in range(20)} == {1}
