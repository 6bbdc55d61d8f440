"""What spikes cost in each slot code: by hand, spike by spike, and what mean counts alone say."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.golden import golden_json
from tests.helpers.networks import lively

from spikeyolo.metering.cost import by_formula, layer_millijoule, memory_millijoule, snn_millijoule
from spikeyolo.metering.counting import on_counts, tally
from spikeyolo.metering.layer_count import LayerCount, addition_bounds, count_shares, in_code, spike_bounds
from spikeyolo.metering.technology import Technology, find_technology
from spikeyolo.model.forms.spike_driven import SpikeDrivenConv
from spikeyolo.spiking import SlotCode

BINARY, UNARY = SlotCode.BINARY, SlotCode.UNARY
CHIP = Technology("chip", "a chip", 3.0, 1.0, 8, 32, {1024: 64, 2048: 128}, "by hand")

# Counts 0, 1, 2, 3, 4 have the shares 0.4, 0.2, 0.1, 0.2, 0.1 in the first timestep and 1, 0, ... in the second.
LAYER = LayerCount(
    "x",
    macs=1000,
    mean_count=0.7,
    timesteps=2,
    max_count=4,
    synaptic_ops=900.0,
    digit_ops=600.0,
    histogram=((0.4, 0.2, 0.1, 0.2, 0.1), (1.0, 0.0, 0.0, 0.0, 0.0)),
    inputs=40,
    outputs=20,
    weights=64,
)


def reached_one_by_one(slot, conv, out_hw):
    """Every pair of an output and a kernel tap that a spike of a slot (N, C, H, W) reaches, spike by spike."""
    pairs = 0
    outputs_of_a_group = conv.out_channels // conv.groups
    for _, _, row, column in slot.nonzero().tolist():
        for dy, dx in itertools.product(*map(range, conv.kernel_size)):
            y, over_y = divmod(row + conv.padding[0] - dy, conv.stride[0])
            x, over_x = divmod(column + conv.padding[1] - dx, conv.stride[1])
            if over_y == over_x == 0 and 0 <= y < out_hw[0] and 0 <= x < out_hw[1]:
                pairs += outputs_of_a_group
    return pairs


@pytest.mark.few(2)
@pytest.mark.parametrize(("max_count", "slots"), [(4, 3), (2, 2), (1, 1)])
def test_additions_and_doublings_of_a_network_equal_a_count_spike_by_spike(max_count, slots):
    """The slots are those that really run in the network on binary digits, not counts turned into digits here."""
    network = lively("t", timesteps=2, num_classes=1, max_count=max_count)
    image = torch.rand(1, 3, 32, 32, dtype=torch.float64)
    names = ("backbone.down3", "backbone.stage2.1.token_mixer.1", "neck.down4", "backbone.sppf.merge", "head.box.2.2")
    layers = {layer.name: layer for layer in tally(on_counts(network), [image]).layers()}
    digits, seen = network.to_spike_driven(BINARY), {name: [] for name in names}
    for name in names:
        unit = digits.get_submodule(name)
        assert isinstance(unit, SpikeDrivenConv)
        unit.synapses.register_forward_hook(lambda m, i, o, name=name: seen[name].append((i[0], o)))
    digits(image)
    for name, ran in seen.items():
        assert len(ran) == slots
        conv, layer = digits.get_submodule(name).synapses, layers[name].in_code(BINARY)
        assert layer.ac == sum(reached_one_by_one(spikes, conv, sums.shape[-2:]) for spikes, sums in ran) > 0
        assert layer.doublings == sum(sums.numel() for _, sums in ran[1:])
        assert layer.spikes == pytest.approx(sum(int(spikes.sum()) for spikes, _ in ran))
        rates = [spikes.reshape(2, -1).mean(1).tolist() for spikes, _ in ran]
        np.testing.assert_allclose(layer.slot_rates, np.transpose(rates))
    saved = [layers[name].ac - layers[name].in_code(BINARY).ac for name in names]
    assert min(saved) >= 0
    assert (max(saved) > 0) == (max_count > 1)


def test_spikes_slots_and_energy_by_hand():
    digits = LAYER.in_code(BINARY)
    assert (LAYER.slots, digits.slots) == (4, 3)
    assert digits.mean_spikes == pytest.approx((0.2 * 1 + 0.1 * 1 + 0.2 * 2 + 0.1 * 1) / 2)  # 0.4
    assert digits.firing_rate == pytest.approx(0.4 / 3)
    assert LAYER.spikes == pytest.approx(0.7 * 40 * 2)
    assert digits.spikes == pytest.approx(0.4 * 40 * 2)
    assert digits.slot_rates[0] == pytest.approx((0.1, 0.1 + 0.2, 0.2 + 0.2))  # digits 4, 2, 1
    assert LAYER.slot_rates[0] == pytest.approx((0.6, 0.4, 0.3, 0.1))
    assert (LAYER.doublings, digits.doublings) == (0, 2 * 20 * 2)
    assert (LAYER.ac, digits.ac) == (900, 600)
    assert digits.formula_ac == pytest.approx(1000 * 0.4 * 2)
    assert by_formula([digits])[0].ac == digits.formula_ac
    assert layer_millijoule(digits, CHIP) == pytest.approx((600 + 80) * 1e-9)
    assert snn_millijoule(in_code([LAYER], BINARY), CHIP) == layer_millijoule(digits, CHIP)
    assert digits.in_code(UNARY) == LAYER
    # 1 pJ a bit: 32 spikes of 32 bits; 600 + 40 updates of a weight of 8 bits and a potential of 32 read and written;
    # 80 doublings of a potential read and written.
    assert memory_millijoule(digits, CHIP) == pytest.approx((32 * 32 + 640 * (8 + 64) + 80 * 64) * 1e-9)
    first = replace(LAYER, mean_count=None, synaptic_ops=None, digit_ops=None, histogram=()).in_code(BINARY)
    assert (first.ac, first.doublings, first.spikes, first.firing_rate) == (0, 0, 0, None)


def test_a_memory_of_spikes_has_a_bit_for_each_slot():
    many = replace(LAYER, inputs=4096)  # 2048 bytes of unary slots, 1536 of binary ones: 128 and 96 pJ for 64 bits
    for layer, spikes, bit in ((many, 0.7 * 4096 * 2, 2.0), (many.in_code(BINARY), 0.4 * 4096 * 2, 1.5)):
        rest = (layer.ac + 40) * (8 + 64) + layer.doublings * 64
        assert memory_millijoule(layer, CHIP) == pytest.approx((spikes * 32 * bit + rest) * 1e-9)


def test_shares_of_counts_weigh_each_neuron_the_same():
    other = replace(LAYER, inputs=120, histogram=((0.0, 0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0, 0.0, 1.0)))
    image = replace(LAYER, mean_count=None, histogram=())
    shares = count_shares([image, LAYER, other])
    assert shares == pytest.approx([0.25 * 0.7, 0.25 * 0.1, 0.25 * 0.05, 0.25 * 0.1, 0.25 * 0.05 + 0.75])


@pytest.mark.parametrize(
    ("mean", "least", "most"),
    [(0, 0, 0), (0.5, 0.125, 0.5), (1, 0.25, 1), (2, 0.5, 1.5), (3, 0.75, 2), (3.5, 0.875, 1.5), (4, 1, 1)],
)
def test_bounds_of_spikes_by_hand_for_d_4(mean, least, most):
    """Between 0 and D the least is the chord from (0, 0) to (4, 1), the most goes through (1, 1), (3, 2), (4, 1)."""
    assert spike_bounds(mean, 4) == pytest.approx((least, most))
    assert spike_bounds(mean, 4, UNARY) == pytest.approx((mean, mean))


@given(st.integers(1, 63), st.data())
def test_no_counts_leave_the_bounds_of_their_mean(max_count, data):
    counts = data.draw(st.lists(st.integers(0, max_count), min_size=1, max_size=40))
    least, most = spike_bounds(sum(counts) / len(counts), max_count)
    mean_spikes = sum(bin(count).count("1") for count in counts) / len(counts)
    assert least - 1e-9 <= mean_spikes <= most + 1e-9


@given(st.integers(1, 31), st.floats(0, 1))
def test_the_bounds_are_reached_and_envelopes(max_count, share):
    """Against the hull of the points (count, digits): the bounds are its edge, seen from every other count."""
    mean = share * max_count
    points = [(count, bin(count).count("1")) for count in range(max_count + 1)]
    lines = [
        ((y1 - y0) / (x1 - x0), y0 - x0 * (y1 - y0) / (x1 - x0))
        for (x0, y0), (x1, y1) in itertools.combinations(points, 2)
    ]
    above = [k * mean + d for k, d in lines if all(k * x + d >= y - 1e-9 for x, y in points)]
    below = [k * mean + d for k, d in lines if all(k * x + d <= y + 1e-9 for x, y in points)]
    assert spike_bounds(mean, max_count) == pytest.approx((max(below), min(above)), abs=1e-9)


def test_a_mean_outside_is_refused_and_a_mean_alone_has_no_digits():
    with pytest.raises(ValueError, match=r"4.5 is outside 0..4"):
        spike_bounds(4.5, 4)
    with pytest.raises(ValueError, match="a mean count alone does not say"):
        _ = replace(LAYER, histogram=(), digit_ops=None).in_code(BINARY).ac


def test_the_published_sheet_bounds_the_binary_code():
    """It holds mean counts alone. The numbers are those of docs/spike-driven.md."""
    rows = golden_json("energy_s_640.json")["layers"]
    layers = [LayerCount(row["layer"], row["macs"], row["mean_spike_count"], 1, 4) for row in rows]
    unary = sum(layer.ac for layer in layers)
    assert unary == pytest.approx(37.21e9, rel=1e-3)
    assert addition_bounds(layers, UNARY) == pytest.approx((unary, unary))
    least, most = addition_bounds(layers)
    assert least == pytest.approx(unary / 4)  # every neuron silent or at 4
    assert most == pytest.approx(36.22e9, rel=1e-3)
    doublings = sum(2 * row["out_channels"] * row["out_hw"][0] * row["out_hw"][1] for row in rows[1:])
    assert doublings == pytest.approx(0.1551e9, rel=1e-3)
    cost = find_technology("45nm-fp32")
    first = layer_millijoule(layers[0], cost)
    bounds = [first + (additions + doublings) * cost.ac_pj * 1e-9 for additions in (least, most)]
    assert bounds == pytest.approx((9.62, 33.84), abs=5e-3)


def test_histograms_of_a_network_are_within_the_bounds_of_its_mean_counts():
    network = lively("t", timesteps=2, num_classes=1)
    layers = tally(on_counts(network), [torch.rand(2, 3, 32, 32, dtype=torch.float64)]).layers()
    least, most = addition_bounds(layers)
    formula = sum(layer.formula_ac for layer in in_code(layers, BINARY))
    assert 0 < least < formula < most < sum(layer.formula_ac for layer in layers) + 1e-6
