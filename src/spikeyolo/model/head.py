"""The detection head: for each level one branch for boxes and one for classes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..placement import REG_MAX, STRIDES
from ..spiking import NeuronState
from .blocks import Chain, MakeNeuron, SpikingConv, standard_conv


def _over_time(x: Tensor) -> Tensor:
    """The mean over T, (T, B, C, H, W) -> (B, C, H, W), which lies channels last: with five axes PyTorch loses that."""
    return x.movedim(2, -1).mean(0).movedim(-1, 1)


class DetectHead(nn.Module):
    """Per level one branch for boxes and one for classes; returns logits, averaged over T, and nothing else.

    Shape:
        three levels (T, B, channels, H, W) -> three (B, 4 * REG_MAX + num_classes, H, W): first the box
        distributions (left, top, right, bottom; REG_MAX bins each), then the classes.
    """

    def __init__(self, in_channels: Sequence[int], num_classes: int, make_neuron: MakeNeuron):
        super().__init__()
        box_width = max(16, in_channels[0] // 4, 4 * REG_MAX)
        class_width = max(in_channels[0], min(num_classes, 100))

        def branch(channels: int, width: int, out_channels: int, bias: float) -> Chain:
            last = nn.Conv2d(width, out_channels, 1)
            nn.init.constant_(last.bias, bias)  # type: ignore[arg-type]
            return Chain(
                standard_conv(channels, width, 3, make_neuron),
                standard_conv(width, width, 3, make_neuron),
                SpikingConv(make_neuron(width), last, None),
            )

        # Classes start as if a 640-pixel image held 5 objects, so that the first losses are not all background.
        priors = [math.log(5 / num_classes / (640 / stride) ** 2) for stride in STRIDES]
        self.box = nn.ModuleList(branch(channels, box_width, 4 * REG_MAX, 1.0) for channels in in_channels)
        self.classes = nn.ModuleList(
            branch(channels, class_width, num_classes, prior)
            for channels, prior in zip(in_channels, priors, strict=True)
        )

    def forward(self, levels: Sequence[Tensor], state: NeuronState | None = None) -> tuple[Tensor, ...]:
        return tuple(
            torch.cat([_over_time(box(x, state)), _over_time(classes(x, state))], dim=1)
            for x, box, classes in zip(levels, self.box, self.classes, strict=True)
        )

    def by_timestep(self, levels: Sequence[Tensor], state: NeuronState | None = None) -> tuple[Tensor, ...]:
        """Return the logits of each timestep, three levels (T, B, 4 * REG_MAX + num_classes, H, W)."""
        return tuple(
            torch.cat([box(x, state), classes(x, state)], dim=2)
            for x, box, classes in zip(levels, self.box, self.classes, strict=True)
        )
