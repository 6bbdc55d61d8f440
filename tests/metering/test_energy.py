"""Operations, spikes and energy: by hand, one by one, and as published."""

import itertools
from dataclasses import replace

import pytest
import torch
from tests.helpers.golden import golden_json
from tests.helpers.networks import lively, received
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import spikeyolo
from spikeyolo.errors import ConfigError, DataError
from spikeyolo.interop.names import published_name
from spikeyolo.metering.cost import ann_millijoule, by_formula, layer_millijoule, memory_millijoule, snn_millijoule
from spikeyolo.metering.counting import (
    Tally,
    count_layers,
    fan_out,
    macs_of_forms,
    on_counts,
    operation_maps,
    tally,
)
from spikeyolo.metering.layer_count import LayerCount
from spikeyolo.metering.technology import Technology, find_technology, read_technologies
from spikeyolo.spiking import ILIF

HOROWITZ = find_technology("45nm-fp32")

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
    macs = sum(layer.macs for layer in layers)
    assert macs / 1e9 == pytest.approx(expected["gmac"], rel=1e-12) == pytest.approx(101.211, abs=5e-4)
    assert ann_millijoule(macs, HOROWITZ) == pytest.approx(465.57216768, rel=1e-12)
    assert snn_millijoule(layers, HOROWITZ) == pytest.approx(34.6001590272, rel=1e-9)
    # The sheet multiplies the first layer by 0.9 * 4.6 pJ; that slip gives the printed 34.49.
    slip = snn_millijoule(layers[1:], HOROWITZ) + 0.9 * layer_millijoule(layers[0], HOROWITZ)
    assert slip == pytest.approx(expected["snn_mJ_published"], rel=1e-9) == pytest.approx(34.49, abs=5e-3)


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


def test_a_layer_by_hand():
    network = lively(timesteps=2, max_count=2, num_classes=2)
    image = torch.rand(3, 3, 64, 64, dtype=torch.float64)
    _, counts = received(network.fold(dense=True), image)
    layers = {layer.name: layer for layer in count_layers(network, [image])}
    layer, seen = layers["backbone.down2"], counts["backbone.down2"]  # (T * B, 16, 16, 16)
    assert layer.macs == 16 * 32 * 9 * 8 * 8  # 16 -> 32 channels, 3x3, on 8 x 8 positions
    assert (layer.inputs, layer.outputs, layer.weights) == (16 * 16 * 16, 32 * 8 * 8, 16 * 32 * 9)
    assert layer.mean_count == pytest.approx(seen.mean().item(), abs=1e-12)
    assert layer.firing_rate == layer.mean_count / 2
    assert layer.formula_ac == layer.macs * layer.mean_count * 2
    assert layer.mac == 0
    assert layer.spikes == pytest.approx(seen.sum().item() / 3)
    for t in range(2):
        step = seen[3 * t : 3 * t + 3]
        assert layer.histogram[t] == pytest.approx([(step == c).double().mean().item() for c in range(3)])
        assert layer.slot_rates[t] == pytest.approx([(step > d).double().mean().item() for d in range(2)])
    assert layer.saturated == pytest.approx((seen == 2).double().mean().item())
    assert layer.silent == pytest.approx((seen[:3] + seen[3:] == 0).double().mean().item())
    stem = layers["backbone.stem"]
    assert (stem.mac, stem.ac) == (3 * 16 * 49 * 16 * 16, 0.0)  # a still image: once, not T times
    assert len(layers) == 89


def additions_one_by_one(counts, conv, out_hw):
    """Every addition of a weight that a convolution of these counts (N, C, H, W) makes, in plain loops."""
    additions = 0
    channels = conv.in_channels // conv.groups
    for n, o, row, column in itertools.product(range(len(counts)), range(conv.out_channels), *map(range, out_hw)):
        first = o // (conv.out_channels // conv.groups) * channels
        for i, dy, dx in itertools.product(range(channels), *map(range, conv.kernel_size)):
            y = row * conv.stride[0] - conv.padding[0] + dy
            x = column * conv.stride[1] - conv.padding[1] + dx
            if 0 <= y < counts.shape[2] and 0 <= x < counts.shape[3]:
                additions += int(counts[n, first + i, y, x])
    return additions


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "groups", "size_hw"),
    [(3, 1, 1, 1, (4, 5)), (3, 2, 1, 1, (6, 4)), (1, 1, 0, 1, (3, 3)), (7, 1, 3, 4, (4, 4)), (3, 2, 0, 2, (5, 7))],
)
def test_additions_equal_a_count_one_by_one(kernel, stride, padding, groups, size_hw):
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(4, 8, kernel, stride, padding, groups=groups)
    counts = torch.randint(0, 5, (2, 4, *size_hw))
    out_hw = conv(counts.float()).shape[-2:]
    reach = fan_out(conv, size_hw, out_hw)
    assert int((counts.sum((0, 1)) * reach).sum()) == additions_one_by_one(counts, conv, out_hw)


def test_additions_of_a_network_equal_a_count_one_by_one():
    network = lively("t", timesteps=2, num_classes=1)
    image = torch.rand(1, 3, 32, 32, dtype=torch.float64)
    exact = on_counts(network)
    _, seen = received(exact, image)
    for layer in tally(exact, [image]).layers():
        if layer.name in ("backbone.down3", "backbone.stage2.1.token_mixer.1", "neck.down4", "backbone.sppf.merge"):
            conv = exact.get_submodule(layer.name).synapses
            out_hw = F.conv2d(seen[layer.name], conv.weight, None, conv.stride, conv.padding, 1, conv.groups).shape[-2:]
            assert layer.ac == additions_one_by_one(seen[layer.name], conv, out_hw), layer.name
            assert 0 < layer.ac < layer.formula_ac * 1.5


@pytest.mark.few(1)
@pytest.mark.parametrize("preset", ["t", "s", "l-gen1"])
def test_macs_agree_with_pytorchs_flop_counter(preset, monkeypatch):
    monkeypatch.setattr(ILIF, "forward", lambda self, x, state=None: x)  # no convolution; without values it takes long
    with torch.device("meta"):
        model = spikeyolo.SpikeYOLO(preset, num_classes=7, timesteps=1).eval()
        image = torch.zeros(1, 3, 96, 160)
        counted = {}
        for name, form in (("unfolded", model), ("separable", model.fold()), ("dense", model.fold(dense=True))):
            with FlopCounterMode(display=False) as counter:
                form(image)
            counted[name] = counter.get_total_flops() // 2  # it counts a multiplication and an addition
    ours = macs_of_forms(model, (96, 160))
    assert {name: ours[name] for name in counted} == counted


def test_the_result_does_not_depend_on_the_batches():
    # float32 and a random network, which is chaotic: only exact sums give the same spikes in batches of 1, 3 and 8.
    network, images = lively(dtype=torch.float32, num_classes=2), torch.rand(8, 3, 64, 64)
    exact = on_counts(network)
    whole = tally(exact, [images]).layers()
    assert tally(exact, images.split(1)).layers() == whole
    assert tally(exact, images.split(3)).layers() == whole
    parts = Tally()
    for part in (images[5:], images[:2], images[2:5]):
        parts.add(tally(exact, [part]))
    assert parts.layers() == whole


def test_images_of_two_sizes_do_not_add_up():
    exact = on_counts(lively(num_classes=1))
    with pytest.raises(DataError, match="different sizes"):
        tally(exact, [torch.rand(1, 3, 32, 32), torch.rand(1, 3, 64, 64)])


def test_no_images():
    with pytest.raises(ValueError, match="no images"):
        count_layers(lively(num_classes=1), [])


def test_maps_add_up_to_the_image():
    exact = on_counts(lively(num_classes=2, timesteps=2))
    images = torch.rand(2, 3, 64, 96, dtype=torch.float64)
    spikes, additions = operation_maps(exact, images)
    assert spikes.shape == additions.shape == (2, 16, 24)
    for number in range(2):
        layers = tally(exact, [images[number : number + 1]]).layers()
        assert spikes[number].sum().item() == pytest.approx(sum(layer.spikes for layer in layers))
        assert additions[number].sum().item() == pytest.approx(sum(layer.ac for layer in layers))


LAYER = LayerCount(
    "x", macs=1000, mean_count=0.5, timesteps=2, max_count=4, synaptic_ops=900.0, inputs=40, outputs=20, weights=64
)
CHIP = Technology("chip", "a chip", 3.0, 1.0, 8, 32, {1024: 64, 2048: 128}, "by hand")


def test_energy_by_hand():
    first = replace(LAYER, mean_count=None, synaptic_ops=None, timesteps=1)
    assert layer_millijoule(LAYER, CHIP) == pytest.approx(900e-9)
    assert layer_millijoule(first, CHIP) == pytest.approx(3000e-9)
    assert snn_millijoule([first, LAYER], CHIP) == pytest.approx(3900e-9)
    assert snn_millijoule(by_formula([first, LAYER]), CHIP) == pytest.approx((3000 + 1000 * 0.5 * 2) * 1e-9)
    assert ann_millijoule(2000, CHIP) == pytest.approx(6000e-9)
    assert ann_millijoule(2000, replace(CHIP, mac_pj=None)) is None
    assert layer_millijoule(first, replace(CHIP, mac_pj=None)) == 0


def test_memory_by_hand():
    assert CHIP.access_pj(64, 100) == 64  # not below the smallest published memory
    assert CHIP.access_pj(64, 1536) == 96
    assert CHIP.access_pj(8, 4096) == 32  # along the last line: 256 pJ for 64 bits
    # All memories are below 1024 bytes: 1 pJ a bit. Spikes 40 * 0.5 * 2 = 40 of 32 bits; updates 900 + 20 * 2 = 940,
    # each a weight of 8 bits and a potential of 32 read and written.
    assert memory_millijoule(LAYER, CHIP) == pytest.approx((40 * 32 + 940 * (8 + 64)) * 1e-9)
    # As an ANN: 1000 values and weights of 8 bits, 20 biases and outputs.
    assert memory_millijoule(LAYER, CHIP, ann=True) == pytest.approx((1000 * 16 + 20 * 16) * 1e-9)
    with pytest.raises(ConfigError, match="no memory figures"):
        memory_millijoule(LAYER, find_technology("loihi"))


def test_shipped_technologies():
    table = read_technologies()
    assert (table["45nm-fp32"].mac_pj, table["45nm-fp32"].ac_pj) == (4.6, 0.9)
    assert all(technology.source for technology in table.values())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mine: {ac_pj: 1}", "mine: missing: label"),
        ("mine: 3", "expected a mapping"),
        ("[1", "cannot be read as YAML"),
        ("{}", "holds no technology"),
        (
            "mine: {label: x, mac_pj: 1, ac_pj: -1, weight_bits: 8, potential_bits: 8, sram_pj: null, source: x}",
            "ac_pj is -1, not a positive number",
        ),
        (
            "mine: {label: x, mac_pj: 1, ac_pj: 1, weight_bits: 8, potential_bits: 8, sram_pj: {1: 2}, source: x}",
            "sram_pj is not a mapping of at least two",
        ),
        (
            "mine: {label: x, mac_pj: 1, ac_pj: 1, weight_bits: 8, potential_bits: 8, sram_pj: null, source: x, b: 1}",
            "unknown: b",
        ),
    ],
)
def test_technologies_of_ones_own_that_are_wrong(tmp_path, text, said):
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        find_technology(str(tmp_path / "t.yaml"))


def test_a_technology_of_ones_own(tmp_path):
    (tmp_path / "t.yaml").write_text(
        "mine: {label: x, mac_pj: 2, ac_pj: 1, weight_bits: 8, potential_bits: 8, sram_pj: null, source: me}"
    )
    assert find_technology(str(tmp_path / "t.yaml")).ac_pj == 1
    with pytest.raises(ConfigError, match="neither a file nor one of 45nm-fp32"):
        find_technology("46nm")
