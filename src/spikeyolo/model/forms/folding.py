"""Folding: the trained units become plain convolutions with a bias, exactly, also at the image's border.

Why it is exact there: the published Rep convolutions pad with the value b that their inner norm gives to zero. So what
the depthwise convolution sees is (a * u padded with zeros) + b everywhere, and b alone contributes a constant per
channel, sum(kernel) * b, which moves into the last bias. Plain zero padding remains.

Two forms:
    separable   every batch norm folded, RepConv kept as 1x1 -> depthwise -> 1x1. The fast form on CPUs and GPUs.
    dense       one kxk convolution per RepConv and SepRepConv. About 1.7 times the multiply-accumulates of the
                separable form, but each convolution is fed by spike counts directly, so that on binary slots only
                additions remain: the form for spike-driven running, energy figures and hardware.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...spiking import ILIF, scale_in_use
from ..blocks import RepConv, SepRepConv, SpikingConv, border_value, use_channels_last
from ..leaks import fold_sums


def _scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """A batch norm by its running statistics is y = scale * x + shift; float64 (C,), (C,)."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    return scale, norm.bias.double() - norm.running_mean.double() * scale


def _convolution(like: nn.Conv2d, weight: Tensor, bias: Tensor | None, **changes: Any) -> nn.Conv2d:
    """A convolution with the geometry of another, or a changed one, and these float64 weights in its dtype."""
    geometry: dict[str, Any] = {"stride": like.stride, "padding": like.padding, "groups": like.groups, **changes}
    out_channels, group_channels, rows, columns = weight.shape
    conv = nn.Conv2d(
        group_channels * geometry["groups"],
        out_channels,
        (rows, columns),
        **geometry,
        bias=bias is not None,
        device=like.weight.device,
        dtype=like.weight.dtype,
    )
    with torch.no_grad():
        conv.weight.copy_(weight)
        if bias is not None and conv.bias is not None:
            conv.bias.copy_(bias)
    return conv


def _fold_norm(conv: nn.Conv2d, bias: Tensor, norm: nn.BatchNorm2d | None) -> nn.Conv2d:
    """The convolution with this float64 bias, followed by a norm, as one convolution."""
    weight = conv.weight.double()
    if norm is not None:
        scale, shift = _scale_and_shift(norm)
        weight, bias = weight * scale.view(-1, 1, 1, 1), bias * scale + shift
    return _convolution(conv, weight, bias)


def _separable_rep(conv: RepConv) -> list[nn.Conv2d]:
    scale, _ = _scale_and_shift(conv.inner_norm)
    border = _border(conv)
    constant = conv.project.weight.double().flatten(1) @ (border * _kernel_sums(conv.depthwise))
    return [
        _convolution(conv.expand, conv.expand.weight.double() * scale.view(-1, 1, 1, 1), None),
        _convolution(conv.depthwise, conv.depthwise.weight.double(), None),
        _fold_norm(conv.project, constant, conv.norm),
    ]


def _separable_sep_rep(conv: SepRepConv) -> list[nn.Conv2d]:
    scale, _ = _scale_and_shift(conv.inner_norm)
    pointwise = conv.pointwise.weight.double()
    constant = (pointwise.flatten(1) @ _border(conv)) * _kernel_sums(conv.depthwise)
    return [
        _convolution(conv.pointwise, pointwise * scale.view(1, -1, 1, 1), None),
        _convolution(conv.depthwise, conv.depthwise.weight.double(), constant),
    ]


def _border(conv: RepConv | SepRepConv) -> Tensor:
    return border_value(conv.inner_norm).double()


def _kernel_sums(conv: nn.Conv2d) -> Tensor:
    return conv.weight.double().sum((1, 2, 3))


def _separable(conv: nn.Module) -> list[nn.Conv2d]:
    """Plain zero-padded convolutions equal to `conv`; a bias only in the last."""
    match conv:
        case nn.Conv2d():
            return [conv]
        case RepConv():
            return _separable_rep(conv)
        case SepRepConv():
            return _separable_sep_rep(conv)
        case nn.Sequential():  # already separable
            return list(conv)  # type: ignore[arg-type]
    raise TypeError(f"cannot fold a {type(conv).__name__}")


def _compose(convs: list[nn.Conv2d]) -> nn.Conv2d:
    """One dense convolution equal to a chain of 1x1 and depthwise ones of which only the last has a bias."""
    if len(convs) == 1:
        return convs[0]
    kernel = convs[0].weight.double()  # (out, in, kh, kw) of the chain so far
    for conv in convs[1:]:
        weight = conv.weight.double()
        depthwise = conv.groups > 1
        # (channels, 1, kh, kw) * (channels, in, 1, 1), or a 1x1 that mixes the output channels.
        kernel = weight * kernel if depthwise else torch.einsum("om,mihw->oihw", weight.flatten(1), kernel)
    last = convs[-1]
    bias = None if last.bias is None else last.bias.double()
    padding = (kernel.shape[2] // 2, kernel.shape[3] // 2)
    return _convolution(last, kernel, bias, padding=padding, groups=1)


def _with_scale(conv: nn.Conv2d, neuron: ILIF) -> nn.Conv2d:
    """The convolution on spike counts that equals this one on counts times the neurons' scale, which it takes in."""
    if neuron.scale is None or neuron.folded:
        return conv
    neuron.folded = True
    scale = scale_in_use(neuron.scale).double()
    weight = conv.weight.double() * scale.view((-1, 1, 1, 1) if conv.groups > 1 else (1, -1, 1, 1))
    return _convolution(conv, weight, None if conv.bias is None else conv.bias.double())


@torch.no_grad()
def fold_unit(unit: SpikingConv, dense: bool) -> None:
    """Replaces a unit's convolution and norm, in place, by convolutions with a bias; its neurons stay.

    A learned scale of the neurons moves into the first convolution's weights; as threshold and reset it stays.

    Computed in float64 from the running statistics and stored in the weights' dtype.
    """
    convs = _separable(unit.conv)
    if isinstance(unit.neuron, ILIF):
        convs[0] = _with_scale(convs[0], unit.neuron)
    last = convs[-1]
    bias = last.weight.new_zeros(last.out_channels) if last.bias is None else last.bias
    norm = unit.norm
    assert norm is None or isinstance(norm, nn.BatchNorm2d)
    convs[-1] = _fold_norm(last, bias.double(), norm)
    if dense:
        unit.conv = _compose(convs)
    else:
        unit.conv = convs[0] if len(convs) == 1 else nn.Sequential(*convs)
    unit.norm = None


def fold_network(network: nn.Module, dense: bool) -> None:
    """Folds every unit of a network in place; see the module's docstring for the two forms."""
    fold_sums(network)
    for module in network.modules():
        if isinstance(module, SpikingConv):
            fold_unit(module, dense)
    use_channels_last(network)
