"""The learned scale and the surrogate's tails: equations, gradients, thresholds, where scales start."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spikeyolo.errors import ConfigError, ShapeError
from spikeyolo.spiking import ILIF, ComparingILIF, NeuronState, ilif, ilif_sequence, scale_in_use
from spikeyolo.spiking.comparing import least_potentials
from spikeyolo.spiking.monitor import watch_counts
from spikeyolo.spiking.neuron import LARGEST_SCALE, LEAST_SCALE
from spikeyolo.spiking.scales import keep_scales_positive, start_scales

FLAVOURS = [(0.25, 1.0), (0.5, 0.5)]


def reference(x, v, s, decay, gain, max_count, width):
    """The equations by autograd: count(q) has the slope of the surrogate, and inside the reset it is a constant."""
    outputs = []
    for current in x:
        h = gain * current + (0.0 if v is None else decay * v)
        q = h / s
        distance = (-q).clamp(min=0) + (q - max_count).clamp(min=0)
        slope = torch.exp(-distance / width) if width else (distance == 0).to(q.dtype)
        rounded = q.clamp(0, max_count).round()
        count = rounded.detach() + slope.detach() * (q - q.detach())
        outputs.append(s * count)
        v = h - s * count.detach()
    return torch.stack(outputs), v


@given(
    timesteps=st.integers(1, 4),
    max_count=st.sampled_from([1, 4, 15, 63]),
    flavour=st.sampled_from(FLAVOURS),
    width=st.sampled_from([0.0, 0.3, 2.0]),
    shape=st.sampled_from([(1, 1, 1), (3, 1, 1)]),
    with_state=st.booleans(),
    seed=st.integers(0, 2**16),
)
@settings(deadline=None)
def test_gradients_are_those_of_the_equations(timesteps, max_count, flavour, width, shape, with_state, seed):
    generator = torch.Generator().manual_seed(seed)

    def draw(*size):
        return torch.randn(*size, generator=generator, dtype=torch.float64)

    x, v = 1.5 * max_count * draw(timesteps, 2, 3, 2, 2), draw(2, 3, 2, 2) if with_state else None
    scale = torch.rand(shape, generator=generator, dtype=torch.float64) + 0.3
    weights = draw(*x.shape), draw(*x.shape[1:])
    results = []
    for ours in (True, False):
        inputs = [None if value is None else value.clone().requires_grad_() for value in (x, v, scale)]
        if ours:
            found = ilif_sequence(
                inputs[0], inputs[1], decay=flavour[0], gain=flavour[1],
                max_count=max_count, surrogate_width=width, scale=inputs[2],
            )  # fmt: skip
        else:
            found = reference(*inputs, *flavour, max_count, width)
        sum((value * weight).sum() for value, weight in zip(found, weights, strict=True)).backward()
        results.append([*found, *(value.grad for value in inputs if value is not None)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_by_hand():
    # s = 0.5, D = 4, decay 0.25: H = 0.6, q = 1.2, C = 1, V = 0.1 | H = 3 + 0.025, q = 6.05, C = 4, V = 1.025
    scale = torch.tensor(0.5, requires_grad=True)
    outputs, v = ilif_sequence(torch.tensor([0.6, 3.0]), scale=scale)
    assert outputs.tolist() == [0.5, 2.0]
    assert v.item() == pytest.approx(1.025)
    outputs.sum().backward()
    # Inside C - q = -0.2; above D = 4; through V of the first step: the second is saturated, nothing.
    assert scale.grad.item() == pytest.approx(1 - 1.2 + 4)


def test_tails_by_hand():
    x = torch.tensor([[-0.5, 0.0, 2.0, 4.0, 5.0]], requires_grad=True)
    ilif(x, max_count=4, surrogate_width=0.5).sum().backward()
    expected = [math.exp(-1), 1.0, 1.0, 1.0, math.exp(-2)]
    torch.testing.assert_close(x.grad[0], torch.tensor(expected))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_gradients_are_slopes_by_differences(flavour):
    """Straight through: what rounding added to a count stays as it was, and so do the counts inside the reset."""
    decay, gain = flavour
    generator = torch.Generator().manual_seed(0)
    x = 6 * torch.randn(3, 2, 4, 4, generator=generator, dtype=torch.float64)
    scale = 0.4 + torch.rand(2, 1, 1, generator=generator, dtype=torch.float64)
    weight = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    counts = ilif_sequence(x, scale=scale, decay=decay, gain=gain)[0] / scale

    def smooth(x, scale, added=None):
        outputs, residuals, v = [], [], torch.zeros_like(x[0])
        for t, current in enumerate(x):
            h = gain * current + decay * v
            clipped = (h / scale).clamp(0, 4)
            residuals.append(counts[t] - clipped)
            outputs.append(scale * (clipped + (residuals[t] if added is None else added[t])))
            v = h - scale * counts[t]
        return (torch.stack(outputs) * weight).sum(), residuals

    leaves = x.clone().requires_grad_(), scale.clone().requires_grad_()
    total = (ilif_sequence(leaves[0], scale=leaves[1], decay=decay, gain=gain)[0] * weight).sum()
    total.backward()
    expected, added = smooth(x, scale)
    assert float(total.detach()) == pytest.approx(float(expected))
    for which, leaf in enumerate(leaves):
        for place in range(0, leaf.numel(), max(1, leaf.numel() // 25)):
            values = []
            for step in (1e-6, -1e-6):
                moved = [x.clone(), scale.clone()]
                moved[which].view(-1)[place] += step
                values.append(float(smooth(*moved, added)[0]))
            assert (values[0] - values[1]) / 2e-6 == pytest.approx(float(leaf.grad.view(-1)[place]), abs=1e-6)


def test_the_published_neuron_is_a_scale_of_one():
    x = torch.randn(3, 2, 4, 3, 3) * 4
    plain, scaled = ilif_sequence(x), ilif_sequence(x, scale=torch.ones(1, 1, 1))
    assert all(torch.equal(one, other) for one, other in zip(plain, scaled, strict=True))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_holds_counts_of_63(dtype):
    x = torch.arange(-5, 80, dtype=dtype).unsqueeze(0)
    assert ilif(x, max_count=63).flatten().tolist() == [0.0] * 5 + [*map(float, range(64))] + [63.0] * 16


@given(st.floats(LEAST_SCALE, LARGEST_SCALE), st.integers(1, 63), st.sampled_from([torch.float32, torch.float64]))
def test_comparing_is_rounding_for_every_number_around_a_tie(value, max_count, dtype):
    scale = scale_in_use(torch.tensor([value], dtype=dtype))
    least = least_potentials(scale, max_count)
    k = torch.arange(1, max_count + 1, dtype=dtype).unsqueeze(1)
    rate = scale.reciprocal()
    assert torch.equal((least * rate).clamp(0, max_count).round(), k)
    below = torch.nextafter(least, torch.full_like(least, -torch.inf))
    assert torch.equal((below * rate).clamp(0, max_count).round(), k - 1)
    torch.testing.assert_close(least, (k - 0.5) * scale, rtol=3 * torch.finfo(dtype).eps, atol=0)


@given(st.floats(1e-30, 1e30), st.integers(0, 63))
def test_a_scale_in_use_has_16_bits_and_exact_products(value, count):
    used = scale_in_use(torch.tensor(value))
    assert LEAST_SCALE <= float(used) <= LARGEST_SCALE
    if LEAST_SCALE <= value <= LARGEST_SCALE:
        assert float(used) == pytest.approx(value, rel=2.0**-16)
    assert float(used * count) == float(used) * count  # the right one in float64
    assert float(used * (count + 0.5)) == float(used) * (count + 0.5)
    assert torch.equal(scale_in_use(used), used)


@pytest.mark.parametrize("scales", [1, 4])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_comparing_layers_equal_folded_ones_in_parts_too(scales, flavour):
    layer = ILIF(*flavour, max_count=5, scales=scales)
    nn.init.uniform_(layer.scale, 0.2, 1.5)
    layer.folded, layer.name = True, "n"
    x = torch.randn(4, 2, 4, 6, 6) * 16  # so that every count is there
    states = NeuronState(), NeuronState()
    with torch.no_grad():
        whole, comparing = layer(x, states[0]), ComparingILIF(layer)
        assert torch.equal(comparing(x), whole)
        parts = [comparing(x[:1], states[1]), comparing(x[1:], states[1])]
    assert torch.equal(torch.cat(parts), whole)
    assert torch.equal(states[0]["n"], states[1]["n"])
    assert torch.equal(whole, whole.round())
    assert whole.unique().tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.parametrize(("scales", "elements"), [(1, 3 * 5 * 5), (3, 5 * 5)])
def test_the_layers_gradient_is_lsqs(scales, elements):
    layer = ILIF(max_count=4, scales=scales)
    nn.init.uniform_(layer.scale, 0.5, 1.5)
    x = torch.randn(2, 2, 3, 5, 5) * 4
    layer(x).sum().backward()
    plain = scale_in_use(layer.scale).view(-1, 1, 1).requires_grad_()
    ilif_sequence(x, scale=plain)[0].sum().backward()
    torch.testing.assert_close(layer.scale.grad, plain.grad.flatten() / math.sqrt(elements * 4))


def test_a_layer_gives_counts_times_its_scale_and_knows_the_counts():
    layer = ILIF(scales=3)
    nn.init.uniform_(layer.scale, 0.5, 1.5)
    x = torch.randn(2, 2, 3, 5, 5) * 4
    with watch_counts(layer) as mean:
        outputs = layer(x)
    layer.folded = True
    counts = layer(x)
    torch.testing.assert_close(outputs, counts * scale_in_use(layer.scale).view(-1, 1, 1))
    assert mean.value() == pytest.approx(float(counts.detach().mean()), rel=1e-5)


def test_scales_start_at_a_percentile_over_d():
    network = nn.Sequential(ILIF(max_count=4, scales=1), nn.Identity(), ILIF(max_count=4, scales=2))
    ramp = torch.arange(1, 1001).float()
    x = torch.stack([ramp / 100, -ramp]).view(1, 1, 2, 10, 100)  # a channel up to 10, and one that is silent
    start_scales(network, [x, 3 * x], percentile=99.9)
    assert network[0].scale.item() == pytest.approx((9.98 + 3 * 9.98) / 2 / 4, rel=1e-3)  # 2 of 2000 are above
    # Counts of 4 at most, of a scale of 1 as it was measured: the channel reaches 4, the silent one takes the layer's.
    assert network[2].scale.tolist() == pytest.approx([1.0, 1.0])
    assert network.training
    with pytest.raises(ConfigError, match="no learned scales"):
        start_scales(nn.Sequential(ILIF()), [x])
    with pytest.raises(ConfigError, match="percentile: 0 is outside"):
        start_scales(network, [x], percentile=0)
    with pytest.raises(ConfigError, match="no batches"):
        start_scales(network, [])


def test_scales_stay_positive():
    layer = ILIF(scales=3)
    with torch.no_grad():
        layer.scale.copy_(torch.tensor([-1.0, 0.5, 1e9]))
    assert (scale_in_use(layer.scale) > 0).all()
    keep_scales_positive(nn.ModuleList([layer, ILIF()]))
    assert layer.scale.tolist() == [LEAST_SCALE, 0.5, LARGEST_SCALE]


def test_what_does_not_fit():
    with pytest.raises(ConfigError, match="surrogate_width: -1 is not a number from 0"):
        ilif(torch.zeros(1, 2), surrogate_width=-1)
    with pytest.raises(ConfigError, match="surrogate_width: nan"):
        ILIF(surrogate_width=float("nan"))
    with pytest.raises(ShapeError, match=r"scale: \(3, 1, 1\) does not fit"):
        ilif_sequence(torch.zeros(1, 2, 4, 4, 4), scale=torch.ones(3, 1, 1))
