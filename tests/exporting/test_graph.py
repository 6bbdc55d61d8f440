"""The graph that every format is written from, run node by node: the logits of the network itself."""

from itertools import chain

import pytest
import torch
from tests.helpers.networks import lively
from torch.nn import functional as F

from spikeyolo import SpikeYOLO
from spikeyolo.errors import ConfigError
from spikeyolo.exporting.graph import INPUT, Add, Concatenate, MaxPool, Unit, Upsample, read_graph
from spikeyolo.spiking import ilif


def run(graph, image, timesteps):
    """The logits of a floating point graph for an image (B, C, H, W), by torch."""
    values = {INPUT: image}
    for node in graph.nodes:
        inputs = [values[source] for source in node.sources]
        match node:
            case Unit(neuron=neuron):
                x = inputs[0]
                if neuron is not None:
                    parts = x.unflatten(0, (timesteps, -1))
                    spiking = neuron.spiking
                    x = ilif(parts, neuron.decay, neuron.gain, neuron.max_count) if spiking else parts.clamp(0, 4)
                    x = x.flatten(0, 1)
                for conv in node.convolutions:
                    bias = None if conv.bias is None else torch.tensor(conv.bias)
                    x = F.conv2d(x, torch.tensor(conv.weight), bias, conv.stride, conv.padding, 1, conv.groups)
                values[node.name] = x if neuron is not None else x.repeat(timesteps, 1, 1, 1)
            case Add():
                values[node.name] = inputs[0] + inputs[1]
            case Concatenate():
                values[node.name] = torch.cat(inputs, 1)
            case Upsample():
                values[node.name] = F.interpolate(inputs[0], scale_factor=2.0, mode="nearest")
            case MaxPool(kernel_size=size):
                values[node.name] = F.max_pool2d(inputs[0], size, 1, size // 2)
    joined = [torch.cat([values[name] for name in level], 1) for level in graph.levels]
    return [level.unflatten(0, (timesteps, -1)).mean(0) for level in joined]


@pytest.mark.few(3)
@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("changes", [{}, {"timesteps": 2}, {"neuron": "relu"}], ids=str)
def test_the_graph_gives_the_logits_of_the_network(changes, dense):
    network = lively(num_classes=3, **changes).fold(dense)
    image = torch.rand(2, 3, 64, 96, dtype=torch.float64)
    found = run(read_graph(network), image, network.config.timesteps)
    for logits, expected in zip(found, network(image), strict=True):
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-9)


def test_every_node_stands_after_those_it_needs_and_names_are_those_of_the_network():
    network = lively("n").to_integer()
    graph = read_graph(network)
    known = {INPUT}
    for node in graph.nodes:
        assert known.issuperset(node.sources)
        known.add(node.name)
    assert len(known) == len(graph.nodes) + 1
    assert known.issuperset(chain(*graph.levels))
    assert {f"{unit.name}.weight" for unit in graph.units} == {k for k in network.state_dict() if k.endswith("weight")}
    assert graph.fraction_bits == network.fraction_bits


def test_a_form_without_a_graph_is_refused():
    with pytest.raises(ConfigError, match="has no graph; one of separable, dense, spike-driven, integer has"):
        read_graph(SpikeYOLO("t"))


def test_an_operation_that_no_graph_has_is_named():
    class Doubled(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x, state=None):
            return self.inner(x, state).mul(2)

    network = SpikeYOLO("t").fold()
    network.neck.down3 = Doubled(network.neck.down3)
    with pytest.raises(ConfigError, match="export: call_method mul is no operation of a graph"):
        read_graph(network)
