"""The blocks against the published ones, as trained and folded."""

import copy

import pytest
import torch
from tests.helpers.golden import golden_arrays
from torch import nn

from spikeyolo.interop.names import published_name
from spikeyolo.model.blocks import RepConv, SepRepConv, SpikingBlock, SpikingConv, batch_norm, sep_conv
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
