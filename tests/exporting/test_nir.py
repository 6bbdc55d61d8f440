"""The NIR file: its graph gives the spike counts of the network's backbone, also as another simulator reads it."""

import warnings

import pytest
import torch
from tests.helpers.networks import lively
from torch.nn import functional as F

from spikeyolo.errors import ConfigError
from spikeyolo.exporting.configs import NirConfig
from spikeyolo.exporting.nir import ENDS_AT, LIMITS, write_nir
from spikeyolo.spiking import ILIF

nir = pytest.importorskip("nir")

SIZE = (64, 96)


def quiet(**changes):
    """A network in which no neuron of the backbone comes to D spikes."""
    return lively(dtype=torch.float32, num_classes=2, **{"max_count": 16, **changes})


def counts_of(model, image, dense):
    """What enters the pooling pyramid, and the largest count on the way to it."""
    network = model.fold(dense=dense).double()
    seen = {}
    for name, module in network.backbone.named_modules():
        if isinstance(module, ILIF):
            module.register_forward_hook(lambda m, i, o, name=name: seen.__setitem__(f"backbone.{name}", o[0]))
    with torch.no_grad():
        network(image)
    names = list(seen)
    end = names.index(f"{ENDS_AT}.neuron")
    return seen[names[end]], max(float(seen[name].max()) for name in names[: end + 1])


def run(graph, image):
    """The output of a graph, each node the sum of its edges, IF read as in `LIMITS`."""
    values = {}
    waiting = dict(graph.nodes)
    while waiting:
        for name, node in list(waiting.items()):
            sources = [source for source, target in graph.edges if target == name]
            if any(source in waiting for source in sources):
                continue
            x = sum(values[source] for source in sources) if sources else image
            match node:
                case nir.Conv2d():
                    weight, bias = torch.tensor(node.weight).double(), torch.tensor(node.bias).double()
                    pairs = [tuple(map(int, pair)) for pair in (node.stride, node.padding, node.dilation)]
                    x = F.conv2d(x, weight, bias, *pairs, int(node.groups))
                case nir.IF():
                    x = torch.floor(x / torch.tensor(node.v_threshold)).clamp(min=0)
            values[name] = x
            del waiting[name]
    return values["output"]


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("changes", "dense", "grouped"),
    [
        ({}, True, False),
        ({}, False, True),
        ({"neuron": "gen1"}, True, True),
        ({"neuron": "gen1"}, False, False),
        ({"learned_scale": "channel", "neuron": "gen1"}, True, True),
        ({"learned_scale": "layer", "max_count": 63}, False, False),
    ],
)
def test_the_graph_gives_the_counts_of_the_backbone(tmp_path, changes, dense, grouped):
    model = quiet(**changes)
    write_nir(model, tmp_path / "m.nir", NirConfig(dense, grouped), SIZE)
    graph = nir.read(tmp_path / "m.nir", type_check=not grouped)
    image = torch.rand(2, 3, *SIZE, dtype=torch.float64)
    expected, largest = counts_of(model, image, dense)
    assert 2 <= expected.max() <= largest < model.config.max_count
    assert torch.equal(run(graph, image), expected)
    assert tuple(graph.nodes["output"].output_type["output"]) == expected.shape[1:]
    assert graph.metadata["limits"] in (LIMITS, LIMITS.encode())


def test_sinabs_gives_the_counts_of_the_backbone(tmp_path):
    """A second implementation; it asks for an older nir than ours and so is not installed by this project."""
    sinabs_nir = pytest.importorskip("sinabs.nir")
    model = quiet()
    write_nir(model, tmp_path / "m.nir", NirConfig(), SIZE)
    graph = nir.read(tmp_path / "m.nir")
    for node in graph.nodes.values():
        if isinstance(node, nir.IF):
            node.v_threshold = torch.tensor(node.v_threshold)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = sinabs_nir.from_nir(graph, num_timesteps=1).double()
        for module in network.modules():
            if type(module).__name__ == "IAFSqueeze":  # gives float32 counts
                module.register_forward_hook(lambda m, i, o: o.double())
        image = torch.rand(1, 3, *SIZE, dtype=torch.float64)
        with torch.no_grad():
            found = network(image)
    expected, largest = counts_of(model, image, dense=True)
    assert 2 <= expected.max() <= largest < 16
    assert torch.equal(found[0] if isinstance(found, tuple) else found, expected)


@pytest.mark.parametrize("dense", [True, False], ids=["dense", "separable"])
@pytest.mark.parametrize("neuron", ["coco", "gen1"])
def test_norse_gives_the_counts_of_the_backbone(tmp_path, neuron, dense):
    """Its neurons fire once at most, as NIR defines them; with D = 1 ours do too.

    It asks for torchvision, which it does not need here and this project does not install.
    """
    norse = pytest.importorskip("norse.torch", reason="norse is not installed")
    model = lively(dtype=torch.float32, max_count=1, num_classes=2, neuron=neuron)
    write_nir(model, tmp_path / "m.nir", NirConfig(dense), SIZE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = norse.from_nir(nir.read(tmp_path / "m.nir")).double()
    image = torch.rand(2, 3, *SIZE, dtype=torch.float64)
    with torch.no_grad():
        found, _ = network(image)
    expected, _ = counts_of(model, image, dense)
    assert 0.1 < expected.mean() < 0.9
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("make", "size", "said"),
    [
        (lambda: lively(neuron="relu"), SIZE, "neuron='relu' has no spikes"),
        (lambda: lively(timesteps=2), SIZE, "timesteps: NIR has no neuron"),
        (lambda: lively().to_integer(), SIZE, "of integers"),
        (lambda: lively(), (64, 50), "imgsz: 50 is not a multiple of 32"),
    ],
)
def test_what_nir_cannot_hold(tmp_path, make, size, said):
    with pytest.raises(ConfigError, match=said):
        write_nir(make(), tmp_path / "m.nir", NirConfig(), size)
    assert not list(tmp_path.iterdir())
