"""Blocks whose norms are joined with what comes after them, as on GPUs, against the same blocks as they are on CPUs."""

import copy
from unittest.mock import patch

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from spikeyolo import SpikeYOLO
from spikeyolo.model.blocks import SpikingBlock, sep_conv, use_channels_last
from spikeyolo.model.head import DetectHead
from spikeyolo.spiking import ILIF, NeuronState, kernels
from spikeyolo.spiking.monitor import watch_counts
from spikeyolo.spiking.normed import joins

pytest.importorskip("triton", reason="triton is not installed")


@pytest.fixture
def as_on_gpus(monkeypatch):
    """Operators of GPUs are taken, which on CPUs run the equation."""
    monkeypatch.setattr(kernels, "has_kernel", has_kernel)


def has_kernel(x, v, scale, neuron):
    return x.dtype != torch.float64 and scale is None and not neuron.surrogate_width


class Names(TorchDispatchMode):
    """Which operators of this package ran, and how often."""

    def __init__(self):
        super().__init__()
        self.calls = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if func.namespace == "spikeyolo":
            self.calls[name] = self.calls.get(name, 0) + 1
        return func(*args, **(kwargs or {}))


def ran(module, *inputs):
    with Names() as names:
        module(*inputs)
    return names.calls


def lively(module, seed=0):
    """The module with norms whose numbers differ by channel."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.weight.copy_(torch.rand(part.weight.shape, generator=generator) + 0.5)
                part.bias.copy_(torch.randn(part.bias.shape, generator=generator) * 0.3 + 0.5)
                part.running_mean.copy_(torch.randn(part.bias.shape, generator=generator))
    use_channels_last(module)
    return module


def block(rep=True, **neuron):
    torch.manual_seed(0)
    return lively(SpikingBlock(6, 2, lambda _: ILIF(**neuron), rep))


def currents(timesteps, dim=6):
    return torch.randn(timesteps, 2, dim, 8, 10, generator=torch.Generator().manual_seed(1))


def step(module, x):
    """What a training step gives: outputs, gradients, and what the module then is."""
    x = x.clone().requires_grad_()
    y = module(x)
    y.backward(torch.randn(y.shape, generator=torch.Generator().manual_seed(2)))
    return y.detach(), x.grad, {name: p.grad for name, p in module.named_parameters()}, module.state_dict()


def assert_close(found, expected):
    """Within rounding; a gradient that rounding alone makes, of a bias before a norm, is compared by its largeness."""
    within = {"rtol": 1e-3, "atol": 2e-4}
    torch.testing.assert_close(found[0], expected[0], **within)
    torch.testing.assert_close(found[1], expected[1], **within)
    for ours, theirs in zip(found[2:], expected[2:], strict=True):
        assert ours.keys() == theirs.keys()
        for name in ours:
            torch.testing.assert_close(ours[name], theirs[name], **within, msg=lambda said, name=name: f"{name} {said}")


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("timesteps", [1, 3])
@pytest.mark.parametrize("rep", [False, True])
def test_a_block_is_the_same_but_for_rounding(as_on_gpus, rep, timesteps, recompute):
    module = block(rep)
    module.recompute = recompute
    x = currents(timesteps)
    calls = ran(copy.deepcopy(module), x)
    assert (calls["norm_ilif"], calls["norm_add"], calls["ilif"]) == (3, 2, 2)
    assert calls["norm_less_border"] == (3 if rep else 1)
    found = step(copy.deepcopy(module), x)
    with patch.object(kernels, "has_kernel", lambda *_: False):
        expected = step(copy.deepcopy(module), x)
    assert_close(found, expected)


def test_a_still_image_whose_steps_are_one_in_memory(as_on_gpus):
    module, x = block(), currents(1).expand(4, -1, -1, -1, -1)
    found = step(copy.deepcopy(module), x)
    with patch.object(kernels, "has_kernel", lambda *_: False):
        assert_close(found, step(module, x))


def test_the_head_and_what_watches_its_neurons(as_on_gpus):
    """Hooks of neurons see counts, whatever makes the currents."""
    torch.manual_seed(0)
    head = lively(DetectHead([8, 8, 8], 3, lambda _: ILIF()))
    levels = [currents(2, 8)] * 3
    means, logits = [], []
    for plain in (False, True):
        with patch.object(kernels, "has_kernel", (lambda *_: False) if plain else has_kernel):
            own = copy.deepcopy(head)
            with watch_counts(own) as mean, Names() as names:
                logits.append(own(levels))
            assert names.calls.get("norm_ilif", 0) == (0 if plain else 12)
            means.append(mean.value())
    torch.testing.assert_close(*logits, rtol=1e-4, atol=1e-4)
    assert means[0] == pytest.approx(means[1], rel=1e-5)
    assert 0 < means[0] < 4


def test_in_bf16_currents_are_no_longer_rounded(as_on_gpus):
    """Under autocast a norm gives half precision; joined with its neurons it is as exact as they are."""
    module, x = block(rep=False), currents(4)
    with torch.autocast("cpu", torch.bfloat16):
        y = module(x)
        assert ran(module, x)["norm_ilif"] == 3
    y.sum().backward()
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in module.parameters())


def norms_of(module):
    return [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]


UNJOINED = {
    "in evaluation": lambda module: module.eval(),
    "in float64": lambda module: module.double(),
    "of several GPUs": nn.SyncBatchNorm.convert_sync_batchnorm,
}


@pytest.mark.parametrize("name", UNJOINED)
def test_norms_that_are_modules_as_ever(as_on_gpus, name):
    module = UNJOINED[name](block())
    x = currents(2).to(next(module.parameters()).dtype)
    assert not any(kind.startswith("norm") for kind in ran(module, x))


def test_nothing_is_joined_where_no_gradient_is_asked_for_nor_in_a_stream(as_on_gpus):
    with torch.no_grad():
        assert not any(kind.startswith("norm") for kind in ran(block(), currents(2)))
    mixer = sep_conv(6, lambda _: ILIF())
    for name, part in mixer.named_modules():
        part.name = name
    assert ran(mixer, currents(2))["norm_ilif"] == 2
    assert "norm_ilif" not in ran(mixer, currents(2), NeuronState())


@pytest.mark.parametrize("neuron", [{"scales": 1}, {"surrogate_width": 0.5}])
def test_neurons_with_a_scale_or_tails_take_no_norm(as_on_gpus, neuron):
    calls = ran(block(**neuron), currents(2))
    assert "norm_ilif" not in calls
    assert calls["norm_add"] == 2


def test_what_is_watched_runs_as_a_module(as_on_gpus):
    """Hooks of a norm, a unit, a mixer, and those that see what neurons receive: then nothing is joined."""
    module, x = block(rep=False), currents(2)
    first, second, _ = module.token_mixer
    seen = []
    for part in (first.norm, second.neuron, first, module.token_mixer):
        hook = part.register_forward_pre_hook(lambda *_: seen.append(1))
        calls = ran(module, x)
        hook.remove()
        assert sum(calls[name] for name in ("norm_ilif", "norm_add")) == 4
    assert len(seen) == 4
    assert sum(ran(module, x)[name] for name in ("norm_ilif", "norm_add")) == 5


def test_frozen_norms_keep_their_statistics(as_on_gpus):
    module = block().train()
    for norm in norms_of(module):
        norm.eval()
    before = copy.deepcopy(module.state_dict())
    assert not any(kind.startswith("norm") for kind in ran(module, currents(1)))
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"momentum": None}, False),
        ({"affine": False}, False),
        ({"track_running_stats": False}, False),
        ({"dtype": torch.bfloat16}, False),
    ],
)
def test_which_norms_join(as_on_gpus, change, expected):
    assert joins(nn.BatchNorm2d(3, **change), torch.zeros(2, 3, 1, 1)) == expected
    assert not joins(nn.BatchNorm2d(3, **change).eval(), torch.zeros(2, 3, 1, 1))
    assert not joins(nn.InstanceNorm2d(3), torch.zeros(2, 3, 1, 1))
    assert not joins(None, torch.zeros(2, 3, 1, 1))


def test_a_single_value_a_channel_is_refused_as_by_any_norm(as_on_gpus):
    with pytest.raises(ValueError, match="more than 1 value"):
        block()(torch.zeros(1, 1, 6, 1, 1))


def test_a_whole_step_of_a_network(as_on_gpus):
    """All norms of blocks and branches are joined, and the weights have the gradients that they had."""
    torch.manual_seed(0)
    model = lively(SpikeYOLO("t", num_classes=2, timesteps=2)).train()
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    gradients = []
    for plain in (False, True):
        own = copy.deepcopy(model)
        with patch.object(kernels, "has_kernel", (lambda *_: False) if plain else has_kernel):
            sum(level.square().mean() for level in own(images)).backward()
        gradients.append({name: p.grad for name, p in own.named_parameters()})
    for name, ours in gradients[0].items():
        # A bias before a norm has no gradient but rounding, which 1e-6 stands for.
        assert (ours - gradients[1][name]).norm() <= 1e-2 * gradients[1][name].norm() + 1e-6, name
