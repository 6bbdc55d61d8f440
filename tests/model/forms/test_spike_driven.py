import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.golden import GOLDEN, NETWORKS, golden_input
from tests.helpers.networks import lively, received
from torch import nn

import spikeyolo
from spikeyolo.errors import ConfigError, ShapeError, VerificationError
from spikeyolo.model.forms.form import Form
from spikeyolo.model.forms.spike_driven import SpikeDrivenConv, SpikeDrivenSPPF, Synapses, on_exact_grid, run_on_slots
from spikeyolo.model.forms.verify import verify_spike_driven
from spikeyolo.spiking import ilif

GRID = [(t, d) for t in (1, 2, 4) for d in (1, 2, 4, 8)]


def assert_equal_to_counts(dense, images, spiking=None):
    logits, counts = received(dense, images)
    spiking = dense.to_spike_driven() if spiking is None else spiking
    spiking_logits, slots = received(spiking, images)
    assert slots.keys() == counts.keys()
    different = {name: int((slots[name] != counts[name]).sum()) for name in counts}
    assert not any(different.values())
    for ours, expected in zip(spiking_logits, logits, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)
    fired = torch.cat([c.flatten() for name, c in counts.items() if name != "backbone.stem"])
    assert 0.05 < (fired > 0).double().mean() < 0.95  # a silent network would be equal to anything
    return spiking


@pytest.mark.few(1)
@pytest.mark.parametrize("name", NETWORKS)
def test_golden_networks_on_spikes_equal_counts(name):
    model = spikeyolo.load_reference(GOLDEN / name / "reference.pt").double()
    assert_equal_to_counts(model.fold(dense=True), golden_input(name, torch.float64))


def grid_of(preset, seed=0):
    """One dense network, with T and D set in turn: neither changes a weight."""
    dense = lively(preset, seed, num_classes=3).fold(dense=True)
    for timesteps, max_count in GRID:
        dense.config = replace(dense.config, timesteps=timesteps, max_count=max_count)
        for module in dense.modules():
            if hasattr(module, "max_count"):
                module.max_count = max_count
        yield timesteps, max_count, dense


@pytest.mark.long
@pytest.mark.parametrize("side", [32, pytest.param(64, marks=pytest.mark.long)])
@pytest.mark.parametrize("preset", ["t", "t-gen1"])
def test_every_t_and_d_on_spikes_equals_counts(preset, side):
    for timesteps, _, dense in grid_of(preset):
        frames = torch.rand(timesteps, 1, 3, side, side, dtype=torch.float64)
        spiking = assert_equal_to_counts(dense, frames)
        if timesteps > 1:  # of one frame both are the same
            assert_equal_to_counts(dense, frames[0], spiking)


@pytest.mark.long
@pytest.mark.parametrize("preset", ["n", "s", "m", "l", "n-gen1", "s-gen1", "m-gen1", "l-gen1"])
def test_every_preset_on_spikes_equals_counts(preset):
    for timesteps, _, dense in grid_of(preset):
        assert_equal_to_counts(dense, torch.rand(timesteps, 1, 3, 32, 32, dtype=torch.float64))


@pytest.mark.few(1)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_half_precision_become_float32(dtype):
    model = lively(num_classes=2, dtype=dtype)
    spiking, image = model.to_spike_driven(), torch.randint(0, 256, (1, 3, 64, 64)) / 255
    assert (model.dtype, spiking.dtype) == (dtype, torch.float32)
    assert all(level.isfinite().all() for level in spiking(image))
    verify_spike_driven(spiking)


@pytest.mark.few(1)
@pytest.mark.parametrize("preset", ["t", "t-gen1"])
def test_float32_layer_by_layer(preset):
    # From the same input. Against the weights before they were put on their grid a count beside a rounding threshold
    # may flip, one in ten thousand at most; against counts on the grid none may.
    dense = lively(preset, dtype=torch.float32, timesteps=2).fold(dense=True)
    spiking = dense.to_spike_driven()
    flipped = total = 0
    inputs = {}
    units = {name: m for name, m in dense.named_modules() if getattr(m, "neuron", None) is not None}
    for name, unit in units.items():
        unit.register_forward_hook(lambda m, i, o, name=name: inputs.__setitem__(name, (i[0], o)))
    with torch.no_grad():
        dense(torch.rand(2, 2, 3, 128, 128))
        for name, (x, expected) in inputs.items():
            neuron = units[name].neuron
            flavour = neuron.decay, neuron.gain, neuron.max_count
            ours, theirs = ilif(spiking.get_submodule(name)(x), *flavour), ilif(expected, *flavour)
            flipped, total = flipped + int((ours != theirs).sum()), total + ours.numel()
            on_slots = spiking.get_submodule(name)
            on_counts = copy.deepcopy(on_slots)
            run_on_slots(on_counts, on_slots=False)
            assert torch.equal(on_slots(x), on_counts(x)), name
    assert len(inputs) == 88
    assert flipped <= 1e-4 * total


def test_a_stream_in_parts_equals_one_pass():
    spiking = lively("t-gen1", timesteps=3).to_spike_driven()
    frames = torch.rand(3, 1, 3, 64, 64, dtype=torch.float64)
    whole = spiking(frames)
    state, parts = {}, []
    for frame in frames:
        logits, state = spiking(frame.unsqueeze(0), state)
        parts.append(logits)
    for level, expected in enumerate(whole):
        mean = torch.stack([part[level] for part in parts]).mean(0)
        torch.testing.assert_close(mean, expected, rtol=1e-9, atol=1e-9)


def test_the_form_is_saved_and_loaded(tmp_path):
    spiking = lively(num_classes=2, dtype=torch.float32).to_spike_driven()
    spiking.save(tmp_path / "m.safetensors")
    loaded = spikeyolo.load(tmp_path / "m.safetensors")
    assert loaded.form is Form.SPIKE_DRIVEN
    image = torch.rand(1, 3, 64, 64)
    assert all(torch.equal(a, b) for a, b in zip(spiking(image), loaded(image), strict=True))
    verify_spike_driven(loaded)


def test_what_cannot_be_driven_by_spikes():
    with pytest.raises(ConfigError, match="relu"):
        lively(neuron="relu").to_spike_driven()
    spiking = lively().to_spike_driven()
    for change in (spiking.fold, spiking.to_integer):
        with pytest.raises(ConfigError, match="start from the trained network"):
            change()
    with pytest.raises(ConfigError, match=r"call to_spike_driven\(\)"):
        verify_spike_driven(lively().fold(dense=True))


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("preset", "timesteps", "pooled", "shifts"),
    [
        ("t", 1, {"spikes"}, set()),
        ("t", 2, {"potentials"}, {0.25}),
        ("t-gen1", 1, {"spikes"}, {0.5}),
        ("t-gen1", 2, {"potentials"}, {0.5}),
    ],
)
def test_verifier_passes_the_honest_network(preset, timesteps, pooled, shifts):
    audit = verify_spike_driven(lively(preset, timesteps=timesteps, max_count=2).to_spike_driven())
    assert (audit.pooled, audit.shifts) == (pooled, shifts)
    assert len(audit.spiking_convolutions) == 88
    assert set(audit.spiking_convolutions.values()) == {2}
    assert audit.operations["convolution"] == 2 * 88 + 1
    assert "88 convolutions on zeros and ones alone (176 slots)" in str(audit)


def test_verifier_takes_images():
    spiking = lively(num_classes=2).to_spike_driven()
    seen = []
    spiking.backbone.stem.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape)))
    audit = verify_spike_driven(spiking, torch.rand(2, 3, 32, 96))
    assert {shape[-3:] for shape in seen} == {(3, 32, 96)}  # these images were run, and not the noise of its own
    assert len(audit.spiking_convolutions) == 88
    with pytest.raises(ShapeError, match="multiples of 32"):
        verify_spike_driven(spiking, torch.rand(2, 3, 33, 96))


def test_running_asserts_that_spikes_are_binary():
    synapses = Synapses(2, 3, 1, bias=False)
    assert synapses(torch.tensor([0.0, 1.0]).view(1, 2, 1, 1)).shape == (1, 3, 1, 1)
    for wrong in (2.0, 0.5, -1.0, float("nan")):
        with pytest.raises(VerificationError, match="something else than 0 and 1"):
            synapses(torch.tensor([0.0, wrong]).view(1, 2, 1, 1))


def test_the_module_tree_shows_the_claim():
    spiking = lively(num_classes=2).to_spike_driven()
    convs = {name: m for name, m in spiking.named_modules() if isinstance(m, nn.Conv2d)}
    assert [name for name, m in convs.items() if type(m) is not Synapses] == ["backbone.stem.conv"]
    assert all(m.bias is None for name, m in convs.items() if name != "backbone.stem.conv")
    assert sum(isinstance(m, SpikeDrivenConv) for m in spiking.modules()) == 88
    assert isinstance(spiking.backbone.sppf, SpikeDrivenSPPF)
    assert lively(num_classes=2).fold(dense=True).form is Form.DENSE


@pytest.mark.few(1)
@pytest.mark.parametrize(("preset", "timesteps", "max_count"), [("t", 1, 4), ("t", 4, 8), ("t-gen1", 2, 4)])
def test_in_float32_slots_and_counts_are_the_same_bits(preset, timesteps, max_count):
    # Whole random networks are chaotic in float32: only sums without any rounding keep two orders of adding together.
    spiking = lively(preset, dtype=torch.float32, timesteps=timesteps, max_count=max_count).to_spike_driven()
    images = torch.rand(2, 3, 128, 128)
    logits, slots = received(spiking, images)
    run_on_slots(spiking, on_slots=False)
    expected, counts = received(spiking, images)
    assert all(torch.equal(slots[name], counts[name]) for name in counts)
    assert all(torch.equal(a, b) for a, b in zip(logits, expected, strict=True))


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 4, 16]), st.floats(1e-6, 1e6), st.integers(1, 3000))
def test_sums_on_the_grid_are_exact(seed, max_count, size, inputs):
    rng = torch.Generator().manual_seed(seed)
    weight = torch.randn(3, inputs, 1, 1, generator=rng) * size
    bias = torch.randn(3, generator=rng) * size
    rounded, new_bias = on_exact_grid(weight, bias, max_count)
    assert rounded.dtype == torch.float32
    counts = torch.randint(0, max_count + 1, (inputs,), generator=rng)
    for o in range(3):
        terms = rounded[o].flatten() * counts
        exact = math.fsum([*terms.tolist(), new_bias[o].item()])
        order = torch.randperm(inputs, generator=rng)
        summed = np.cumsum(terms[order].numpy(), dtype=np.float32)[-1] + new_bias[o].numpy()
        assert float(summed) == exact
    # No weight moves by more than half a step of the 24-bit mantissa of the largest sum.
    largest = weight.abs().flatten(1).sum(1) * max_count + bias.abs()
    moved = (rounded - weight).abs().flatten(1).amax(1)
    assert bool((moved <= largest * 2.0**-23).all())
