import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.golden import golden_arrays
from tests.helpers.networks import lively

from spikeyolo.errors import ConfigError, ShapeError
from spikeyolo.spiking import ILIF, NeuronState, ilif, ilif_sequence, ilif_step
from spikeyolo.spiking.equation import pass_within

FLAVOURS = [(0.25, 1.0), (0.5, 0.5), (0.0, 1.0), (1.0, 0.3)]


def reference(x, v, decay, gain, max_count):
    """The equation with autograd's own bookkeeping: the straight-through estimator written as a detached difference."""
    counts = []
    for current in x:
        h = gain * current + (0.0 if v is None else decay * v)
        # Gradient 1 at both ends, where clamp's own is a matter of convention: choose by a mask.
        inside = ((h >= 0) & (h <= max_count)).to(h.dtype).detach()
        surrogate = h * inside
        count = surrogate + (h.detach().clamp(0, max_count).round() - surrogate.detach())
        counts.append(count)
        v = h - count.detach()
    return torch.stack(counts), v


@pytest.mark.parametrize("max_count", [1, 2, 4, 8])
def test_golden_coco(max_count):
    arrays = golden_arrays("components/neuron_decay025.npz")
    x, upstream, spikes, grad = (
        torch.tensor(arrays[f"neuron_D{max_count}_{k}"]) for k in ("x", "upstream", "spikes", "grad")
    )
    check_golden(x, upstream, spikes, grad, decay=0.25, gain=1.0, max_count=max_count)


def test_golden_gen1():
    arrays = golden_arrays("components/neuron_tau2.npz")
    x, upstream, spikes, grad = (torch.tensor(arrays[k]) for k in ("x", "upstream", "spikes", "grad"))
    check_golden(x, upstream, spikes, grad, decay=0.5, gain=0.5, max_count=4)


def check_golden(x, upstream, spikes, grad, **parameters):
    x.requires_grad_()
    counts = ilif(x, **parameters)
    assert torch.equal(counts, spikes)
    counts.backward(upstream)
    torch.testing.assert_close(x.grad, grad, rtol=0, atol=1e-6)
    with torch.no_grad():  # the path without a graph is another piece of code
        assert torch.equal(ilif(x, **parameters), spikes)


def test_by_hand():
    # D = 2, decay 0.25: H = 1.5, V = -0.5 | H = 0.4 - 0.125 = 0.275, V = 0.275 | H = 3 + 0.06875, V = 1.06875 | -0.7328
    counts, v = ilif_sequence(torch.tensor([1.5, 0.4, 3.0, -1.0]), max_count=2)
    assert counts.tolist() == [2.0, 0.0, 2.0, 0.0]
    assert v.item() == pytest.approx(-1 + 0.25 * 1.06875)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("max_count", [1, 3, 4, 15, 63])
def test_gradient_passes_to_the_last_bit_of_both_ends(dtype, max_count):
    ends = torch.tensor([0.0, -0.0, max_count], dtype=dtype)
    above = torch.nextafter(ends[2:], torch.tensor(torch.inf, dtype=dtype))
    below = torch.tensor([-torch.finfo(dtype).tiny, -1.0, -torch.inf], dtype=dtype)
    within, outside = torch.cat([ends, ends[2:] / 2]), torch.cat([above, below, torch.tensor([torch.inf], dtype=dtype)])
    for x, expected in ((within, 3.0), (outside, 0.0)):
        for many in (x, x.repeat(40)):  # few go one by one, many by vector instructions
            grad = pass_within(torch.full_like(many, 3.0), many, max_count)
            assert torch.equal(grad, torch.full_like(many, expected))


def test_rounds_half_to_even():
    assert ilif(torch.tensor([[0.5, 1.5, 2.5, 3.5, 4.5, -0.5]])).tolist() == [[0.0, 2.0, 2.0, 4.0, 4.0, 0.0]]


def test_gradient_is_one_at_both_ends_and_zero_outside():
    x = torch.tensor([[-1e-6, 0.0, 2.0, 4.0, 4.00001]], requires_grad=True)
    ilif(x, max_count=4).sum().backward()
    assert x.grad.tolist() == [[0.0, 1.0, 1.0, 1.0, 0.0]]


@given(
    timesteps=st.integers(1, 5),
    max_count=st.integers(1, 63),
    flavour=st.sampled_from(FLAVOURS),
    with_state=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_equals_autograd_of_the_equation(timesteps, max_count, flavour, with_state, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(timesteps, 3, 4, generator=generator, dtype=torch.float64) * max_count
    v = torch.randn(3, 4, generator=generator, dtype=torch.float64) if with_state else None
    weight_counts = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    weight_v = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    results = []
    for function in (ilif_sequence, lambda x, v, decay, gain, max_count: reference(x, v, decay, gain, max_count)):
        xs = x.clone().requires_grad_()
        vs = None if v is None else v.clone().requires_grad_()
        counts, last = function(xs, vs, decay=flavour[0], gain=flavour[1], max_count=max_count)
        ((counts * weight_counts).sum() + (last * weight_v).sum()).backward()
        results.append((counts.detach(), last.detach(), xs.grad, None if vs is None else vs.grad))
    for ours, theirs in zip(*results, strict=True):
        if ours is not None:
            torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@given(
    timesteps=st.integers(2, 8),
    cut=st.integers(1, 7),
    max_count=st.integers(1, 63),
    flavour=st.sampled_from(FLAVOURS),
    seed=st.integers(0, 2**16),
)
def test_streaming_in_two_parts_equals_one_pass(timesteps, cut, max_count, flavour, seed):
    cut = min(cut, timesteps - 1)
    x = torch.randn(timesteps, 2, 3, generator=torch.Generator().manual_seed(seed)) * max_count
    parameters = {"decay": flavour[0], "gain": flavour[1], "max_count": max_count}
    whole, last = ilif_sequence(x, **parameters)
    first, v = ilif_sequence(x[:cut], **parameters)
    second, v = ilif_sequence(x[cut:], v, **parameters)
    assert torch.equal(torch.cat([first, second]), whole)
    assert torch.equal(v, last)
    v = None
    for t in range(timesteps):
        counts, v = ilif_step(x[t], v, **parameters)
        assert torch.equal(counts, whole[t])


@given(
    values=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20),
    max_count=st.integers(1, 63),
    flavour=st.sampled_from(FLAVOURS),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16, torch.float16]),
)
def test_counts_are_integers_from_0_to_max_count(values, max_count, flavour, dtype):
    x = torch.tensor(values).clamp(-1e4, 1e4).to(dtype).view(-1, 1)
    counts, v = ilif_sequence(x, decay=flavour[0], gain=flavour[1], max_count=max_count)
    assert counts.dtype == dtype
    assert v.dtype == (dtype if dtype == torch.float64 else torch.float32)
    assert torch.equal(counts, counts.round())
    assert counts.min() >= 0
    assert counts.max() <= max_count


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_gives_the_same_counts_away_from_the_thresholds(dtype):
    x = torch.tensor([[0.2, 0.8, 1.3, 2.7, 3.9, 7.0, -2.0]], dtype=dtype, requires_grad=True)
    counts = ilif(x)
    counts.sum().backward()
    assert counts.tolist() == [[0, 1, 1, 3, 4, 4, 0]]
    assert x.grad.tolist() == [[1, 1, 1, 1, 1, 0, 0]]
    assert x.grad.dtype == dtype


HALVES = [torch.bfloat16, torch.float16]


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("timesteps", [1, 2, 4])
@pytest.mark.parametrize("max_count", [4, 63])
@pytest.mark.parametrize("flavour", FLAVOURS[:2])
@pytest.mark.parametrize("with_state", [False, True])
def test_half_precision_input_gives_the_counts_and_potentials_of_float32(
    dtype, timesteps, max_count, flavour, with_state
):
    generator = torch.Generator().manual_seed(0)
    x = (torch.randn(timesteps, 20_000, generator=generator) * max_count).to(dtype)
    v = torch.randn(20_000, generator=generator) if with_state else None
    parameters = {"decay": flavour[0], "gain": flavour[1], "max_count": max_count}
    expected, expected_v = ilif_sequence(x.float(), v, **parameters)
    for needs_grad in (False, True):  # the path without a graph is another piece of code
        counts, last = ilif_sequence(x.clone().requires_grad_(needs_grad), v, **parameters)
        assert counts.dtype == dtype
        assert torch.equal(counts.float(), expected)
        assert last.dtype == torch.float32
        assert torch.equal(last, expected_v)
        if not with_state:
            assert torch.equal(ilif(x.clone().requires_grad_(needs_grad), **parameters).float(), expected)


@pytest.mark.parametrize("dtype", HALVES)
def test_gradients_of_half_precision_are_those_of_float32_rounded_once(dtype):
    generator = torch.Generator().manual_seed(0)
    x = (torch.randn(4, 500, generator=generator) * 3).to(dtype)
    v = torch.randn(500, generator=generator).to(dtype)
    upstream = torch.randn(4, 500, generator=generator).to(dtype)
    gradients = []
    for cast in (lambda t: t, lambda t: t.float()):
        xs, vs = cast(x).clone().requires_grad_(), cast(v).clone().requires_grad_()
        counts, _ = ilif_sequence(xs, vs, decay=0.5, gain=0.5)
        counts.backward(cast(upstream))
        gradients.append((xs.grad, vs.grad))
    (ours_x, ours_v), (expected_x, expected_v) = gradients
    assert ours_x.dtype == ours_v.dtype == dtype
    assert torch.equal(ours_x, expected_x.to(dtype))
    assert torch.equal(ours_v, expected_v.to(dtype))


@pytest.mark.parametrize("preset", ["t", "t-gen1"])
def test_no_count_of_a_network_under_autocast_differs_from_the_float32_potential(preset):
    # Each neuron is given what reaches it under autocast; in half precision some 1 % of the counts were others.
    network = lively(preset, dtype=torch.float32, timesteps=2, num_classes=2)
    different, total, dtypes = 0, 0, set()

    def compare(neuron, inputs, counts):
        nonlocal different, total
        assert counts.dtype == inputs[0].dtype
        dtypes.add(counts.dtype)
        expected = ilif(inputs[0].float(), neuron.decay, neuron.gain, neuron.max_count)
        different, total = different + int((counts != expected).sum()), total + counts.numel()

    for module in network.modules():
        if isinstance(module, ILIF):
            module.register_forward_hook(compare)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        network(torch.rand(2, 1, 3, 64, 64))
    assert total > 100_000
    assert different == 0
    assert dtypes == {torch.bfloat16, torch.float32}  # currents, and potentials that were added up along shortcuts


def kept_for_backward(x):
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        ilif(x)
    return kept


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("timesteps", [1, 4])
def test_backward_keeps_one_byte_an_element(timesteps, dtype):
    x = torch.randn(timesteps, 5, 7, dtype=dtype, requires_grad=True, device="meta")  # as on any device but CPUs
    assert sum(t.numel() * t.element_size() for t in kept_for_backward(x)) == x.numel()


def test_backward_of_one_step_on_cpus_keeps_the_input_itself():
    x = torch.randn(1, 5, 7, requires_grad=True)
    (kept,) = kept_for_backward(x)
    assert kept.data_ptr() == x.data_ptr()


def test_a_nan_is_not_hidden():
    assert ilif(torch.tensor([[float("nan"), 1.0]])).isnan().tolist() == [[True, False]]


@pytest.mark.parametrize(
    ("parameters", "word"),
    [
        ({"max_count": 0}, "max_count"),
        ({"max_count": 64}, "max_count"),
        ({"max_count": 2.5}, "max_count"),
        ({"max_count": True}, "max_count"),
        ({"decay": -0.1}, "decay"),
        ({"decay": float("nan")}, "decay"),
        ({"gain": 0.0}, "gain"),
        ({"gain": float("inf")}, "gain"),
        ({"decay": torch.nn.Parameter(torch.tensor(0.3))}, "decay: a tensor, which would get no gradient"),
        ({"gain": torch.tensor(1.0)}, "gain: a tensor"),
    ],
)
def test_parameters_out_of_range(parameters, word):
    with pytest.raises(ConfigError, match=word):
        ilif(torch.zeros(1, 2), **parameters)
    with pytest.raises(ConfigError, match=word):
        ILIF(**parameters)


def test_wrong_shapes():
    with pytest.raises(ShapeError, match="T >= 1"):
        ilif(torch.zeros(0, 2))
    with pytest.raises(ShapeError, match="floating point"):
        ilif(torch.zeros(2, 2, dtype=torch.int64))
    with pytest.raises(ShapeError, match="one step"):
        ilif_sequence(torch.zeros(2, 3), torch.zeros(2, 3))


def test_module_reads_and_writes_only_the_state_it_is_given():
    neuron = ILIF(max_count=2)
    neuron.name = "here"
    x = torch.full((1, 1, 1, 1, 1), 0.4)
    assert [neuron(x).item() for _ in range(3)] == [0, 0, 0]  # at rest each time
    state = NeuronState()
    assert [neuron(x, state).item() for _ in range(3)] == [0, 0, 1]  # 0.4, 0.5, 0.525
    assert state["here"].item() == pytest.approx(0.525 - 1)
    assert not list(neuron.state_dict())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.compile's own
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.long)])
def test_compiled_equals_eager(backend):
    if backend == "inductor":
        pytest.importorskip("torch._inductor")
        cpp = pytest.importorskip("torch._inductor.cpp_builder")
        try:
            cpp.get_cpp_compiler()
        except Exception as error:  # no compiler on this machine
            pytest.skip(f"inductor finds no compiler: {error}")
    compiled = torch.compile(lambda x, v: ilif_sequence(x, v, max_count=3), backend=backend, fullgraph=True)
    x, v = torch.randn(3, 4, 5) * 3, torch.randn(4, 5)
    results = []
    for function in (compiled, lambda x, v: ilif_sequence(x, v, max_count=3)):
        xs, vs = x.clone().requires_grad_(), v.clone().requires_grad_()
        counts, last = function(xs, vs)
        (counts.square().sum() + last.square().sum()).backward()
        results.append((counts, last, xs.grad, vs.grad))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_exported_equals_eager():
    x = torch.randn(3, 2, 4, 5, 5) * 3
    exported = torch.export.export(ILIF(0.5, 0.5, 4), (x,)).module()
    assert torch.equal(exported(x), ilif(x, 0.5, 0.5, 4))
