"""The kernels against the eager equation, run by triton's interpreter, and the operator as torch sees it."""

import importlib.util

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeyolo.spiking.equation import Neuron
from spikeyolo.spiking.ilif import fire
from spikeyolo.spiking.kernels import has_kernel, kernel_works

pytest.importorskip("triton", reason="triton is not installed")

from spikeyolo.spiking.kernels import ilif_operator, ilif_triton
from spikeyolo.spiking.kernels.ilif_operator import ilif, run_backward, run_forward

FLAVOURS = [(0.25, 1.0), (0.5, 0.5), (0.3, 0.7)]


@pytest.fixture(scope="module")
def interpreted():
    """The operator's passes launch their kernels in the interpreter."""
    patch = pytest.MonkeyPatch()
    patch.setenv("TRITON_INTERPRET", "1")
    spec = importlib.util.spec_from_file_location("interpreted_kernels", ilif_triton.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("forward_kernel", "backward_kernel"):
        patch.setattr(ilif_operator, name, getattr(module, name))
    yield
    patch.undo()


def laid_out(x, layout):
    """The same values in another order in memory."""
    match layout:
        case "channels last":
            order = (0, 1, 3, 4, 2)
        case "time inside":
            order = (1, 0, 2, 3, 4)
        case "with holes":
            return torch.stack([x, x], dim=-1)[..., 0]
        case "contiguous":
            order = (0, 1, 2, 3, 4)
    inverse = sorted(range(5), key=order.__getitem__)
    return x.permute(order).contiguous().permute(inverse)


def eager(x, v, neuron, upstream, upstream_v):
    x, v = x.detach().requires_grad_(), None if v is None else v.detach().requires_grad_()
    counts, last = fire(x, v, None, neuron, keep_state=True)
    outputs = [counts] if upstream_v is None else [counts, last]
    grads = [upstream] if upstream_v is None else [upstream, upstream_v]
    inputs = [x] if v is None else [x, v]
    found = torch.autograd.grad(outputs, inputs, grads)
    return counts.detach(), last.detach(), found[0], found[1] if v is not None else None


def check(x, v, neuron, upstream, upstream_v):
    expected = eager(x, v, neuron, upstream, upstream_v)
    how = neuron.decay, neuron.gain
    counts, last, mask = run_forward(x, v, *how, neuron.max_count, True, True)
    grad_x, grad_v = run_backward(upstream, upstream_v, mask, *how, v is not None)
    assert counts.dtype == grad_x.dtype == x.dtype
    assert last.dtype == torch.float32
    assert torch.equal(counts, expected[0])
    assert torch.equal(last, expected[1])
    if x.dtype == torch.bfloat16:  # the interpreter cuts float32 off where it would be rounded
        torch.testing.assert_close(grad_x, expected[2], rtol=2**-7, atol=0)
    else:
        assert torch.equal(grad_x, expected[2])
    if v is not None:
        assert torch.equal(grad_v, expected[3])
    return counts


@pytest.mark.parametrize("layout", ["contiguous", "channels last", "time inside", "with holes"])
@pytest.mark.parametrize(("decay", "gain"), FLAVOURS)
@pytest.mark.parametrize("max_count", [1, 4, 15])
@pytest.mark.parametrize("timesteps", [1, 2, 4, 8])
def test_kernels_equal_the_eager_equation_bit_for_bit(interpreted, timesteps, max_count, decay, gain, layout):
    shape = (timesteps, 2, 3, 5, 7)
    x = laid_out(torch.randn(shape) * max_count, layout)
    neuron = Neuron(decay, gain, max_count)
    upstream, upstream_v = torch.randn(shape), torch.randn(shape[1:])
    counts = check(x, None, neuron, laid_out(upstream, layout), None)
    if layout != "with holes":
        assert counts.stride() == x.stride()
    v = laid_out(torch.randn(shape) * 2, layout)[0]
    check(x, v, neuron, upstream, upstream_v)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("decay", "gain"), FLAVOURS)
def test_half_precision_is_that_of_the_eager_equation(interpreted, dtype, decay, gain):
    x, upstream = (torch.randn(4, 300, dtype=dtype) * 3 for _ in range(2))
    check(x, torch.randn(300), Neuron(decay, gain, 4), upstream, torch.randn(300))


@settings(max_examples=30, deadline=None)
@given(
    currents=st.lists(st.floats(-9, 20, width=32, allow_subnormal=False), min_size=1, max_size=12),
    timesteps=st.integers(1, 4),
    max_count=st.integers(1, 63),
)
def test_currents_of_all_kinds(interpreted, currents, timesteps, max_count):
    x = torch.tensor(currents).repeat(timesteps, 1)
    # Halves are where rounding decides, and both ends where the gradient does.
    x = torch.cat([x, x.round() + 0.5, torch.full_like(x, max_count), torch.zeros_like(x)], dim=1)
    check(x, None, Neuron(0.25, 1.0, max_count), torch.ones_like(x), torch.ones_like(x[0]))


def test_more_elements_than_a_block_and_none(interpreted):
    x = torch.randn(2, 3 * ilif_triton.BLOCK + 17)
    check(x, None, Neuron(), torch.randn_like(x), None)
    counts, last, mask = run_forward(torch.empty(3, 0), None, 0.25, 1.0, 4, True, True)
    assert counts.shape == mask.shape == (3, 0)
    assert last.shape == (0,)


def test_a_nan_goes_on_and_passes_no_gradient(interpreted):
    x = torch.tensor([[torch.nan, 1.0], [1.0, 1.0]])
    counts, last, mask = run_forward(x, None, 0.25, 1.0, 4, True, True)
    assert counts.isnan().tolist() == [[True, False], [True, False]]
    assert last.isnan().tolist() == [True, False]
    assert mask.tolist() == [[False, True], [False, True]]


def test_nothing_is_kept_that_is_not_asked_for(interpreted):
    x = torch.randn(2, 9)
    counts, last, mask = run_forward(x, None, 0.25, 1.0, 4, False, False)
    assert torch.equal(counts, fire(x, None, None, Neuron(), keep_state=False)[0])
    assert last.numel() == mask.numel() == 0


def samples():
    for layout in ("contiguous", "channels last", "time inside", "with holes"):
        x = laid_out(torch.randn(3, 2, 3, 4, 5), layout).detach().requires_grad_()
        yield x, None, 0.25, 1.0, 4, False, True
        yield x, x.detach()[0].contiguous().requires_grad_(), 0.5, 0.5, 4, True, True
    yield torch.randn(1, 6, dtype=torch.bfloat16), None, 0.25, 1.0, 15, True, False


@pytest.mark.parametrize(
    "arguments", list(samples()), ids=lambda given: f"{tuple(given[0].stride())}-{given[1] is not None}"
)
def test_the_operator_is_what_torch_expects(arguments):
    torch.library.opcheck(ilif, arguments)


def test_the_operator_without_its_mask_has_no_gradient():
    x = torch.randn(2, 3, requires_grad=True)
    with pytest.raises(RuntimeError, match="keep_mask"):
        ilif(x, None, 0.25, 1.0, 4, False, False)


def test_a_kernel_that_cannot_be_built_is_one_warning_and_no_error(monkeypatch):
    def fails(*_):
        raise RuntimeError("Failed to find C compiler\nand more")

    monkeypatch.setattr("spikeyolo.spiking.kernels.ilif_operator.ilif", fails)
    kernel_works.cache_clear()
    with pytest.warns(UserWarning, match=r"plain operators.*\(Failed to find C compiler\)"):
        assert not kernel_works(torch.device("cpu"))
    assert not kernel_works(torch.device("cpu"))  # and not again
    kernel_works.cache_clear()
    monkeypatch.undo()
    assert kernel_works(torch.device("cpu"))  # where the operator runs the equation


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, True),
        ({"dtype": torch.bfloat16}, True),
        ({"dtype": torch.float64}, False),
        ({"v": torch.float64}, False),
        ({"scale": torch.ones(1)}, False),
        ({"width": 0.5}, False),
        ({"cuda": False}, False),
    ],
)
def test_which_neurons_have_a_kernel(monkeypatch, given, expected):
    monkeypatch.setattr("spikeyolo.spiking.kernels.kernel_works", lambda device: True)

    class OnGPU(torch.Tensor):
        is_cuda = given.get("cuda", True)

    x = torch.zeros(2, 3, dtype=given.get("dtype", torch.float32)).as_subclass(OnGPU)
    v = torch.zeros(3, dtype=given["v"]) if "v" in given else None
    assert has_kernel(x, v, given.get("scale"), Neuron(surrogate_width=given.get("width", 0.0))) == expected


@pytest.mark.parametrize(("capability", "dtype"), [(75, "fp16"), (80, "fp32"), (90, "bf16")])
def test_kernels_compile_for_gpus_without_contracted_products(capability, dtype, tmp_path, monkeypatch):
    """Triton needs no GPU for that; a product and a sum in one instruction would be rounded once, not twice."""
    compiler = pytest.importorskip("triton.compiler")
    target = pytest.importorskip("triton.backends.compiler").GPUTarget("cuda", capability, 32)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    sizes = dict.fromkeys(("elements", "inner", "timesteps"), "i64")
    numbers = dict.fromkeys(("decay", "gain", "top"), "fp32")
    tensors = {
        ilif_triton.forward_kernel: {"x": dtype, "v": "fp32", "counts": dtype, "v_last": "fp32", "mask": "i1"},
        ilif_triton.backward_kernel: {
            **{"grad_counts": dtype, "grad_v_last": "fp32", "mask": "i1", "grad_x": dtype, "grad_v": "fp32"},
        },
    }
    for kernel, kinds in tensors.items():
        flags = [name for name in kernel.arg_names if name not in {**kinds, **sizes, **numbers}]
        signature = {name: f"*{kind}" for name, kind in kinds.items()} | sizes | numbers
        signature = {name: signature.get(name, "constexpr") for name in kernel.arg_names}
        constants = {name: ilif_triton.BLOCK if name == "block" else True for name in flags}
        source = compiler.ASTSource(fn=kernel, signature=signature, constexprs=constants)
        made = compiler.compile(source, target=target, options={"enable_fp_fusion": False}).asm["ptx"]
        assert "fma" not in made
        assert ("0f4B400000" in made) == (kernel is ilif_triton.forward_kernel)  # 1.5 * 2**23, which rounds
