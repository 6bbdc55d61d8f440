"""Networks that only seem to run on spikes: the verifier finds each cheat and names the layer."""

import pytest
import torch
from tests.helpers.networks import assert_caught, lively, received, replace_forward
from torch import nn

from spikeyolo.model.forms.verify import verify_spike_driven

# Each cheat changes an honest network (T = 2) and is caught by a rule that names the layer.
PLACE = "neck.out4.channel_mixer.0"


def unfolded_norm(network):
    network.set_submodule(PLACE, nn.Sequential(network.get_submodule(PLACE), nn.Identity()))
    network.neck.norm = nn.BatchNorm2d(4).double()


def hidden_norm(network):
    scale = torch.rand(192, 1, 1, dtype=torch.float64)
    replace_forward(network, PLACE, lambda m, f: lambda x, s=None, spread=None: f(x, s) * scale)


def inner_scale(network):
    replace_forward(network, f"{PLACE}.synapses", lambda m, f: lambda x: f(x) * 0.3)


def float_into_convolution(network):
    replace_forward(network, f"{PLACE}.synapses", lambda m, f: lambda x: nn.Conv2d.forward(m, x * 0.5))


def counts_into_convolution(network):
    def make(unit, forward):
        def cheat(x, state=None, spread=None):
            counts = unit.neuron(x, state)
            y = nn.Conv2d.forward(unit.synapses, counts.flatten(0, 1)) + unit.bias.view(-1, 1, 1)
            return y.unflatten(0, x.shape[:2])

        return cheat

    replace_forward(network, PLACE, make)


def potentials_into_convolution(network):
    def make(unit, forward):
        return lambda x, state=None, spread=None: forward(
            x, state, spread=lambda spikes: x.flatten(0, 1).clamp(0, 1).round() + spikes - spikes
        )

    network.get_submodule(f"{PLACE}.synapses").check = False
    replace_forward(network, PLACE, make)


def bias_every_slot(network):
    bias = network.get_submodule(PLACE).bias.view(-1, 1, 1)
    replace_forward(network, f"{PLACE}.synapses", lambda m, f: lambda x: f(x) + bias / 4)


def bias_in_convolution(network):
    unit = network.get_submodule(PLACE)
    unit.synapses.bias = nn.Parameter(unit.bias / 4)
    unit.bias = nn.Parameter(torch.zeros_like(unit.bias))


def no_bias(network):
    def make(unit, forward):
        def cheat(x, state=None, spread=None):
            counts = unit.neuron(x, state).flatten(0, 1)
            return torch.stack([unit.synapses((counts > d).to(x.dtype)) for d in range(4)]).sum(0).unflatten(0, (2, -1))

        return cheat

    replace_forward(network, PLACE, make)


def spikes_pooled_over_time(network):
    def make(sppf, forward):
        return lambda x, state=None: sppf.merge(sppf.reduce(x, state), state, spread=sppf.pyramid)

    replace_forward(network, "backbone.sppf", make)


def pool_before_the_slots_are_summed(network):
    sppf = network.backbone.sppf
    replace_forward(network, "backbone.sppf.reduce.synapses", lambda m, f: lambda x: sppf.pool(f(x)))


def other_pool_of_potentials(network):
    network.backbone.sppf.pool = nn.MaxPool2d(3, stride=1, padding=1)


def other_decay(network):
    network.get_submodule(f"{PLACE}.neuron").decay = 0.3


def attention(network):
    replace_forward(network, PLACE, lambda m, f: lambda x, s=None, spread=None: f(x, s).softmax(2))


def second_look_at_the_image(network):
    stem = network.backbone.stem
    replace_forward(network, "backbone.stem", lambda m, f: lambda x, s=None: f(x, s) + stem.conv(x.flatten(0, 1)))


def weight_changed(network):
    replace_forward(network, PLACE, lambda m, f: lambda x, s=None, spread=None: f(x.round(), s))


CHEATS = [
    (unfolded_norm, "neck.norm: a batch norm"),
    (hidden_norm, "product|mul of"),
    (inner_scale, "0.3: not a power of two"),
    (float_into_convolution, "product|not on spikes"),
    (counts_into_convolution, "a convolution on spike counts"),
    (potentials_into_convolution, "a convolution on potentials"),
    (bias_every_slot, "added 5 times a timestep"),
    (bias_in_convolution, "has a bias, which is added in every slot"),
    (no_bias, "added 0 times a timestep"),
    (spikes_pooled_over_time, "max-pool on spikes with T > 1"),
    (pool_before_the_slots_are_summed, "max-pool on sums of single slots"),
    (other_pool_of_potentials, "spike counts are not those of the trained network"),
    (other_decay, "0.3: not a power of two"),
    (attention, "softmax on"),
    (second_look_at_the_image, "a convolution on the image"),
    (weight_changed, "spike counts are not those"),
]


@pytest.fixture(scope="module")
def honest():
    network = lively(timesteps=2).to_spike_driven()
    verify_spike_driven(network)
    return network


@pytest.mark.few(3)
@pytest.mark.parametrize(("cheat", "said"), CHEATS, ids=[c.__name__ for c, _ in CHEATS])
def test_verifier_catches(honest, cheat, said):
    assert_caught(honest, cheat, said)


def test_spikes_may_be_pooled_only_where_it_is_equal():
    # The very pool that is right from rest for one timestep gives other counts with a past.
    dense = lively(timesteps=2).fold(dense=True)
    frames = torch.rand(2, 1, 3, 160, 160, dtype=torch.float64)
    _, counts = received(dense, frames)
    cheat = dense.to_spike_driven()
    spikes_pooled_over_time(cheat)
    _, slots = received(cheat, frames)
    assert not torch.equal(slots["backbone.sppf.merge"], counts["backbone.sppf.merge"])
