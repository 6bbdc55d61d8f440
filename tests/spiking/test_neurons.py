"""The neurons that are shipped as examples: their equations by hand, their gradients, what they are in inference."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikeyolo.errors import ConfigError
from spikeyolo.spiking import ILIF, NeuronState, ilif_sequence
from spikeyolo.spiking.neurons import (
    LIF,
    PLIF,
    ArctanILIF,
    FastSigmoidILIF,
    HardResetLIF,
    SigmoidILIF,
    arctan,
    fast_sigmoid,
    sigmoid,
)
from spikeyolo.spiking.spiking_neuron import ilif_of, with_slope

SURROGATES = [arctan, sigmoid, fast_sigmoid]

# What each slope is the derivative of, to differentiate instead.
SOFT = {
    arctan: lambda u: torch.atan(math.pi * u) / math.pi,
    sigmoid: lambda u: torch.sigmoid(4 * u),
    fast_sigmoid: lambda u: u / (1 + 2 * u.abs()),
}

ILIFS = {ArctanILIF: arctan, SigmoidILIF: sigmoid, FastSigmoidILIF: fast_sigmoid}


def run(neuron, currents, state=None):
    """Counts, and the potentials that are left, of one neuron that receives these currents one after the other."""
    state = NeuronState() if state is None else state
    x = torch.tensor(currents, dtype=torch.float64).view(-1, 1, 1, 1, 1)
    return neuron(x, state).flatten().tolist(), state[neuron.name].flatten().tolist()


def test_lif_by_hand():
    # decay 0.5, threshold 1: H = 0.75 | 0.375 + 0.625 = 1, which fires: V = 0 | 2.5: V = 1.5, it fires again from that:
    # 0.75 + 0.25 = 1: V = 0 | -1
    assert run(LIF(1, 1), [0.75, 0.625, 2.5, 0.25, -1.0]) == ([0, 1, 1, 1, 0], [-1.0])


def test_hard_reset_by_hand():
    # H = 0.75 | 1, which fires: V = 0 | 2.5: V = 0 | 0.25 | 0.125 - 1 = -0.875
    assert run(HardResetLIF(1, 1), [0.75, 0.625, 2.5, 0.25, -1.0]) == ([0, 1, 1, 0, 0], [-0.875])


def test_plif_by_hand():
    # decay 1/3 (raw -ln 2), threshold 2: in units of it H = 1.5 -> 2, V = -0.5 | 0.75 - 1/6 = 0.5833 -> 1, V = -0.41667
    # | 5 - 0.13889 = 4.86111 -> 4 (D), V = 0.86111 | -1 + 0.28704 = -0.71296 -> 0
    neuron = PLIF(1, 4).double()
    with torch.no_grad():
        neuron.raw_decay.fill_(-math.log(2))
        neuron.log_threshold.fill_(math.log(2))
    counts, v = run(neuron, [3.0, 1.5, 10.0, -2.0])
    assert counts == [2, 1, 4, 0]
    assert v == pytest.approx([-1 + (5 + (0.75 - 0.5 / 3 - 1) / 3 - 4) / 3])


def test_plif_begins_as_the_published_neuron_and_its_decay_stays_between_0_and_1():
    neuron = PLIF(8, 4)
    assert neuron.decay.item() == pytest.approx(0.25)
    assert neuron.gain.item() == 1
    for raw, low, high in ((-80.0, 0.0, 1e-30), (80.0, 1 - 1e-6, 1.0)):
        with torch.no_grad():
            neuron.raw_decay.fill_(raw)
        assert low <= neuron.decay.item() <= high
        assert 0 <= ilif_of(neuron, "test").decay <= 1


def test_ilif_says_who_learns_its_decay():
    with pytest.raises(ConfigError, match=r"^decay: a tensor.*spiking.neurons.PLIF learns decay and threshold"):
        ILIF(decay=torch.nn.Parameter(torch.tensor(0.3)))


@pytest.mark.parametrize("kind", [LIF, HardResetLIF])
def test_a_lif_of_several_spikes_is_refused(kind):
    with pytest.raises(ConfigError, match=rf"^max_count: spikeyolo.spiking.neurons:{kind.__name__} fires one spike"):
        kind(3, 4)


@pytest.mark.parametrize("surrogate", SURROGATES)
def test_surrogates_have_height_1_area_1_and_are_the_slope_that_they_say(surrogate):
    u = torch.linspace(-200, 200, 4_000_001, dtype=torch.float64)
    slope = surrogate(u)
    assert slope.max().item() == pytest.approx(1)
    tails = {arctan: 2 / (200 * math.pi**2), fast_sigmoid: 1 / 401, sigmoid: 0}[surrogate]  # beyond 200, of both sides
    assert torch.trapezoid(slope, u).item() + tails == pytest.approx(1, abs=1e-5)
    at = torch.tensor([-3.0, -0.5, -0.1, 0.2, 1.7], dtype=torch.float64, requires_grad=True)
    SOFT[surrogate](at).sum().backward()
    torch.testing.assert_close(at.grad, surrogate(at.detach()))


def test_gradients_by_hand():
    x = torch.tensor([0.5, 1.25], dtype=torch.float64).view(1, 1, 1, 1, 2).requires_grad_()
    LIF(1, 1)(x).sum().backward()
    # 1 / (1 + pi^2 / 4) and 1 / (1 + pi^2 / 16)
    assert x.grad.flatten().tolist() == pytest.approx([0.28840, 0.61849], abs=1e-5)
    x.grad = None
    FastSigmoidILIF(1, 2)(x).sum().backward()
    # Thresholds 0.5 and 1.5: 1 + 1 / 9; and 1 / 2.5^2 + 1 / 1.5^2
    assert x.grad.flatten().tolist() == pytest.approx([1 + 1 / 9, 0.16 + 4 / 9])


def soft_ilif(x, decay, gain, max_count, soft):
    """The equation whose counts rise as the surrogates say; the reset sees the hard counts, as a constant."""
    counts, v = [], torch.zeros_like(x[0])
    for current in x:
        h = decay * v + gain * current
        hard = h.detach().clamp(0, max_count).round()
        smooth = sum(soft(h - (d + 0.5)) for d in range(max_count))
        counts.append(smooth + (hard - smooth).detach())
        v = h - hard
    return torch.stack(counts)


@given(
    kind=st.sampled_from(list(ILIFS)),
    timesteps=st.integers(1, 4),
    max_count=st.integers(1, 8),
    seed=st.integers(0, 2**16),
)
def test_gradient_of_surrogates_through_time_is_that_of_the_soft_equation(kind, timesteps, max_count, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(timesteps, 2, 3, 2, 2, generator=generator, dtype=torch.float64) * max_count
    upstream = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    counts = kind(3, max_count)(ours)
    expected = soft_ilif(theirs, 0.25, 1.0, max_count, SOFT[ILIFS[kind]])
    torch.testing.assert_close(counts, expected)
    counts.backward(upstream)
    expected.backward(upstream)
    torch.testing.assert_close(ours.grad, theirs.grad)


def in_volts(x, decay, threshold, max_count):
    """PLIF with potentials that are not divided by the threshold: V = H - threshold * C."""
    counts, v = [], torch.zeros_like(x[0])
    for current in x:
        h = decay * v + current
        inside = (h / threshold).clamp(0, max_count)
        count = inside + (inside.round() - inside).detach()
        counts.append(count)
        v = h - threshold * count.detach()
    return torch.stack(counts)


@given(
    timesteps=st.integers(1, 4),
    max_count=st.integers(1, 8),
    raw=st.floats(-3, 3),
    log_threshold=st.floats(-1, 1),
    seed=st.integers(0, 2**16),
)
def test_gradients_of_what_plif_learns_are_those_of_its_other_writing(timesteps, max_count, raw, log_threshold, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(timesteps, 2, 3, 2, 2, generator=generator, dtype=torch.float64) * max_count
    upstream = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    neuron = PLIF(3, max_count).double()
    with torch.no_grad():
        neuron.raw_decay.fill_(raw)
        neuron.log_threshold.fill_(log_threshold)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    own = [parameter.detach().clone().requires_grad_() for parameter in (neuron.raw_decay, neuron.log_threshold)]
    counts = neuron(ours)
    expected = in_volts(theirs, torch.sigmoid(own[0]), torch.exp(own[1]), max_count)
    torch.testing.assert_close(counts, expected)
    counts.backward(upstream)
    expected.backward(upstream)
    torch.testing.assert_close(ours.grad, theirs.grad)
    for parameter, other in zip((neuron.raw_decay, neuron.log_threshold), own, strict=True):
        expected_grad = torch.zeros_like(other) if other.grad is None else other.grad
        found = torch.zeros_like(other) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(found, expected_grad)


@given(
    kind=st.sampled_from([*ILIFS, PLIF]),
    timesteps=st.integers(1, 5),
    cut=st.integers(0, 5),
    max_count=st.integers(1, 16),
    seed=st.integers(0, 2**16),
)
def test_counts_are_those_of_ilif_in_one_pass_and_in_parts(kind, timesteps, cut, max_count, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(timesteps, 2, 3, 2, 2, generator=generator) * max_count
    neuron = kind(3, max_count)
    neuron.name = "here"
    if kind is PLIF:
        with torch.no_grad():
            neuron.raw_decay.normal_(generator=generator)
            neuron.log_threshold.normal_(generator=generator)
    same = ilif_of(neuron, "test")
    expected, v = ilif_sequence(x, decay=same.decay, gain=same.gain, max_count=max_count)
    state, cut = NeuronState(), min(cut, timesteps)
    with torch.no_grad():
        assert torch.equal(neuron(x), expected)
        parts = [neuron(part, state) for part in (x[:cut], x[cut:]) if len(part)]
    assert torch.equal(torch.cat(parts), expected)
    assert torch.equal(state["here"], v)


@pytest.mark.parametrize("kind", [LIF, HardResetLIF, PLIF, ArctanILIF])
def test_half_precision_gives_the_counts_of_float32_with_its_potentials(kind):
    x = (torch.randn(3, 1, 2, 30, 30, generator=torch.Generator().manual_seed(0)) * 2).bfloat16()
    neuron, state = kind(2, 1), NeuronState()
    counts = neuron(x, state)
    assert counts.dtype == torch.bfloat16
    assert state[""].dtype == torch.float32
    assert torch.equal(counts.float(), neuron(x.float()))


def test_a_slope_of_ones_own():
    h = torch.tensor([-1.0, 0.5, 3.0], requires_grad=True)
    counts = with_slope((h > 0).float(), h, lambda h: 10 * h)
    assert counts.tolist() == [0, 1, 1]
    counts.sum().backward()
    assert h.grad.tolist() == [-10, 5, 30]
