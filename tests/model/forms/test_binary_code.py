"""Counts as binary digits: fewer slots and spikes, the same bits, and nothing but additions and doublings."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from tests.helpers.golden import GOLDEN, NETWORKS, golden_input
from tests.helpers.networks import assert_caught, lively, received, replace_forward

import spikeyolo
from spikeyolo.errors import ConfigError
from spikeyolo.model.forms.convert import convert
from spikeyolo.model.forms.form import Form
from spikeyolo.model.forms.spike_driven import SpikeDrivenConv, run_on_slots
from spikeyolo.model.forms.verify import verify_spike_driven
from spikeyolo.model.presets import PRESETS
from spikeyolo.spiking import ILIF, SlotCode

COUNTS = (1, 2, 3, 4, 7, 8, 15)
SHORT = {("t", 1, 4), ("t", 2, 3), ("t-gen1", 4, 7)}
CASES = [
    pytest.param(*case, marks=[] if case in SHORT else [pytest.mark.long])
    for case in product(("t", "t-gen1"), (1, 2, 4), COUNTS)
]
UNIT = "neck.out4.channel_mixer.0"


def same_bits(found, expected):
    return all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.few(1)
@pytest.mark.parametrize(("preset", "timesteps", "max_count"), CASES)
def test_digits_give_the_counts_of_the_dense_network(preset, timesteps, max_count):
    dense = lively(preset, num_classes=3, timesteps=timesteps, max_count=max_count).fold(dense=True)
    images = torch.rand(timesteps, 1, 3, 64, 64, dtype=torch.float64)
    _, counts = received(dense, images)
    _, digits = received(dense.to_spike_driven("binary"), images)
    assert digits.keys() == counts.keys()
    assert not any(int((digits[name] != counts[name]).sum()) for name in counts)
    fired = torch.cat([c.flatten() for name, c in counts.items() if name != "backbone.stem"])
    assert 0.05 < (fired > 0).double().mean() < 0.95


@pytest.mark.long
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_at_every_t_and_d_in_both_codes(preset):
    """One dense network, with T and D set in turn: neither changes a weight."""
    dense = lively(preset, num_classes=3).fold(dense=True)
    for max_count in COUNTS:
        for module in dense.modules():
            if hasattr(module, "max_count"):
                module.max_count = max_count
        dense.config = replace(dense.config, max_count=max_count)
        spiking = dense.to_spike_driven()
        for timesteps in (1, 2, 4):
            dense.config = spiking.config = replace(dense.config, timesteps=timesteps)
            images = torch.rand(timesteps, 1, 3, 32, 32, dtype=torch.float64)
            _, counts = received(dense, images)
            fired = torch.cat([c.flatten() for name, c in counts.items() if name != "backbone.stem"])
            assert 0.05 < (fired > 0).double().mean() < 0.95
            for code in SlotCode:
                convert(spiking, Form.SPIKE_DRIVEN, slot_code=code)
                _, slots = received(spiking, images)
                assert slots.keys() == counts.keys()
                assert not any(int((slots[name] != counts[name]).sum()) for name in counts)


@pytest.mark.few(1)
@pytest.mark.parametrize("name", NETWORKS)
def test_golden_networks(name):
    model = spikeyolo.load_reference(GOLDEN / name / "reference.pt")
    images = golden_input(name, torch.float32)
    assert same_bits(model.to_spike_driven("binary")(images), model.to_spike_driven()(images))
    assert same_bits(model.to_integer("binary")(images), model.to_integer()(images))


@pytest.mark.few(1)
@pytest.mark.parametrize(("preset", "timesteps", "max_count"), [("t", 1, 4), ("t", 2, 15), ("t-gen1", 4, 3)])
def test_bits_are_those_of_unary_slots_and_of_counts_in_float32_and_integers(preset, timesteps, max_count):
    model = lively(preset, dtype=torch.float32, timesteps=timesteps, max_count=max_count, num_classes=2)
    images = torch.rand(2, 3, 96, 64)
    for make in (model.to_spike_driven, model.to_integer):
        assert same_bits(make("binary")(images), make("unary")(images))
    counted = model.to_spike_driven("binary")
    run_on_slots(counted, on_slots=False)
    assert same_bits(counted(images), model.to_spike_driven("binary")(images))


def test_a_stream_in_parts_equals_one_pass():
    spiking = lively("t-gen1", timesteps=3).to_spike_driven("binary")
    frames = torch.rand(3, 1, 3, 64, 64, dtype=torch.float64)
    whole, state, parts = spiking(frames), {}, []
    for frame in frames:
        logits, state = spiking(frame.unsqueeze(0), state)
        parts.append(logits)
    for level, expected in enumerate(whole):
        mean = torch.stack([part[level] for part in parts]).mean(0)
        torch.testing.assert_close(mean, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.long
@pytest.mark.parametrize(("max_count", "slots"), [(1, 1), (4, 3), (7, 3), (8, 4), (15, 4)])
def test_as_many_slots_as_d_has_digits(max_count, slots):
    audit = verify_spike_driven(lively(num_classes=2, max_count=max_count).to_spike_driven("binary"))
    assert set(audit.spiking_convolutions.values()) == {slots}
    assert audit.pooled == {"potentials"}


def test_fewer_spikes_for_the_same_counts():
    model, spikes = lively(num_classes=2, dtype=torch.float32), {}
    for code in SlotCode:
        network, seen = model.to_spike_driven(code), []
        for unit in network.modules():
            if isinstance(unit, SpikeDrivenConv):
                unit.synapses.register_forward_pre_hook(lambda m, i, seen=seen: seen.append(int(i[0].sum())))
        network(torch.rand(1, 3, 64, 64))
        spikes[code] = sum(seen)
    assert 0 < spikes[SlotCode.BINARY] < spikes[SlotCode.UNARY]


@pytest.mark.few(1)
@pytest.mark.parametrize("form", ["to_spike_driven", "to_integer"])
def test_the_code_is_saved_and_loaded(form, tmp_path):
    made = getattr(lively(num_classes=2, dtype=torch.float32), form)("binary")
    made.save(tmp_path / "m.safetensors")
    loaded = spikeyolo.load(tmp_path / "m.safetensors")
    assert loaded.slot_code is SlotCode.BINARY
    assert {unit.code for unit in loaded.modules() if hasattr(unit, "code")} == {SlotCode.BINARY}
    image = torch.rand(1, 3, 64, 64)
    assert same_bits(loaded(image), made(image))
    assert getattr(loaded, form)("unary").slot_code is SlotCode.UNARY
    assert getattr(loaded, form)().slot_code is SlotCode.BINARY


def test_the_example_by_hand():
    """Of docs/spike-driven.md: weights 3 and -1 on the counts 3 and 4."""
    conv = torch.nn.Conv2d(2, 1, 1)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([3.0, -1.0]).view(1, 2, 1, 1))
        conv.bias.zero_()
    unit, seen = SpikeDrivenConv(ILIF(), conv), []
    unit.code = SlotCode.BINARY
    unit.synapses.register_forward_hook(lambda m, i, o: seen.append((i[0].flatten().tolist(), o.item())))
    assert unit(torch.tensor([3.0, 4.0]).view(1, 1, 2, 1, 1)).item() == 5
    assert seen == [([0, 1], -1), ([1, 0], 3), ([1, 0], 3)]


def test_an_unknown_code():
    with pytest.raises(ConfigError, match="slot_code: 'gray' is not one of unary, binary"):
        lively().to_spike_driven("gray")


def bias_doubled(network):
    def make(unit, forward):
        def cheat(x, state=None, spread=None):
            counts = unit.neuron(x, state).flatten(0, 1)
            sums = unit.synapses((counts >= 4).to(x.dtype)) + unit.bias.view(-1, 1, 1)
            for weight in (2, 1):
                sums = sums * 2 + unit.synapses((torch.remainder(counts, 2 * weight) >= weight).to(x.dtype))
            return sums.unflatten(0, x.shape[:2])

        return cheat

    replace_forward(network, UNIT, make)


def digits(network, weights, double=lambda sums: sums * 2):
    def make(unit, forward):
        def cheat(x, state=None, spread=None):
            counts, sums = unit.neuron(x, state).flatten(0, 1), None
            for weight in weights:
                weighed = unit.synapses((torch.remainder(counts, 2 * weight) >= weight).to(x.dtype))
                sums = weighed if sums is None else double(sums) + weighed
            return (sums + unit.bias.view(-1, 1, 1)).unflatten(0, x.shape[:2])

        return cheat

    replace_forward(network, UNIT, make)


def lowest_digit_first(network):
    digits(network, (1, 2, 4))


def middle_and_lowest_exchanged(network):
    digits(network, (4, 1, 2))


def no_doubling(network):
    digits(network, (4, 2, 1), lambda sums: sums)


def doubled_twice(network):
    digits(network, (4, 2, 1), lambda sums: (sums * 2) * 2)


def tripled(network):
    digits(network, (4, 2, 1), lambda sums: sums * 3)


def doubled_by_an_addition_too_often(network):
    digits(network, (4, 2, 1), lambda sums: (sums + sums) + (sums + sums))


def doubling_after_the_bias(network):
    def make(unit, forward):
        def cheat(x, state=None, spread=None):
            counts, sums = unit.neuron(x, state).flatten(0, 1), None
            for weight in (4, 2, 1):
                weighed = unit.synapses((torch.remainder(counts, 2 * weight) >= weight).to(x.dtype))
                sums = weighed if sums is None else sums * 2 + weighed
            return ((sums + unit.bias.view(-1, 1, 1) / 2) * 2).unflatten(0, x.shape[:2])

        return cheat

    replace_forward(network, UNIT, make)


def digit_left_out(network):
    digits(network, (4, 2))


def counts_in_place_of_digits(network):
    network.get_submodule(f"{UNIT}.synapses").check = False

    def make(unit, forward):
        def cheat(x, state=None, spread=None):
            counts = unit.neuron(x, state).flatten(0, 1)
            return (unit.synapses(torch.remainder(counts, 8)) + unit.bias.view(-1, 1, 1)).unflatten(0, x.shape[:2])

        return cheat

    replace_forward(network, UNIT, make)


def remainder_by_three(network):
    def make(unit, forward):
        def cheat(x, state=None, spread=None):
            counts = unit.neuron(x, state).flatten(0, 1)
            spikes = (torch.remainder(counts, 3) >= 1).to(x.dtype)
            return (unit.synapses(spikes) + unit.bias.view(-1, 1, 1)).unflatten(0, x.shape[:2])

        return cheat

    replace_forward(network, UNIT, make)


def digits_pooled(network):
    replace_forward(
        network,
        "backbone.sppf",
        lambda sppf, forward: lambda x, state=None: sppf.merge(sppf.reduce(x, state), state, spread=sppf.pyramid),
    )


def digits_in_a_unary_network(network):
    run = network.get_submodule(UNIT)
    run.code = SlotCode.UNARY
    digits(network, (4, 2, 1))


CHEATS = [
    (bias_doubled, "a doubling after the bias"),
    (lowest_digit_first, "spike counts are not those"),
    (middle_and_lowest_exchanged, "spike counts are not those"),
    (no_doubling, "doubled 0 times, not 2"),
    (doubled_twice, "doubled 4 times, not 2"),
    (tripled, "times 3: not a power of two"),
    (doubled_by_an_addition_too_often, "doubled|spike counts are not those"),
    (doubling_after_the_bias, "a doubling after the bias"),
    (digit_left_out, "doubled 1 times, not 2"),
    (counts_in_place_of_digits, "a convolution on spike counts"),
    (remainder_by_three, "remainder on spike counts"),
    (digits_pooled, "max-pool on spikes|spike counts are not those"),
    (digits_in_a_unary_network, "doubled 2 times, not 0"),
]


@pytest.fixture(scope="module")
def honest():
    network = lively(num_classes=2).to_spike_driven("binary")
    audit = verify_spike_driven(network)
    assert "88 convolutions on zeros and ones alone (264 slots)" in str(audit)
    return network


@pytest.mark.few(2)
@pytest.mark.parametrize(("cheat", "said"), CHEATS, ids=[c.__name__ for c, _ in CHEATS])
def test_verifier_catches(honest, cheat, said):
    assert_caught(honest, cheat, said)
