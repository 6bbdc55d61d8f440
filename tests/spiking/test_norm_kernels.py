"""Kernels of joined norms against `nn.BatchNorm2d` and the eager equation in float64, run by triton's interpreter."""

import importlib.util

import pytest
import torch
from torch import nn

from spikeyolo.spiking.equation import Neuron
from spikeyolo.spiking.ilif import fire
from spikeyolo.spiking.kernels import has_kernel  # noqa: F401 # the package, before what needs triton
from spikeyolo.spiking.normed import norm_and_add, norm_and_fire, norm_less_border

pytest.importorskip("triton", reason="triton is not installed")

import triton.language as tl

from spikeyolo.spiking.kernels import norm_operator, norm_passes, norm_triton
from spikeyolo.spiking.kernels.norm_operator import norm_add, norm_ilif, norm_ilif_backward

KERNELS = ("statistics_kernel", "join_kernel", "norm_kernel", "fire_kernel", "sums_kernel", "gradient_kernel")
PASSES = ("norm_ilif", "norm_ilif_backward", "norm_less_border", "norm_add")


@pytest.fixture(params=["kernels", "on CPUs"])
def how(request, monkeypatch):
    """The operators run their kernels in the interpreter, or what they run on CPUs."""
    if request.param == "on CPUs":
        return
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    spec = importlib.util.spec_from_file_location("interpreted_norms", norm_triton.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # Triton's own sum was compiled when triton was imported, before anyone asked for the interpreter.
    monkeypatch.setattr(tl, "sum", lambda values, axis: tl.reduce(values, axis, tl.standard._sum_combine))
    for name in KERNELS:
        monkeypatch.setattr(norm_passes, name, getattr(module, name))
    for name in PASSES:
        monkeypatch.setattr(norm_operator, name, getattr(norm_passes, f"run_{name}"))


def laid_out(x, layout):
    """(T, B, C, H, W) as networks have it, or in another order in memory."""
    match layout:
        case "channels last":
            return x.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, x.shape[:2])
        case "contiguous":
            return x.contiguous()
        case "columns first":
            return x.transpose(-1, -2).contiguous().transpose(-1, -2)
        case "repeated":
            return laid_out(x, "channels last")[:1].expand_as(x)


def make_norm(channels, seed=0):
    """A norm with numbers that differ by channel, and the same in float64."""
    generator = torch.Generator().manual_seed(seed)
    norm = nn.BatchNorm2d(channels, eps=1e-3, momentum=0.03)
    with torch.no_grad():
        norm.weight.copy_(torch.randn(channels, generator=generator))
        norm.bias.copy_(torch.randn(channels, generator=generator) + 1)
        norm.running_mean.copy_(torch.randn(channels, generator=generator))
        norm.running_var.copy_(torch.rand(channels, generator=generator) + 0.5)
    exact = nn.BatchNorm2d(channels, eps=1e-3, momentum=0.03).double()
    exact.load_state_dict({key: value.clone() for key, value in norm.state_dict().items()})
    return norm, exact


def normed(norm, x):
    return norm(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def close(found, expected, within=2e-5):
    assert (found.double() - expected).abs().max() <= within * max(1.0, expected.abs().max().item())


def check_moved(norm, exact):
    close(norm.running_mean, exact.running_mean, 1e-6)
    close(norm.running_var, exact.running_var, 1e-6)


def draw(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


SHAPES = [(1, 2, 3, 5, 7), (2, 3, 16, 6, 4), (4, 1, 70, 9, 2), (3, 2, 5, 1, 1), (1, 4, 1, 3, 8), (2, 1, 130, 23, 19)]


@pytest.mark.few(12)
@pytest.mark.parametrize("layout", ["channels last", "contiguous", "columns first"])
@pytest.mark.parametrize(("decay", "gain", "max_count"), [(0.25, 1.0, 4), (0.5, 0.5, 1)])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_norm_and_its_neurons(how, shape, decay, gain, max_count, layout):
    norm, exact = make_norm(shape[2])
    x = laid_out(3 * draw(*shape) + 0.5, layout).requires_grad_()
    twin = x.detach().double().requires_grad_()
    upstream = laid_out(draw(*shape, seed=2), layout)
    neuron = Neuron(decay, gain, max_count)
    counts = norm_and_fire(norm, x, neuron)
    expected, _ = fire(normed(exact, twin), None, None, neuron, keep_state=False)
    assert torch.equal(counts.double(), expected)
    assert counts.dtype == torch.float32
    if layout != "columns first":
        assert counts.is_contiguous() == x.is_contiguous()
    check_moved(norm, exact)
    found = torch.autograd.grad(counts, [x, norm.weight, norm.bias], upstream)
    for ours, theirs in zip(
        found, torch.autograd.grad(expected, [twin, exact.weight, exact.bias], upstream.double()), strict=True
    ):
        close(ours, theirs)


@pytest.mark.few(8)
@pytest.mark.parametrize("layout", ["channels last", "contiguous"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_norm_less_its_border_value(how, shape, layout):
    norm, exact = make_norm(shape[2])
    x = laid_out(draw(*shape) - 2, layout).flatten(0, 1).requires_grad_()
    twin = x.detach().double().requires_grad_()
    upstream = laid_out(draw(*shape, seed=2), layout).flatten(0, 1)
    y, border = norm_less_border(norm, x)
    full = exact(twin)
    # What the norm would make of a zero in evaluation, after the running statistics have moved.
    zero = copy_in_evaluation(exact)(torch.zeros(1, shape[2], 1, 1, dtype=torch.double)).flatten().detach()
    close(border, zero)
    close(y, full - zero.view(-1, 1, 1))
    check_moved(norm, exact)
    assert not border.requires_grad
    found = torch.autograd.grad(y, [x, norm.weight, norm.bias], upstream)
    for ours, theirs in zip(
        found, torch.autograd.grad(full, [twin, exact.weight, exact.bias], upstream.double()), strict=True
    ):
        close(ours, theirs)


def copy_in_evaluation(norm):
    twin = nn.BatchNorm2d(norm.num_features, norm.eps).double().eval()
    twin.load_state_dict(norm.state_dict())
    return twin


@pytest.mark.few(12)
@pytest.mark.parametrize("of_shortcut", ["channels last", "contiguous", "columns first", "repeated"])
@pytest.mark.parametrize("layout", ["channels last", "contiguous"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_norm_and_a_shortcut(how, shape, layout, of_shortcut):
    norm, exact = make_norm(shape[2])
    x = laid_out(2 * draw(*shape) + 1, layout).requires_grad_()
    shortcut = laid_out(draw(*shape, seed=3), of_shortcut).requires_grad_()
    twin = x.detach().double().requires_grad_()
    upstream = laid_out(draw(*shape, seed=2), layout)
    y = norm_and_add(norm, x, shortcut)
    expected = normed(exact, twin)
    close(y, (expected + shortcut.double()).detach())
    check_moved(norm, exact)
    *found, passed = torch.autograd.grad(y, [x, norm.weight, norm.bias, shortcut], upstream)
    assert torch.equal(passed, upstream)
    for ours, theirs in zip(
        found, torch.autograd.grad(expected, [twin, exact.weight, exact.bias], upstream.double()), strict=True
    ):
        close(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_rounded_where_it_is_stored_and_nowhere_else(how, dtype):
    """Counts are those of the exact potentials of the rounded inputs, as if the norm's result had not been rounded."""
    shape, epsilon = (4, 2, 8, 6, 5), torch.finfo(dtype).eps
    x, upstream = (3 * draw(*shape, seed=seed).to(dtype) for seed in (1, 2))
    x, twin = laid_out(x, "channels last").requires_grad_(), x.double().requires_grad_()
    norm, exact = make_norm(8)
    counts = norm_and_fire(norm, x, Neuron())
    expected, _ = fire(normed(exact, twin), None, None, Neuron(), keep_state=False)
    assert counts.dtype == dtype
    assert torch.equal(counts.double(), expected)
    found = torch.autograd.grad(counts, [x, norm.weight], upstream)
    for ours, theirs in zip(found, torch.autograd.grad(expected, [twin, exact.weight], upstream.double()), strict=True):
        close(ours, theirs, epsilon)
    assert found[0].dtype == dtype
    for wide in (dtype, torch.float32):
        norm, exact = make_norm(8)
        shortcut = draw(*shape, seed=3).to(wide)
        y = norm_and_add(norm, x, shortcut)
        assert y.dtype == wide
        close(y, (normed(exact, twin) + shortcut.double()).detach(), epsilon)
        norm, exact = make_norm(8)
        y, border = norm_less_border(norm, x.flatten(0, 1))
        assert (y.dtype, border.dtype) == (dtype, torch.float32)
        close(y, (exact(twin.flatten(0, 1)) - border.double().view(-1, 1, 1)).detach(), epsilon)


def test_statistics_of_values_far_from_zero_and_of_many_parts(how):
    """A sum of squares alone would have lost the variance: 1000**2 is 2**20, of the 24 bits of a float32."""
    norm, exact = make_norm(3)
    x = laid_out(1000 + draw(1, 2, 3, 131, 127), "channels last")
    assert norm_passes.parts_of(2 * 131 * 127) == norm_passes.MOST_PARTS
    y = norm_and_add(norm, x, torch.zeros_like(x))
    close(y, normed(exact, x.double()).detach(), 1e-3)
    close(norm.running_var, exact.running_var, 1e-5)
    close(norm.running_mean, exact.running_mean, 5e-6)


def test_a_nan_goes_on_and_passes_no_gradient(how):
    norm, _ = make_norm(2)
    x = draw(1, 2, 2, 3, 3)
    x[0, 0, 1, 1, 1] = torch.nan
    counts = norm_and_fire(norm, x, Neuron())
    assert not counts[:, :, 0].isnan().any()
    assert counts[:, :, 1].isnan().all()
    assert norm.running_mean.isnan().tolist() == [False, True]


def statistics(channels):
    return torch.zeros(channels), torch.ones(channels), 0.03, 1e-3


@pytest.mark.parametrize("layout", ["channels last", "contiguous", "columns first"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_operators_are_what_torch_expects(layout, dtype):
    x = laid_out(draw(2, 2, 3, 4, 5).to(dtype), layout)
    images, one = x.flatten(0, 1), torch.ones(3)
    how = 2, 0.25, 1.0
    torch.library.opcheck(norm_ilif, (images, one, one.clone(), *statistics(3), *how, 4))
    counts, mask, mean, rstd = norm_ilif(images, one, one.clone(), *statistics(3), *how, 4)
    torch.library.opcheck(norm_ilif_backward, (counts, mask, images, one, mean, rstd, *how))
    torch.library.opcheck(norm_operator.norm_less_border, (images, one, one.clone(), *statistics(3)))
    torch.library.opcheck(norm_add, (images, x.float(), one, one.clone(), *statistics(3)))


FLOATS = ("mean", "rstd", "weight", "bias", "running_mean", "running_var", "border", "means", "squares", "sums")
NUMBERS = ("decay", "gain", "top", "momentum", "eps")
FLAGS = {"has_border", "less_border", "most", "rows", "columns"}


@pytest.mark.few(8)
@pytest.mark.parametrize("ones", [False, True])
@pytest.mark.parametrize(("capability", "dtype"), [(75, "fp16"), (80, "fp32"), (90, "bf16")])
@pytest.mark.parametrize("name", KERNELS)
def test_kernels_compile_for_gpus_without_contracted_products(name, capability, dtype, ones, tmp_path, monkeypatch):
    """Triton needs no GPU for that. Sizes of 1, and strides of channels last, are constants where it compiles."""
    compiler = pytest.importorskip("triton.compiler")
    target = pytest.importorskip("triton.backends.compiler").GPUTarget("cuda", capability, 32)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernel = getattr(norm_triton, name)
    kinds = {"mask": "*i1", **dict.fromkeys(("total", "product", "products", *FLOATS), "*fp32")}
    kinds |= {**dict.fromkeys(("x", "y", "other", "counts", "grad_counts", "grad_x"), f"*{dtype}")}
    kinds |= dict.fromkeys(NUMBERS, "fp32") | dict.fromkeys(FLAGS, "constexpr")
    signature = {argument: kinds.get(argument, "i32") for argument in kernel.arg_names}
    flags = {"has_border": not ones, "less_border": ones, "most": 256, "rows": 16, "columns": 64}
    constants = {argument: value for argument, value in flags.items() if argument in kernel.arg_names}
    if ones:
        constants |= dict.fromkeys({"positions", "channel", "timesteps", "parts"} & signature.keys(), 1)
        signature |= dict.fromkeys(constants, "constexpr")
    source = compiler.ASTSource(fn=kernel, signature=signature, constexprs=constants)
    made = compiler.compile(source, target=target, options={"enable_fp_fusion": False}).asm["ptx"]
    assert ("0f4B400000" in made) == (name == "fire_kernel")  # 1.5 * 2**23, which rounds
    if name == "fire_kernel":
        assert "fma" not in made
