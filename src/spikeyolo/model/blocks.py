"""The blocks of SpikeYOLO, all made of one unit: neurons, a convolution on their counts, a batch norm.

Shape letters: T timesteps, B images, C channels, H rows, W columns. Between blocks flow membrane potentials
(T, B, C, H, W); shortcuts add potentials, never spikes. Source: Luo et al., ECCV 2024, section 3.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from ..spiking import ILIF, NeuronState
from ..spiking.equation import pass_within, widen
from ..spiking.normed import joins, norm_and_add, norm_less_border, watched
from .convolutions import DepthwiseConv

BATCH_NORM_EPS = 1e-3
BATCH_NORM_MOMENTUM = 0.03

MakeNeuron = Callable[[int], nn.Module]
"""Makes the layer of neurons before a convolution of so many input channels."""


def use_channels_last(network: nn.Module) -> None:
    """Lays the weights out channels last, and with them all that flows: about 1.5 times as fast on CPUs.

    Measured by `benchmarks/network.py`.
    """
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # its stubs do not know it


class BatchNorm(nn.BatchNorm2d):
    """A batch norm of fixed momentum, which so needs no count of its batches: files hold one, and it stays as it is."""

    def forward(self, x: Tensor) -> Tensor:
        assert self.momentum is not None
        statistics = self.running_mean, self.running_var
        return F.batch_norm(x, *statistics, self.weight, self.bias, self.training, self.momentum, self.eps)


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """A batch norm with the published eps and momentum."""
    return BatchNorm(channels, eps=BATCH_NORM_EPS, momentum=BATCH_NORM_MOMENTUM)


class _Clip(torch.autograd.Function):
    """x clipped to 0..max_count; its gradient, 1 at both ends, in one pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, max_count: int) -> Tensor:
        ctx.save_for_backward(x)
        ctx.max_count = max_count
        return x.clamp(0.0, float(max_count))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return pass_within(grad, x, ctx.max_count), None


class ClippedReLU(nn.Module):
    """The neuron of the ANN twin: x clipped to 0..max_count, without rounding and without memory."""

    def __init__(self, max_count: int):
        super().__init__()
        self.max_count = max_count

    def forward(self, x: Tensor, state: NeuronState | None = None) -> Tensor:
        """(T, B, C, H, W) -> the same shape; `state` is there for ILIF's sake and stays untouched."""
        if x.requires_grad and torch.is_grad_enabled() and not torch.compiler.is_exporting():
            return _Clip.apply(x, self.max_count)
        return x.clamp(0.0, float(self.max_count))


def pointwise_conv(in_channels: int, out_channels: int) -> nn.Conv2d:
    """A 1x1 convolution without bias."""
    return nn.Conv2d(in_channels, out_channels, 1, bias=False)


def border_value(norm: nn.BatchNorm2d) -> Tensor:
    """(C,) what a batch norm makes of a zero by its running statistics: the padding inside the Rep convolutions.

    A constant for the gradient, as in the published network.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)
    return norm.bias.detach() - norm.running_mean * scale


def less_border(norm: nn.BatchNorm2d, x: Tensor) -> tuple[Tensor, Tensor]:
    """What a norm makes of x (N, C, H, W), less its border value (C,), and that.

    Padding with the border value is padding this with zero, and adding what the border value alone gives afterwards.
    """
    if joins(norm, x) and x.numel() > x.shape[1]:
        return norm_less_border(norm, x)
    y = norm(x)
    border = border_value(norm).to(y.dtype)
    return y - border.view(-1, 1, 1), border


class RepConv(nn.Module):
    """1x1 (in -> in), batch norm, padding with the norm's value of zero, depthwise kxk, 1x1 (in -> out), batch norm.

    `folding.fold_unit` turns it into plain convolutions.

    Shape:
        (N, in, H, W) -> (N, out, H, W)
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3):
        super().__init__()
        self.expand = pointwise_conv(in_channels, in_channels)
        self.inner_norm = batch_norm(in_channels)
        self.depthwise = DepthwiseConv(in_channels, kernel_size)
        self.project = pointwise_conv(in_channels, out_channels)
        self.norm = batch_norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        y, border = less_border(self.inner_norm, self.expand(x))
        bias = border * self.depthwise.weight.sum((1, 2, 3))
        y = F.conv2d(y, self.depthwise.weight, bias, padding=self.depthwise.padding, groups=self.depthwise.groups)
        return self.norm(self.project(y))


class SepRepConv(nn.Module):
    """Batch norm, padding with the norm's value of zero, 1x1 (in -> out), depthwise kxk; no closing norm.

    Shape:
        (N, in, H, W) -> (N, out, H, W)
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3):
        super().__init__()
        self.inner_norm = batch_norm(in_channels)
        self.pointwise = pointwise_conv(in_channels, out_channels)
        self.depthwise = DepthwiseConv(out_channels, kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        y, border = less_border(self.inner_norm, x)
        bias = (self.pointwise.weight.flatten(1) @ border) * self.depthwise.weight.sum((1, 2, 3))
        y = self.pointwise(y)
        return F.conv2d(y, self.depthwise.weight, bias, padding=self.depthwise.padding, groups=self.depthwise.groups)


class SpikingConv(nn.Module):
    """The unit of the network: neurons fire, a convolution weighs their counts, a batch norm scales the result.

    Args:
        neuron: ILIF or ClippedReLU; None for the first convolution, which sees the image.
        conv: maps (N, in, H, W) to (N, out, H', W'): a convolution, RepConv or SepRepConv.
        norm: None in the last layers of the head, and after folding.

    Shape:
        x: (T, B, in, H, W) membrane potentials -> (T, B, out, H', W') input currents.
    """

    def __init__(self, neuron: nn.Module | None, conv: nn.Module, norm: nn.Module | None):
        super().__init__()
        self.neuron = neuron
        self.conv = conv
        self.norm = norm

    def forward(
        self,
        x: Tensor,
        state: NeuronState | None = None,
        norm: nn.BatchNorm2d | None = None,
        norm_later: bool = False,
    ) -> Tensor:
        """See the class; with `norm`, the unit before has left it to these neurons, and `norm_later` leaves the own."""
        if self.neuron is not None:
            x = self.neuron(x, state) if norm is None else self.neuron(x, state, norm)
        y = self.conv(x.flatten(0, 1))
        if self.norm is not None and not norm_later:
            y = self.norm(y)
        return y.unflatten(0, x.shape[:2])


def standard_conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    make_neuron: MakeNeuron | None,
    stride: int = 1,
    padding: int | None = None,
    bias: bool = False,
) -> SpikingConv:
    """A unit with an ordinary convolution; padding is kernel_size // 2 unless given."""
    padding = kernel_size // 2 if padding is None else padding
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=bias)
    return SpikingConv(make_neuron(in_channels) if make_neuron else None, conv, batch_norm(out_channels))


class Chain(nn.Sequential):
    """Layers one after the other, each given the neurons' state.

    Where a GPU trains, neurons apply the norm of the unit before them, as one operator; and with `shortcut`, what the
    chain receives is added to what it gives, as one operator with its last norm.
    """

    def forward(self, x: Tensor, state: NeuronState | None = None, shortcut: bool = False) -> Tensor:
        start, layers = x, list(self)
        norm: Any = None
        for layer, after in zip(layers, [*layers[1:], None], strict=True):
            left = shortcut if after is None else state is None and _leaves_norm(layer, x) and _takes_norm(after)
            x = layer(x, state, norm, left) if norm is not None or left else layer(x, state)
            norm = layer.norm if left else None
        return x if norm is None else norm_and_add(norm, x, start)


def _leaves_norm(unit: nn.Module, x: Tensor) -> bool:
    """Whether a unit, which receives x, can leave its norm to what comes after it."""
    return isinstance(unit, SpikingConv) and joins(unit.norm, x) and not watched(unit)


def _takes_norm(unit: nn.Module) -> bool:
    """Whether the neurons of a unit can apply the norm before them."""
    return isinstance(unit, SpikingConv) and type(unit.neuron) is ILIF and unit.neuron.takes_norm and not watched(unit)


def sep_conv(dim: int, make_neuron: MakeNeuron, ratio: int = 2, kernel_size: int = 7) -> Chain:
    """SepConv: 1x1 to ratio * dim, depthwise kxk, SepRepConv back to dim; each a unit with neurons and a norm."""
    hidden = ratio * dim
    return Chain(
        SpikingConv(make_neuron(dim), pointwise_conv(dim, hidden), batch_norm(hidden)),
        SpikingConv(make_neuron(hidden), DepthwiseConv(hidden, kernel_size), batch_norm(hidden)),
        SpikingConv(make_neuron(hidden), SepRepConv(hidden, dim), batch_norm(dim)),
    )


class SpikingBlock(nn.Module):
    """x + token mixer(x), then x + channel mixer(x).

    The published MS_AllConvBlock (`rep=False`: the channel mixer is two plain 3x3 convolutions) and MS_ConvBlock
    (`rep=True`: two RepConv, each with a further norm).

    Attributes:
        recompute: in training, keep nothing but the input for the backward pass, and run the block once more there.

    Shape:
        (T, B, dim, H, W) -> (T, B, dim, H, W)
    """

    def __init__(self, dim: int, ratio: int, make_neuron: MakeNeuron, rep: bool):
        super().__init__()
        self.recompute = False
        self.token_mixer = sep_conv(dim, make_neuron)

        def unit(in_channels: int, out_channels: int) -> SpikingConv:
            if rep:
                rep_conv = RepConv(in_channels, out_channels)
                return SpikingConv(make_neuron(in_channels), rep_conv, batch_norm(out_channels))
            return standard_conv(in_channels, out_channels, 3, make_neuron)

        self.channel_mixer = Chain(*(unit(*widths) for widths in pairwise((dim, ratio * dim, dim))))

    def forward(self, x: Tensor, state: NeuronState | None = None) -> Tensor:
        # A compiled graph would run it again with statistics that have moved by then, and with them the border values.
        again = self.recompute and state is None and not torch.compiler.is_compiling()
        if again and torch.is_grad_enabled():
            return checkpoint(self._mix, x, None, use_reentrant=False, context_fn=self._contexts)
        return self._mix(x, state)

    def _contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        """Of the first run, which updates the running statistics, and of the second, which must not."""
        return nullcontext(), _statistics_kept(self)

    def _mix(self, x: Tensor, state: NeuronState | None) -> Tensor:
        # A traced x is no tensor, and a meta device has no autocast.
        if isinstance(x, Tensor) and x.device.type != "meta" and torch.is_autocast_enabled(x.device.type):
            x = widen(x)  # potentials are added up in float32, as in the neurons
        for mixer in (self.token_mixer, self.channel_mixer):
            joined = _leaves_norm(mixer[-1], x) and not watched(mixer)
            x = mixer(x, state, True) if joined else x + mixer(x, state)
        return x


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """Inside, batch norms in training leave their running statistics, and how often they ran, as they are.

    Those of several GPUs, too: `nn.SyncBatchNorm` is no `nn.BatchNorm2d`, and needs something to count in.
    """
    kinds = nn.BatchNorm2d | nn.SyncBatchNorm
    norms = [part for part in block.modules() if isinstance(part, kinds) and part.training]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        counter = norm.num_batches_tracked if isinstance(norm, nn.SyncBatchNorm) else None
        norm.momentum, norm.num_batches_tracked = 0.0, None if counter is None else counter.clone()
    try:
        yield
    finally:
        for norm, (momentum, counter) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, counter


class SpikingSPPF(nn.Module):
    """Spatial pyramid pooling: 1x1 to half the channels, three chained max-pools, all four concatenated, 1x1.

    The pools act on membrane potentials, as published.

    Shape:
        (T, B, dim, H, W) -> (T, B, dim, H, W)
    """

    def __init__(self, dim: int, make_neuron: MakeNeuron, kernel_size: int = 5):
        super().__init__()
        self.reduce = standard_conv(dim, dim // 2, 1, make_neuron)
        self.pool = nn.MaxPool2d(kernel_size, stride=1, padding=kernel_size // 2)
        self.merge = standard_conv(4 * (dim // 2), dim, 1, make_neuron)

    def pyramid(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, 4C, H, W): x and what one, two and three pools make of it."""
        levels = [x]
        for _ in range(3):
            levels.append(self.pool(levels[-1]))
        return torch.cat(levels, dim=1)

    def forward(self, x: Tensor, state: NeuronState | None = None) -> Tensor:
        x = self.reduce(x, state)
        return self.merge(self.pyramid(x.flatten(0, 1)).unflatten(0, x.shape[:2]), state)


def upsample(x: Tensor) -> Tensor:
    """(T, B, C, H, W) -> (T, B, C, 2H, 2W), each potential repeated."""
    return F.interpolate(x.flatten(0, 1), scale_factor=2.0, mode="nearest").unflatten(0, x.shape[:2])


def concatenate(*parts: Tensor) -> Tensor:
    """Parts (T, B, C, H, W) one after the other by channels; as images, whose layout, channels last, PyTorch keeps."""
    return torch.cat([part.flatten(0, 1) for part in parts], dim=1).unflatten(0, parts[0].shape[:2])
