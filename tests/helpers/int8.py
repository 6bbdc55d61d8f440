"""What an int8 graph computes, in PyTorch: the folded network with the weights and biases that int8 has."""

import copy

import torch

from spikeyolo.exporting.graph import read_graph
from spikeyolo.exporting.quantise import quantise
from spikeyolo.model.blocks import ClippedReLU


def emulated(network, ranges=None):
    """A copy in float64 that rounds what int8 rounds."""
    rounded = copy.deepcopy(network).double()
    for unit in quantise(read_graph(network), ranges).units:
        module = rounded.get_submodule(unit.name).conv
        convs = list(module) if isinstance(module, torch.nn.Sequential) else [module]
        for own, conv in zip(convs, unit.convolutions, strict=True):
            scale = 1.0 if conv.scale is None else torch.from_numpy(conv.scale).double()
            step = 1.0 if unit.neuron is None or conv.rounded else unit.neuron.step
            weight = torch.from_numpy(conv.weight).double()
            if conv.scale is not None:
                weight = weight * (scale / step).view(-1, 1, 1, 1)
            own.weight = torch.nn.Parameter(weight)
            if conv.bias is not None:
                own.bias = torch.nn.Parameter(torch.from_numpy(conv.bias).double() * scale)
            if conv.rounded:
                own.register_forward_pre_hook(lambda module, inputs: inputs[0].round().clamp(-128, 127))
    for module in rounded.modules():
        if isinstance(module, ClippedReLU):
            step = module.max_count / 127
            module.register_forward_hook(lambda module, inputs, result, step=step: (result / step).round() * step)
    return rounded
