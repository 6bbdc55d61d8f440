"""The backbone: a stem and four stages of spiking blocks, then spatial pyramid pooling."""

from __future__ import annotations

from torch import Tensor, nn

from ..spiking import NeuronState
from .blocks import Chain, SpikingBlock, SpikingSPPF, standard_conv
from .leaks import LeakySums
from .presets import NetworkConfig


class Backbone(nn.Module):
    """Four stages at strides 4, 8, 16 and 32; the first two of plain convolutions, the others of RepConv.

    Shape:
        x: (1 or T, B, C, H, W) -> P3, P4, P5 (T, B, channels, H / stride, W / stride), strides 8, 16, 32.
    """

    def __init__(self, config: NetworkConfig):
        super().__init__()
        c1, c2, c3, c4 = config.channels
        r1, r2, r3, r4 = config.repeats
        make = config.make_neuron

        def stage(dim: int, ratio: int, repeats: int, rep: bool) -> Chain:
            return Chain(*(SpikingBlock(dim, ratio, make, rep) for _ in range(repeats)))

        self.leaks = LeakySums(config.leaks) if config.leaks else None
        self.stem = standard_conv(2 * config.leaks or config.in_channels, c1, 7, None, stride=4, padding=2, bias=True)
        self.stage1 = stage(c1, 4, r1, rep=False)
        self.down2 = standard_conv(c1, c2, 3, make, stride=2, bias=True)
        self.stage2 = stage(c2, 4, r2, rep=False)
        self.down3 = standard_conv(c2, c3, 3, make, stride=2, bias=True)
        self.stage3 = stage(c3, 3, r3, rep=True)
        self.down4 = standard_conv(c3, c4, 3, make, stride=2, bias=True)
        self.stage4 = stage(c4, 2, r4, rep=True)
        self.sppf = SpikingSPPF(c4, make)

    def forward(self, x: Tensor, timesteps: int, state: NeuronState | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """`timesteps` repeats a still image (1, B, C, H, W), after the first convolution, which is so done once."""
        x = self.stem(x if self.leaks is None else self.leaks(x, state))
        x = x.expand(timesteps, -1, -1, -1, -1)
        x = self.stage1(x, state)
        p3 = self.stage2(self.down2(x, state), state)
        p4 = self.stage3(self.down3(p3, state), state)
        p5 = self.sppf(self.stage4(self.down4(p4, state), state), state)
        return p3, p4, p5
