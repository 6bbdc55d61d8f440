"""Leaky sums of events: their numbers, their gradient, and the network that begins with them in every form."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.networks import lively

import spikeyolo
from spikeyolo.errors import ConfigError, VerificationError
from spikeyolo.events import EventInput
from spikeyolo.metering.counting import count_layers
from spikeyolo.model.leaks import LeakySums, ShiftedSums
from spikeyolo.model.presets import NetworkConfig
from spikeyolo.spiking import NeuronState

SEEN = EventInput({"name": "leaky_sums", "bins": 3, "leaks": 2}, timesteps=2)  # type: ignore[arg-type]


def sums_of(leaks):
    made = LeakySums(len(leaks) // 2)
    made.leak.data = torch.tensor(leaks, dtype=torch.float32)
    return made


def worked_out(counts, k):
    """What one sum gives after each timestep of some bins, in Python's own integers."""
    total, given = 0, []
    for bins in counts:
        for events in bins:
            total += (-total >> k) + (events << 8)
        given.append(min(total >> 4, 255) / 16)
    return given


counts_of = st.integers(1, 3).flatmap(
    lambda bins: st.lists(
        st.lists(st.sampled_from([0, 0, 0, 1, 2, 9, 255]), min_size=bins, max_size=bins), min_size=1, max_size=4
    )
)


@given(counts_of, counts_of, st.lists(st.floats(-1, 8), min_size=2, max_size=2), st.integers(0, 4))
def test_sums_by_definition_in_both_forms_and_across_a_cut(off, on, leaks, cut):
    steps, bins = min(len(off), len(on)), min(len(off[0]), len(on[0]))
    both = [[step[:bins] for step in side[:steps]] for side in (off, on)]
    x = torch.tensor(both, dtype=torch.float32).permute(1, 0, 2).reshape(steps, 1, 2 * bins, 1, 1)
    expected = [worked_out(side, min(max(round(leak), 0), 6)) for side, leak in zip(both, leaks, strict=True)]
    trained = sums_of(leaks)
    for sums in (trained, ShiftedSums(trained)):
        assert sums(x).flatten(1).T.tolist() == expected
        state = NeuronState()
        parts = [sums(part, state) for part in (x[:cut], x[cut:]) if len(part)]
        assert torch.equal(torch.cat(parts), sums(x))


def test_a_steady_stream_fills_a_sum_and_a_still_scene_empties_it():
    sums = ShiftedSums(sums_of([0.0, 3.0]))
    x = torch.zeros(1, 1, 400, 1, 1)
    x[:, :, :100] = x[:, :, 200:300] = 1
    state = NeuronState()
    sums(x[:, :, [*range(100), *range(200, 300)]], state)
    off, on = state[sums.name].flatten().tolist()
    assert off == 256  # one event a bin
    assert 8 * 256 - 8 < on <= 8 * 256  # and 2^3 of them, less what is rounded away
    sums(x[:, :, [*range(100, 200), *range(300, 400)]], state)
    assert state[sums.name].flatten().tolist() == [0, 0]


def test_the_gradient_is_that_of_the_leak():
    sums, x = sums_of([2.0, 1.0]), torch.tensor([3.0, 0, 1, 2, 5, 0]).view(1, 1, 6, 1, 1)
    sums(x).sum().backward()
    for side, k in enumerate((2, 1)):
        total, slope = 0, 0.0  # of the sum, by the leak
        for events in x.flatten().tolist()[3 * side : 3 * side + 3]:
            slope = slope * (1 - 2.0**-k) - total
            total += (-total >> k) + (int(events) << 8)
        expected = slope / 256 * -math.log(2) * 2.0**-k  # by k itself, in events
        assert sums.leak.grad[side].item() == pytest.approx(expected, rel=1e-5)


def test_leaks_are_learnt():
    generator = torch.Generator().manual_seed(0)
    x = torch.poisson(torch.full((4, 2, 10, 8, 8), 0.3), generator=generator)
    wanted, sums = sums_of([4.0, 1.0])(x).detach(), sums_of([2.0, 3.0])
    optimizer = torch.optim.Adam(sums.parameters(), lr=0.1)
    for _ in range(60):
        optimizer.zero_grad()
        (sums(x) - wanted).square().mean().backward()
        optimizer.step()
    assert ShiftedSums(sums).shift.tolist() == [4, 1]


@pytest.fixture(scope="module")
def model():
    small = NetworkConfig(width=0.0625, repeats=(1, 1, 1, 1), num_classes=2, neuron="gen1")
    return lively(small, dtype=torch.float32, input=SEEN, **SEEN.network_fields)


@pytest.fixture(scope="module")
def frames():
    return torch.poisson(torch.full((2, 1, 6, 32, 32), 0.3), generator=torch.Generator().manual_seed(1))


def test_only_additions_and_shifts_remain(model, frames):
    spiking = model.to_spike_driven()
    audit = spikeyolo.verify_spike_driven(spiking, frames)
    assert {0.5, 2.0**-1, 2.0**-3} <= audit.shifts
    spiking.backbone.leaks = model.backbone.leaks  # it multiplies by a tensor of shares
    with pytest.raises(VerificationError, match="neither an addition nor a shift"):
        spikeyolo.verify_spike_driven(spiking, frames)


def test_every_form_sees_the_same_sums(model, frames, tmp_path):
    seen = model.eval().backbone.leaks(frames)
    integer = model.to_integer()
    integer.save(tmp_path / "integer.safetensors")
    model.save(tmp_path / "model.safetensors")
    kept = [spikeyolo.load(tmp_path / f"{name}.safetensors") for name in ("integer", "model")]
    for form in (model.fold(), model.to_spike_driven(), integer, *kept, copy.deepcopy(model).half()):
        assert torch.equal(form.backbone.leaks(frames.to(form.dtype)).float(), seen)
    assert kept[1].input == SEEN
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(kept[0](frames), integer(frames), strict=True))


def test_energy_charges_two_additions_a_sum_and_bin(model, frames):
    layers = {layer.name: layer for layer in count_layers(model, [frames])}
    sums = layers["backbone.leaks"]
    assert (sums.ac, sums.mac, sums.spikes) == (2 * 4 * 3 * 32 * 32 * 2, 0, 0)  # 4 sums of 3 bins, 2 timesteps
    assert layers["backbone.stem"].macs == 4 * 49 * 8 * 8 * 8


def test_what_cannot_be_is_refused(model, tmp_path):
    with pytest.raises(ConfigError, match="leaky sums"):
        spikeyolo.export(model, "onnx", tmp_path / "x.onnx", sensor=(32, 32))
    assert not (tmp_path / "x.onnx").exists()
    for wrong in ({"leaks": 17}, {"leaks": 2, "in_channels": 3}):
        with pytest.raises(ConfigError, match="leaks"):
            spikeyolo.SpikeYOLO("t-gen1", **wrong)
