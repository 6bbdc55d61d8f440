"""Muon against its definition, and against torch's own where that can go."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.runs import assert_same_run, train_until
from torch import nn

from spikeyolo import SpikeYOLO
from spikeyolo.training.muon import ITERATIONS, Muon, orthogonal
from spikeyolo.training.optimization import make_optimizer, parameter_groups
from spikeyolo.training.run import train
from spikeyolo.training.settings import TrainSettings


def polynomial(value: float) -> float:
    """What one iteration makes of a singular value."""
    return 3.4445 * value - 4.7750 * value**3 + 2.0315 * value**5


def test_singular_values_by_hand():
    """A diagonal matrix: each singular value, as a share of the norm, goes through the polynomial five times."""
    found = orthogonal(torch.diag(torch.tensor([3.0, 4.0])))
    expected = [reduce(lambda x, _: polynomial(x), range(5), share) for share in (0.6, 0.8)]
    torch.testing.assert_close(found, torch.diag(torch.tensor(expected)))
    assert ITERATIONS == 5


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**31))
def test_directions_stay_and_lengths_become_one(rows, columns, seed):
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    left, lengths, right = torch.linalg.svd(matrix, full_matrices=False)
    made = left.T @ orthogonal(matrix) @ right.T
    torch.testing.assert_close(made, torch.diag(made.diagonal()), rtol=0, atol=1e-6)
    large = lengths > 0.003 * matrix.norm()
    assert ((made.diagonal()[large] > 0.65) & (made.diagonal()[large] < 1.21)).all()


def test_nothing_comes_of_nothing():
    assert (orthogonal(torch.zeros(3, 5)) == 0).all()


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch before 2.9 has no Muon")
@pytest.mark.parametrize("shape", [(8, 24), (24, 8)])
def test_steps_are_those_of_torch(shape):
    """Which takes matrices alone, and computes in bfloat16: so the steps agree to a few hundredths of their length."""
    torch.manual_seed(0)
    convolution = nn.Conv2d(shape[1], shape[0], 1, bias=False)
    matrix = nn.Parameter(convolution.weight.detach().flatten(1).clone())
    start = matrix.detach().clone()
    settings = TrainSettings(optimizer="muon", lr=0.02, momentum=0.9, weight_decay=0.1, batch=64)
    ours = make_optimizer(convolution, settings)
    torchs = torch.optim.Muon(
        [matrix], lr=0.02, weight_decay=0.1, momentum=0.9, nesterov=True, adjust_lr_fn="match_rms_adamw"
    )
    for _ in range(5):
        gradient = torch.randn(shape)
        convolution.weight.grad, matrix.grad = gradient[:, :, None, None].clone(), gradient.clone()
        ours.step()
        torchs.step()
    moved, expected = convolution.weight.detach().flatten(1) - start, matrix.detach() - start
    assert (moved - expected).norm() < 0.03 * expected.norm()


def test_convolutions_over_several_channels_are_matrices_but_for_the_last():
    model = SpikeYOLO("t", num_classes=2)
    groups = {group["name"]: group for group in parameter_groups(model, 0.1, matrices=True)}
    owners = {id(p): m for m in model.modules() for p in m.parameters(recurse=False)}
    assert all(owners[id(p)].groups == 1 for p in groups["matrices"]["params"])
    others = [owners[id(p)] for p in groups["weights"]["params"]]
    last = [convolution for convolution in others if convolution.groups == 1]
    assert sorted(convolution.out_channels for convolution in last) == [2, 2, 2, 64, 64, 64]
    assert all(convolution.groups == convolution.in_channels for convolution in others if convolution not in last)
    assert groups["matrices"]["weight_decay"] == groups["weights"]["weight_decay"] == 0.1
    assert sum(len(group["params"]) for group in groups.values()) == len(list(model.parameters()))


def test_what_is_no_matrix_goes_as_with_adamw():
    weights = {}
    for name in ("adamw", "muon"):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 6, 1))
        optimizer = make_optimizer(model, TrainSettings(optimizer=name, lr=0.01, batch=64))
        for _ in range(3):
            for parameter in model.parameters():
                parameter.grad = torch.randn_like(parameter)
            optimizer.step()
        weights[name] = [p.detach() for p in model.parameters()]
    same = [torch.equal(a, b) for a, b in zip(weights["adamw"], weights["muon"], strict=True)]
    assert same == [True, True, False, True]


def test_closure_is_called_once_and_its_value_given_back():
    weight = nn.Parameter(torch.ones(2, 2, 1, 1))
    optimizer = Muon([{"name": "matrices", "params": [weight]}], lr=0.1)
    calls = []

    def closure():
        calls.append(1)
        optimizer.zero_grad()
        loss = (weight * torch.eye(2)[:, :, None, None]).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) == 2
    assert len(calls) == 1
    assert (weight.diagonal() < 1).all()


def test_resumed_run_is_the_uninterrupted_one(tiny, tmp_path):
    settings = replace(tiny, optimizer="muon", lr=1e-3, save_steps=1)
    whole = train(settings, tmp_path / "whole")
    train_until(4, settings, tmp_path / "killed")
    assert_same_run(whole, train(TrainSettings(), resume=tmp_path / "killed"))
