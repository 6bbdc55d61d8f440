"""The blocks against the published ones, as trained and folded."""

import copy

import pytest
import torch
from tests.helpers.golden import golden_arrays
from torch import nn
from torch.nn import functional as F

from spikeyolo.interop.names import published_name
from spikeyolo.model.blocks import (
    ClippedReLU,
    RepConv,
    SepRepConv,
    SpikingBlock,
    SpikingConv,
    batch_norm,
    sep_conv,
)
from spikeyolo.model.convolutions import DepthwiseConv
from spikeyolo.model.forms.folding import fold_network
from spikeyolo.model.presets import PRESETS
from spikeyolo.spiking import ILIF

# Each golden block, and where such a block stands in our network: its keys are translated as if it stood there.
BLOCKS = {
    "rep": (lambda: RepConv(6, 10), "neck.out4.channel_mixer.0.conv"),
    "seprep": (lambda: SepRepConv(8, 4), "neck.out4.token_mixer.2.conv"),
    "sep": (lambda: sep_conv(6, lambda _: ILIF()), "neck.out4.token_mixer"),
    "ms_conv": (lambda: SpikingBlock(6, 3, lambda _: ILIF(), rep=True), "neck.out4"),
    "ms_all": (lambda: SpikingBlock(6, 2, lambda _: ILIF(), rep=False), "neck.out3"),
}
PREFIX = {
    "rep": "model.22.conv1.",
    "seprep": "model.22.Conv.pwconv3.",
    "sep": "model.22.Conv.",
    "ms_conv": "model.22.",
    "ms_all": "model.19.",
}


def golden_block(name):
    arrays = {k: torch.tensor(v) for k, v in golden_arrays("components/blocks.npz").items()}
    make, place = BLOCKS[name]
    block = make()
    state = {}
    for key in block.state_dict():
        published = published_name(f"{place}.{key}", PRESETS["s"]).removeprefix(PREFIX[name])
        state[key] = arrays.pop(f"{name}.{published}")
    assert not [key for key in arrays if key.startswith(f"{name}.")]  # every published key was used
    block.load_state_dict(state)
    return block.eval(), arrays[f"{name}_in"], arrays[f"{name}_out"]


def relative(ours, theirs):
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


@pytest.mark.parametrize("size", [3, 5, 7, 9, 11])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("sides", [(6, 9), (2, 1)])
def test_depthwise_gradients_equal_those_of_the_plain_convolution(size, layout, sides):
    conv = DepthwiseConv(5, size).double().to(memory_format=layout)
    x = torch.randn(2, 5, *sides, dtype=torch.double).to(memory_format=layout).requires_grad_()
    upstream = torch.randn(2, 5, *sides, dtype=torch.double)
    outputs = conv(x), F.conv2d(x, conv.weight, padding=size // 2, groups=5)
    ours, plain = (torch.autograd.grad(y, (x, conv.weight), upstream) for y in outputs)
    assert torch.equal(*outputs)
    for a, b in zip(ours, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
    assert ours[1].stride() == conv.weight.stride()


def test_depthwise_gives_only_the_gradients_asked_for():
    conv = DepthwiseConv(3, 7)
    conv(torch.rand(1, 3, 4, 4)).sum().backward()  # of an input that learns nothing
    assert conv.weight.grad is not None
    conv.weight.requires_grad_(False)
    x = torch.rand(1, 3, 4, 4, requires_grad=True)
    conv(x).sum().backward()
    assert x.grad is not None


def error_of(found, exact):
    return ((found.double() - exact).abs().max() / exact.abs().max()).item()


def test_under_autocast_gradients_are_those_of_the_same_numbers_in_double():
    conv, x = DepthwiseConv(5, 7), torch.randn(2, 5, 8, 9).requires_grad_()
    upstream = torch.randn(2, conv.out_channels, 8, 9).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        y, plain = conv(x), F.conv2d(x, conv.weight, padding=conv.padding, groups=conv.groups)
    assert y.dtype == torch.bfloat16
    assert type(y.grad_fn).__name__.endswith("OnCPUBackward")
    ours = torch.autograd.grad(y, (x, conv.weight), upstream)
    exact_x, exact_weight = (v.detach().bfloat16().double().requires_grad_() for v in (x, conv.weight))
    exact = F.conv2d(exact_x, exact_weight, padding=conv.padding, groups=conv.groups)
    expected = torch.autograd.grad(exact, (exact_x, exact_weight), upstream.double())
    theirs = torch.autograd.grad(plain, (x, conv.weight), upstream)
    for a, b, other in zip((y, *ours), (exact, *expected), (plain, *theirs), strict=True):
        # Two roundings to bfloat16; PyTorch rounds more often on processors that do not know that type.
        assert error_of(a, b) <= max(2**-7, error_of(other, b))
    assert [v.dtype for v in ours] == [torch.float32, torch.float32]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("rep", [False, True])
def test_under_autocast_potentials_add_up_unrounded(rep, training):
    block = SpikingBlock(4, 2, lambda _: ILIF(), rep).train(training)
    for mixer in (block.token_mixer, block.channel_mixer):
        nn.init.zeros_(mixer[-1].norm.weight)
        nn.init.constant_(mixer[-1].norm.bias, 2.0**-10)
    x = 1 + torch.arange(2 * 4 * 25).view(1, 2, 4, 5, 5) * 2.0**-12
    with torch.autocast("cpu", torch.bfloat16):
        y = block(x)
    assert y.dtype == torch.float32
    assert torch.equal(y, x + 2 * 2.0**-10)
    with torch.autocast("cpu", torch.bfloat16):
        assert block(x.bfloat16()).dtype == torch.float32


def test_clipped_relu_has_gradient_one_at_both_ends():
    x = torch.tensor([-1.0, 0.0, 2.5, 4.0, 4.5], requires_grad=True)
    y = ClippedReLU(4)(x)
    y.backward(torch.full_like(y, 2.0))
    assert y.tolist() == [0.0, 0.0, 2.5, 4.0, 4.0]
    assert x.grad.tolist() == [0.0, 2.0, 2.0, 2.0, 0.0]


@pytest.mark.parametrize("name", BLOCKS)
def test_golden(name):
    block, x, expected = golden_block(name)
    with torch.no_grad():
        assert relative(block(x), expected) <= 1e-5


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("name", BLOCKS)
def test_folded_equals_golden_to_the_border(name, dense):
    block, x, expected = golden_block(name)
    if name in ("rep", "seprep"):  # as the unit of a network that has no neuron and no norm
        block, x, expected = SpikingConv(None, block, None), x[None], expected[None]
    holder = nn.ModuleList([copy.deepcopy(block)])
    fold_network(holder, dense)
    assert not [m for m in holder.modules() if isinstance(m, nn.BatchNorm2d | RepConv | SepRepConv)]
    with torch.no_grad():
        ours = holder[0](x)
    assert relative(ours, expected) <= 1e-4
    for edge in (ours[..., 0, :], ours[..., -1, :], ours[..., 0], ours[..., -1]):
        assert edge.isfinite().all()
    border = torch.ones(expected.shape[-2:], dtype=torch.bool)
    border[1:-1, 1:-1] = False
    assert relative(ours[..., border], expected[..., border]) <= 1e-4


def test_plain_zero_padding_without_the_constant_would_be_wrong():
    """The golden border test can fail: the constant it relies on is not small."""
    block, x, expected = golden_block("rep")
    block.inner_norm.bias.data += 1.0
    with torch.no_grad():
        assert relative(block(x), expected) > 1e-2


@pytest.mark.parametrize("dense", [False, True])
def test_folding_a_unit_with_strides_bias_and_groups(dense):
    torch.manual_seed(0)
    convs = [
        nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=True),
        nn.Conv2d(4, 4, 7, padding=3, groups=4, bias=False),
        nn.Conv2d(4, 5, 7, stride=4, padding=2),
    ]
    for conv in convs:
        norm = batch_norm(conv.out_channels)
        with torch.no_grad():
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
            norm.weight.normal_()
            norm.bias.normal_()
        unit = SpikingConv(None, conv, norm).double().eval()
        x = torch.randn(1, 2, 4, 32, 32, dtype=torch.float64)
        expected = unit(x)
        fold_network(nn.ModuleList([unit]), dense)
        torch.testing.assert_close(unit(x), expected, rtol=1e-12, atol=1e-12)
        assert unit.norm is None
        assert unit.conv.groups == conv.groups  # a depthwise convolution stays depthwise


def test_dense_after_separable_equals_dense():
    block, x, _ = golden_block("ms_conv")
    both = []
    for steps in ([True], [False, True]):
        holder = nn.ModuleList([copy.deepcopy(block).double()])
        for dense in steps:
            fold_network(holder, dense)
        both.append(holder[0](x.double()))
    torch.testing.assert_close(*both, rtol=1e-12, atol=1e-12)
