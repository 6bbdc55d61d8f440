"""The energy term: the additions that `energy` counts, and a gradient that makes them fewer."""

from __future__ import annotations

import math

import pytest
import torch
from tests.helpers.networks import lively
from torch import nn
from torch.nn import functional as F

from spikeyolo import SpikeYOLO
from spikeyolo.errors import ConfigError
from spikeyolo.metering.counting import count_layers
from spikeyolo.spiking import ILIF
from spikeyolo.spiking.slots import SlotCode
from spikeyolo.training.aids.aid import add_terms
from spikeyolo.training.aids.energy_term import EnergyTerm, spikes_of
from spikeyolo.training.optimization import Position

TRAINING, WARMING = Position(0.1, 0.1, 0.9, 1), Position(0.1, 0.1, 0.9, 1, warming=True)
UNARY, BINARY = SlotCode.UNARY, SlotCode.BINARY


def look(model: SpikeYOLO, images: torch.Tensor, code: SlotCode = UNARY, weight: float = 1.0, position=TRAINING):
    """The terms of a pass."""
    term = EnergyTerm(model.config, weight, code)
    with term.watching(model):
        logits = model(images)
    return term.terms(images, logits, position)


def one_by_one(model: SpikeYOLO, images: torch.Tensor, code: SlotCode) -> float:
    """Every spike of the spike-driven network with every output that it reaches: convolutions of ones."""
    network, additions = model.to_spike_driven(str(code)), []

    def count(conv, inputs, output):
        ones = torch.ones_like(conv.weight)
        reached = F.conv2d(inputs[0], ones, None, conv.stride, conv.padding, conv.dilation, conv.groups)
        additions.append(float(reached.sum()))

    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and not name.startswith("backbone.stem"):
            module.register_forward_hook(count)
    with torch.no_grad():
        network(images)
    return sum(additions)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("code", "changes"),
    [
        (UNARY, {"neuron": "gen1", "timesteps": 2}),
        (BINARY, {"max_count": 7}),
        (BINARY, {"learned_scale": "channel", "timesteps": 2}),
    ],
    ids=["unary, Gen1, T = 2", "binary, D = 7", "learned scales"],
)
def test_additions_are_those_that_energy_counts(code, changes):
    model, images = lively("t", num_classes=3, **changes), torch.rand(2, 3, 32, 64, dtype=torch.float64)
    with torch.no_grad():
        found = look(model, images, code)["gsop"]
    assert float(found.total) * 1e9 == pytest.approx(one_by_one(model, images, code), rel=1e-12)
    assert found.weight == 2
    if code is UNARY:
        counted = sum(layer.synaptic_ops or 0 for layer in count_layers(model, [images]))
        assert float(found.total / found.weight) * 1e9 == pytest.approx(counted, rel=1e-12)


@pytest.mark.few(1)
@pytest.mark.parametrize(("code", "most"), [(UNARY, 1.0), (BINARY, 1 / 4)], ids=str)
def test_share_is_0_of_silent_neurons_and_the_most_where_all_fire_4(code, most):
    """4 is one spike in binary code, and the most that there can be are 4."""
    model = SpikeYOLO("t", num_classes=2).eval()
    for value, expected in ((-100.0, 0.0), (100.0, most)):
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.zeros_(module.weight)
                nn.init.constant_(module.bias, value)
        with torch.no_grad():
            term = look(model, torch.rand(3, 3, 64, 64), code)["energy_loss"]
        assert float(term.total) / term.weight == pytest.approx(expected, rel=1e-12)


def test_spikes_of_every_count():
    counts = torch.arange(64.0)
    assert torch.equal(spikes_of(counts, 63, UNARY), counts)
    assert spikes_of(counts, 63, BINARY).tolist() == [int(count).bit_count() for count in range(64)]


def test_gradient_of_binary_spikes_is_that_of_a_bound_that_touches():
    counts = torch.arange(64.0, dtype=torch.float64, requires_grad=True)
    spikes, bound = spikes_of(counts, 63, BINARY), torch.log2(1 + counts)
    assert bool((spikes <= bound + 1e-12).all())
    touching = [0, 1, 3, 7, 15, 31, 63]
    torch.testing.assert_close(spikes[touching], bound[touching])
    (gradient,) = torch.autograd.grad(spikes.sum(), counts)
    step = 1e-6
    numeric = (torch.log2(1 + counts + step) - torch.log2(1 + counts - step)) / (2 * step)
    torch.testing.assert_close(gradient, numeric.detach(), rtol=1e-6, atol=1e-8)


def test_gradient_of_a_count_is_its_fan_out():
    """In the head's 3x3 convolutions a spike in the corner reaches 4 positions, at the edge 6, inside 9."""
    model, images = lively("t", num_classes=3), torch.rand(1, 3, 96, 96, dtype=torch.float64)
    seen = {}
    unit = model.head.box[1][1]  # 6 x 6 positions
    unit.neuron.register_forward_hook(lambda _, __, counts: counts.retain_grad() or seen.update(counts=counts))
    term = EnergyTerm(model.config, 1.0)
    with term.watching(model):
        model(images)
    most = term._most
    # Of the following unit alone: what comes after depends on these counts, too.
    term.terms(images, (), TRAINING)["energy_loss"].total.backward()
    unit.neuron._forward_hooks.clear()
    later = seen["counts"].grad * most
    with term.watching(model):
        x = seen["counts"].detach().requires_grad_()
        model.head.box[1][2](unit.norm(unit.conv(x.flatten(0, 1))).unflatten(0, (1, 1)))
    after = torch.autograd.grad(torch.stack(term._additions).sum(), x)[0]
    positions = torch.full((6, 6), 9.0, dtype=torch.float64)
    positions[[0, -1]], positions[:, [0, -1]] = 6.0, 6.0
    positions[[0, 0, -1, -1], [0, -1, 0, -1]] = 4.0
    expected = (unit.conv.out_channels * positions).expand_as(later)
    torch.testing.assert_close(later - after, expected)


def test_a_larger_scale_means_fewer_spikes():
    """The gradient of learned scales, times what LSQ divides it by, against a numeric one over many neurons."""
    torch.manual_seed(0)
    x = torch.rand(1, 2, 3, 150, 150, dtype=torch.float64) * 7 - 1
    neuron = ILIF(max_count=4, scales=3).double()
    nn.init.constant_(neuron.scale, 1.25)
    neuron.counts(neuron(x)).sum().backward()
    found = neuron.scale.grad * math.sqrt(150 * 150 * 4)

    def total(scale):
        other = ILIF(max_count=4, scales=3).double()
        nn.init.constant_(other.scale, scale)
        with torch.no_grad():
            return other.counts(other(x)).sum((0, 1, 3, 4))

    numeric = (total(1.35) - total(1.15)) / 0.2
    assert bool((numeric < 0).all())
    torch.testing.assert_close(found, numeric, rtol=0.05, atol=0)


@pytest.mark.few(1)
@pytest.mark.parametrize("code", [UNARY, BINARY], ids=str)
def test_steps_along_its_gradient_save_additions(code):
    model, images = lively("t", num_classes=2, dtype=torch.float32), torch.rand(1, 3, 64, 64)
    optimizer, seen = torch.optim.SGD(model.parameters(), lr=0.1), []
    for _ in range(4):
        terms = look(model, images, code)
        seen.append(float(terms["gsop"].total))
        optimizer.zero_grad()
        terms["energy_loss"].total.backward()
        optimizer.step()
    assert seen[0] > seen[1] > seen[2] > seen[3]


def test_loss_and_what_is_shown():
    model, images = lively("t", num_classes=2, dtype=torch.float32), torch.rand(2, 3, 64, 64)
    terms = look(model, images, weight=3.0)
    share = float(terms["energy_loss"].total.detach()) / 2
    loss, shown = add_terms(torch.tensor(5.0), terms, images=2)
    assert shown == pytest.approx({"energy_loss": 3 * share, "gsop": float(terms["gsop"].total) / 2})
    assert loss.item() == pytest.approx(5 + 2 * 3 * share)  # like the loss beside it, times the images


def test_the_warm_up_leaves_it_out_but_counts():
    model, images = lively("t", num_classes=2, dtype=torch.float32), torch.rand(2, 3, 64, 64)
    terms, loss = look(model, images, position=WARMING), torch.tensor(5.0)
    same, shown = add_terms(loss, terms, images=2)
    assert same is loss
    assert shown["energy_loss"] == 0
    assert shown["gsop"] > 0


def test_a_twin_has_no_spikes():
    with pytest.raises(ConfigError, match="energy_weight: an ANN twin has no spikes"):
        EnergyTerm(SpikeYOLO("t", neuron="relu").config, 1.0)
