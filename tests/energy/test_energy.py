import pytest
import torch

import spikeyolo
from spikeyolo.energy import LayerCount, ann_millijoule, count_layers, snn_millijoule
from spikeyolo.interop import published_name
from tests.conftest import golden_json

# Three rows of the published sheet do not describe the published network: layer 12's SepRepConv is computed on
# 40 x 40 positions, not 20 x 20, and layer 22's channel mixer has ratio 3, not 2 (its weights are 768 x 256).
WRONG_ROWS = {"model.12.Conv.lif3", "model.22.lif1", "model.22.lif2"}


def sheet():
    return [
        LayerCount(row["layer"].removeprefix("model."), row["macs"], row["mean_spike_count"], 1, 4)
        for row in golden_json("energy_s_640.json")["layers"]
    ]


def test_published_sheet():
    expected = golden_json("energy_s_640.json")
    layers = sheet()
    assert sum(layer.macs for layer in layers) / 1e9 == pytest.approx(expected["gmac"], rel=1e-12)
    assert ann_millijoule(layers) == pytest.approx(465.57216768, rel=1e-12)
    assert snn_millijoule(layers) == pytest.approx(34.6001590272, rel=1e-9)


def test_macs_of_preset_s_agree_with_the_sheet_layer_by_layer():
    model = spikeyolo.SpikeYOLO("s").to("meta")
    with torch.device("meta"):
        config = model.config
        shapes = {}
        dense = model.fold(dense=True)
        for name, unit in dense.named_modules():
            if hasattr(unit, "neuron") and hasattr(unit, "conv"):
                unit.register_forward_hook(
                    lambda m, i, o, name=name: shapes.__setitem__(name, m.conv.weight[0].numel() * o[0, 0].numel())
                )
        dense(torch.zeros(1, 3, 640, 640))
    ours = {}
    for name, macs in shapes.items():
        published = published_name(f"{name}.{'conv' if name == 'backbone.stem' else 'neuron'}", config)
        ours[published] = macs
    rows = {layer.name: layer.macs for layer in sheet()}
    assert ours.keys() == rows.keys()
    assert {name for name in rows if rows[name] != ours[name]} == WRONG_ROWS
    assert ours["model.12.Conv.lif3"] == 256 * 512 * 9 * 40 * 40
    assert ours["model.22.lif1"] == 256 * 768 * 9 * 40 * 40


def model(timesteps=2):
    torch.manual_seed(0)
    network = spikeyolo.SpikeYOLO("t", num_classes=2, timesteps=timesteps, max_count=2).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.bias.uniform_(0, 1)
    return network


def test_a_layer_by_hand():
    network = model()
    counts = {}
    unit = network.backbone.down2
    unit.neuron.register_forward_hook(lambda m, i, o: counts.__setitem__("down2", o))
    image = torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        network(image)
    layers = {layer.name: layer for layer in count_layers(network, [image])}
    layer = layers["backbone.down2"]
    assert layer.macs == 16 * 32 * 9 * 8 * 8  # 16 -> 32 channels, 3x3, on 8 x 8 positions
    assert layer.mean_count == pytest.approx(counts["down2"].double().mean().item(), rel=1e-3)
    assert layer.firing_rate == layer.mean_count / 2
    assert layer.ac == layer.macs * layer.mean_count * 2
    assert layer.mac == 0
    stem = layers["backbone.stem"]
    assert (stem.mac, stem.ac) == (3 * 16 * 49 * 16 * 16, 0.0)  # a still picture: once, not T times
    assert len(layers) == 89


def test_rates_do_not_depend_on_the_batches():
    network, image = model(timesteps=1).double(), torch.rand(5, 3, 64, 64, dtype=torch.float64)
    whole = count_layers(network, [image])
    parts = count_layers(network, [image[:1], image[1:4], image[4:]])
    for a, b in zip(whole, parts, strict=True):
        assert a.name == b.name
        assert a.mean_count is None or a.mean_count == pytest.approx(b.mean_count, abs=1e-12)


def test_no_pictures():
    with pytest.raises(ValueError, match="no pictures"):
        count_layers(model(), [])
