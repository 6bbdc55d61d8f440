"""The neck: features of the three levels exchanged from the top down and from the bottom up."""

from __future__ import annotations

from torch import Tensor, nn

from ..spiking import NeuronState
from .blocks import SpikingBlock, concatenate, standard_conv, upsample
from .presets import NetworkConfig


class Neck(nn.Module):
    """Top-down, then bottom-up path over the backbone's three levels; joins by concatenating membrane potentials.

    Shape:
        P3, P4, P5 (T, B, channels, ...) -> three of the same sizes, with `out_channels` channels.
    """

    def __init__(self, config: NetworkConfig):
        super().__init__()
        _, c2, c3, c4 = config.channels
        make = config.make_neuron
        self.reduce5 = standard_conv(c4, c3, 1, make)
        self.top_down4 = SpikingBlock(c3, 3, make, rep=True)
        self.reduce4 = standard_conv(2 * c3, c2, 1, make)
        self.top_down3 = SpikingBlock(c2, 4, make, rep=False)
        self.reduce3 = standard_conv(2 * c2, c2, 1, make)
        self.out3 = SpikingBlock(c2, 4, make, rep=False)
        self.down3 = standard_conv(c2, c2, 3, make, stride=2)
        self.out4 = SpikingBlock(2 * c2, 3, make, rep=True)
        self.down4 = standard_conv(2 * c2, c3, 3, make, stride=2)
        self.out5 = SpikingBlock(2 * c3, config.last_ratio, make, rep=True)
        self.out_channels = (c2, 2 * c2, 2 * c3)

    def forward(
        self, p3: Tensor, p4: Tensor, p5: Tensor, state: NeuronState | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        top = self.reduce5(p5, state)
        x = self.top_down4(upsample(top), state)
        middle = self.reduce4(concatenate(x, p4), state)
        x = self.top_down3(upsample(middle), state)
        out3 = self.out3(self.reduce3(concatenate(x, p3), state), state)
        out4 = self.out4(concatenate(self.down3(out3, state), middle), state)
        out5 = self.out5(concatenate(self.down4(out4, state), top), state)
        return out3, out4, out5
