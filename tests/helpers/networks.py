"""Networks and measurements that several tests share."""

import copy

import pytest
import torch
from torch import nn

import spikeyolo
from spikeyolo.errors import VerificationError
from spikeyolo.model.forms.verify import verify_spike_driven
from spikeyolo.spiking import ILIF


def lively(preset="t", seed=0, dtype=torch.float64, **changes):
    """A network whose norms have statistics that keep most neurons between silence and saturation."""
    torch.manual_seed(seed)
    model = spikeyolo.SpikeYOLO(preset, **changes)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.3, 1.0)
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0.2, 0.3)
            if isinstance(module, ILIF) and module.scale is not None:
                module.scale.uniform_(0.3, 1.2)
    return model.to(dtype).eval()


def replace_forward(network, name, make):
    """Let a part of a network run what `make` returns, of the part and its own forward."""
    module = network.get_submodule(name)
    module.forward = make(module, module.forward)


def received(network, images):
    """Logits, and for each unit what its convolution received, added up over the slots where there are slots."""
    seen, factor = {}, network.slot_code.factor

    def hook(name):
        def add(module, inputs):
            seen[name] = factor * seen[name] + inputs[0] if name in seen else inputs[0]

        return add

    handles = [
        module.register_forward_pre_hook(hook(name.rpartition(".")[0]))
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d)
    ]
    with torch.no_grad():
        logits = network(images)
    for handle in handles:
        handle.remove()
    return logits, seen


def assert_caught(honest, cheat, said):
    """The verifier refuses a copy of the honest network that the cheat changed, and says so."""
    network = copy.deepcopy(honest)
    cheat(network)
    with pytest.raises(VerificationError, match=said):
        verify_spike_driven(network)
