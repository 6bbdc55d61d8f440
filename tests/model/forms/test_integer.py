import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.golden import GOLDEN, NETWORKS, golden_input
from tests.helpers.networks import lively
from torch import nn

import spikeyolo
from spikeyolo.errors import ConfigError
from spikeyolo.model.blocks import SpikingConv
from spikeyolo.model.forms.form import Form
from spikeyolo.model.forms.integer import LIMIT, IntegerConv, IntegerILIF, fits_in_32_bits, largest_values
from spikeyolo.spiking import ILIF, NeuronState
from spikeyolo.spiking import ilif as float_ilif


def units(network):
    return {name: m for name, m in network.named_modules() if isinstance(m, IntegerConv)}


def run(network, images, binary):
    """Logits, and the integers that leave each unit."""
    seen = {}
    for unit in units(network).values():
        unit.on_slots = binary
    handles = [u.register_forward_hook(lambda m, i, o, n=n: seen.__setitem__(n, o)) for n, u in units(network).items()]
    with torch.no_grad():
        logits = network(images)
    for handle in handles:
        handle.remove()
    return logits, seen


def assert_counts_equal_slots(network, images):
    by_slots, slots = run(network, images, binary=True)
    by_counts, counts = run(network, images, binary=False)
    assert len(slots) == len(units(network)) >= 89
    assert all(torch.equal(slots[name], counts[name]) for name in slots)
    assert all(torch.equal(a, b) for a, b in zip(by_slots, by_counts, strict=True))
    assert all(torch.equal(values, values.round()) for values in slots.values())
    return slots


@pytest.mark.few(1)
@pytest.mark.parametrize("name", NETWORKS)
def test_golden_networks_counts_equal_slots(name):
    integer = spikeyolo.load_reference(GOLDEN / name / "reference.pt").to_integer()
    assert_counts_equal_slots(integer, golden_input(name, torch.float32))


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("preset", "timesteps", "max_count"),
    [*itertools.product(["t", "t-gen1"], (1, 2, 4), (1, 2, 4, 8))],
)
def test_counts_equal_slots_and_stay_in_bounds(preset, timesteps, max_count):
    integer = lively(preset, timesteps=timesteps, max_count=max_count, num_classes=2).to_integer()
    bounds = largest_values(integer, 3)
    for image in (torch.rand(1, 3, 64, 64), torch.ones(1, 3, 64, 64), torch.zeros(1, 3, 64, 64)):
        values = assert_counts_equal_slots(integer, image)
        assert all(float(values[name].abs().max()) <= bounds[name] for name in values)
    assert bounds.keys() == units(integer).keys()
    assert max(bounds.values()) < LIMIT


@pytest.mark.long
@pytest.mark.parametrize("preset", ["n", "s", "m", "l", "n-gen1", "s-gen1", "m-gen1", "l-gen1"])
def test_every_preset_counts_equal_slots(preset):
    assert_counts_equal_slots(lively(preset, timesteps=2).to_integer(), torch.rand(1, 3, 64, 64))


@pytest.mark.parametrize("bits", [6, 8])
@pytest.mark.parametrize("max_count", [1, 2, 4, 8])
def test_firing_is_the_trained_neurons_rounding_at_every_potential(bits, max_count):
    # Half a threshold rounds to even; every representable potential from well below 0 to well above D is tried.
    one = 2**bits
    h = torch.arange(-2 * one, (max_count + 2) * one, dtype=torch.float64)
    counts = IntegerILIF(ILIF(max_count=max_count), bits).fire(h)
    assert torch.equal(counts, float_ilif((h / one).unsqueeze(0), max_count=max_count)[0])


def shifted(x, bits):
    return x >> bits  # Python's and numpy's arithmetic shift rounds down


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), groups=st.sampled_from([1, 2]), stride=st.sampled_from([1, 2]), data=st.data())
def test_a_unit_equals_plain_integer_arithmetic(seed, groups, stride, data):
    timesteps, max_count = data.draw(st.integers(1, 3)), data.draw(st.sampled_from([1, 4]))
    decay, gain = data.draw(st.sampled_from([(0.25, 1.0), (0.5, 0.5), (0.0, 1.0)]))
    torch.manual_seed(seed)
    conv = nn.Conv2d(2, 4, 3, stride, 1, groups=groups)
    unit = IntegerConv(SpikingConv(ILIF(decay, gain, max_count), conv, None), fraction_bits=8, input_levels=255)
    x = torch.randint(-1500, 2500, (timesteps, 1, 2, 4, 5)).double()
    state = NeuronState()
    ours = unit(x, state)
    weight, shift, bias = (t.numpy().astype(np.int64) for t in (unit.weight, unit.shift, unit.bias))
    assert unit.weight.dtype == torch.int8
    assert unit.bias.dtype == torch.int32
    v = np.zeros((2, 4, 5), dtype=np.int64)
    leak = {0.25: 2, 0.5: 1}.get(decay)
    for t in range(timesteps):
        h = shifted(x[t, 0].numpy().astype(np.int64), 1 if gain == 0.5 else 0)
        if leak is not None:
            h = h + shifted(v, leak)
        counts = np.clip(np.round(h / 256), 0, max_count).astype(np.int64)
        v = h - 256 * counts
        padded = np.pad(counts, ((0, 0), (1, 1), (1, 1)))
        for o, row, column in np.ndindex(ours.shape[2:]):
            first = (o // (4 // groups)) * (2 // groups)
            seen = padded[
                first : first + 2 // groups, stride * row : stride * row + 3, stride * column : stride * column + 3
            ]
            total = int((seen * weight[o]).sum())
            assert int(ours[t, 0, o, row, column]) == (total << int(shift[o])) + int(bias[o])
    assert torch.equal(state[""], torch.from_numpy(v).double().unsqueeze(0))


def test_weights_use_their_eight_bits():
    integer = lively(num_classes=2).to_integer()
    for name, unit in units(integer).items():
        largest = unit.weight.abs().amax((1, 2, 3))
        full = unit.shift > 0  # where the scale was not held back by the fraction bits
        assert int(largest.max()) <= 127, name
        assert not full.any() or int(largest[full].min()) >= 63, name
        assert int(unit.shift.min()) >= 0, name


def test_the_first_unit_sees_the_images_own_integers():
    integer = lively(num_classes=2).to_integer()
    stem = integer.backbone.stem
    pixels = torch.randint(0, 256, (1, 1, 3, 32, 32))
    ours = stem(pixels.float() / 255)
    sums = nn.functional.conv2d(pixels[0].double(), stem.weight.double(), stride=4, padding=2)
    assert torch.equal(ours[0], sums * 2.0 ** stem.shift.view(-1, 1, 1) + stem.bias.view(-1, 1, 1))


@pytest.mark.parametrize(
    ("levels", "seen", "taken"),
    [
        (1, [0.0, 1.0, 7.0, 255.0, 300.0, -3.0], [0, 1, 7, 255, 255, -3]),  # counts of events, whole up to 255
        (16, [0.0, 0.5, -0.5, 1.03, 15.9, 99.0], [0, 8, -8, 16, 254, 255]),  # of a voxel grid, in sixteenths
    ],
)
def test_event_frames_are_whole_levels_and_not_cut_at_one(levels, seen, taken):
    integer = lively(num_classes=2, input_levels=levels).to_integer()
    stem = integer.backbone.stem
    frame = torch.tensor(seen).repeat(6).view(1, 1, 1, 6, 6).expand(1, 1, 3, 6, 6)
    expected = torch.tensor(taken).repeat(6).view(1, 1, 6, 6).expand(1, 3, 6, 6)
    sums = nn.functional.conv2d(expected.double(), stem.weight.double(), stride=4, padding=2)
    assert torch.equal(stem(frame)[0], sums * 2.0 ** stem.shift.view(-1, 1, 1) + stem.bias.view(-1, 1, 1))
    assert fits_in_32_bits(integer, 3)


def test_close_to_the_trained_network_layer_by_layer():
    # Whole random networks are chaotic; from the same potentials a layer is off by its rounding alone.
    dense = lively(dtype=torch.float32).fold(dense=True)
    integer = dense.to_integer()
    one = 2**integer.fraction_bits
    inputs = {}
    for name, unit in dense.named_modules():
        if isinstance(unit, SpikingConv):
            unit.register_forward_hook(lambda m, i, o, name=name: inputs.__setitem__(name, (i[0], o)))
    dense(torch.rand(1, 3, 64, 64))
    for name, (x, expected) in inputs.items():
        unit = integer.get_submodule(name)
        potentials = x if unit.neuron is None else (x * one).round()
        error = (unit(potentials) / one - expected).abs().mean() / expected.std().clamp(min=1e-3)
        assert error < 0.03, name


def test_a_stream_in_parts_equals_one_pass():
    integer = lively("t-gen1", timesteps=3).to_integer()
    frames = torch.rand(3, 1, 3, 64, 64)
    whole, state, parts = integer(frames), {}, []
    for frame in frames:
        logits, state = integer(frame.unsqueeze(0), state)
        parts.append(logits)
    for level, expected in enumerate(whole):
        torch.testing.assert_close(torch.stack([p[level] for p in parts]).mean(0), expected, rtol=1e-6, atol=1e-6)


def test_bounds_by_hand():
    conv = nn.Conv2d(1, 1, 1)
    with torch.no_grad():
        conv.weight.fill_(0.5)
        conv.bias.fill_(-2.0)
    unit = IntegerConv(SpikingConv(ILIF(max_count=4), conv, None), fraction_bits=8, input_levels=255)
    assert int(unit.weight) == 64  # 0.5 * 2**7; 2**8 would be 128, one too many
    assert int(unit.shift) == 1
    assert float(unit.largest_sum()) == 64 * 4
    assert float(unit.largest_output()) == 64 * 4 * 2 + 512


@pytest.mark.long
def test_large_weights_get_fewer_fraction_bits_and_then_an_error():
    network = lively(num_classes=2, dtype=torch.float32)
    with torch.no_grad():
        network.neck.out4.channel_mixer[1].norm.weight.fill_(300.0)
    integer = network.to_integer()
    assert 6 <= integer.fraction_bits < 16
    assert fits_in_32_bits(integer, 3)
    with torch.no_grad():
        network.neck.out4.channel_mixer[1].norm.weight.fill_(1e9)
    with pytest.raises(ConfigError, match="more than 32 bits"):
        network.to_integer()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"decay": 0.3, "timesteps": 2}, "decay: 0.3 is not 1, 1/2, 1/4"),
        ({"gain": 1.5}, "gain: 1.5 is not 1, 1/2, 1/4"),
        ({"neuron": "relu"}, "relu"),
    ],
)
def test_what_cannot_be_of_integers(changes, said):
    with pytest.raises(ConfigError, match=said):
        lively(**changes).to_integer()


def test_the_form_is_saved_and_loaded(tmp_path):
    integer = lively(num_classes=2, dtype=torch.float32).to_integer()
    integer.save(tmp_path / "m.safetensors")
    loaded = spikeyolo.load(tmp_path / "m.safetensors")
    assert (loaded.form, loaded.fraction_bits) == (Form.INTEGER, integer.fraction_bits)
    image = torch.rand(1, 3, 64, 64)
    assert all(torch.equal(a, b) for a, b in zip(integer(image), loaded(image), strict=True))
    assert len(loaded.predict(np.zeros((50, 60, 3), dtype=np.uint8), imgsz=64)) == 1
