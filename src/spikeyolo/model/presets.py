"""The settings of a network, and the published and further sizes as presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from torch import nn

from ..errors import ConfigError, quote
from ..limits import MAX_CLASSES, MAX_TIMESTEPS
from ..spiking import FLAVOURS, ILIF
from ..spiking.equation import Neuron
from ..spiking.spiking_neuron import find_neuron, is_own, make_own, neuron_name
from ..strict import build, closest
from ..weights.shipped import shipped_models
from .blocks import ClippedReLU

RELU = "relu"
NEURONS = (*FLAVOURS, RELU)

LearnedScale = Literal["none", "layer", "channel"]
LEARNED_SCALES = get_args(LearnedScale)

MOST_LEAKS = 16

MOST_BLOCKS, WIDEST = 20, 4.0
"""Of a stage, and of `width`; the largest published network has 4 and 0.75."""

LARGEST = {
    "last_ratio": 16,
    "num_classes": MAX_CLASSES,
    "in_channels": 2000,
    "timesteps": MAX_TIMESTEPS,
    "input_levels": 255,
}
"""What a file claims is built only within these."""


@dataclass(frozen=True)
class NetworkConfig:
    """Everything that decides the shape and the neurons of a SpikeYOLO.

    Attributes:
        width: channels are 128, 256, 512 and 1024 times this.
        repeats: blocks in each of the backbone's four stages.
        last_ratio: hidden ratio of the neck's last block.
        num_classes: object classes.
        in_channels: channels of the input: 3 for RGB.
        timesteps: T; a still image is shown this many times.
        neuron: "coco", "gen1" (decay 0.5, gain 0.5), "relu" (the ANN twin: no spikes, clipped at max_count), or a class
            from outside the package, a `SpikingNeuron`, or the name of one that is imported, "package.module:Class".
        max_count: D, the most spikes a neuron fires in a timestep, 1..63.
        decay: in place of the flavour's.
        gain: in place of the flavour's.
        input_levels: steps from 0 to 1 of the input of an integer network, which takes -255..255 of them: 255 for 8-bit
            images, 1 for counts of events.
        learned_scale: "none", or one learned scale a "layer" or "channel": the threshold, and what a spike weighs.
        surrogate_width: of the tails of the surrogate gradient outside 0..max_count, in counts; 0 is none.
        leaks: leaky sums a polarity that the first convolution sees in place of the channels, which are bins of time
            of two polarities (see `leaks`); 0 for none.

    Raises:
        ConfigError: a value out of range.
    """

    width: float
    repeats: tuple[int, int, int, int]
    last_ratio: int = 1
    num_classes: int = 80
    in_channels: int = 3
    timesteps: int = 1
    neuron: str = "coco"
    max_count: int = 4
    decay: float | None = None
    gain: float | None = None
    input_levels: int = 255
    learned_scale: LearnedScale = "none"
    surrogate_width: float = 0.0
    leaks: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "repeats", tuple(self.repeats))
        object.__setattr__(self, "neuron", neuron_name(self.neuron))
        if is_own(self.neuron):
            find_neuron(self.neuron)
        elif self.neuron not in NEURONS:
            raise ConfigError(f"neuron: {quote(self.neuron)} is not one of {', '.join(NEURONS)}, or module:Class")
        for name, most in LARGEST.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise ConfigError(f"{name}: {quote(value)} is not an integer in 1..{most}")
        if isinstance(self.leaks, bool) or not isinstance(self.leaks, int) or not 0 <= self.leaks <= MOST_LEAKS:
            raise ConfigError(f"leaks: {quote(self.leaks)} is not an integer in 0..{MOST_LEAKS}")
        if self.leaks and self.in_channels % 2:
            raise ConfigError(f"leaks: {self.in_channels} in_channels are not the bins of two polarities")
        if len(self.repeats) != 4 or any(not isinstance(r, int) or not 1 <= r <= MOST_BLOCKS for r in self.repeats):
            raise ConfigError(f"repeats: {quote(self.repeats)} is not four integers in 1..{MOST_BLOCKS}")
        if not 0.0 < self.width <= WIDEST:
            raise ConfigError(f"width: {quote(self.width)} is outside 0..{WIDEST:g}")
        if self.neuron not in FLAVOURS and (self.decay is not None or self.gain is not None):
            raise ConfigError(f"decay, gain: a {self.neuron} has neither of I-LIF's")
        if self.learned_scale not in LEARNED_SCALES:
            raise ConfigError(f"learned_scale: {quote(self.learned_scale)} is not one of {', '.join(LEARNED_SCALES)}")
        if self.neuron not in FLAVOURS and (self.learned_scale != "none" or self.surrogate_width):
            raise ConfigError(f"learned_scale, surrogate_width: a {self.neuron} has neither of I-LIF's")
        Neuron(*self.dynamics, self.max_count, self.surrogate_width).check()

    @property
    def dynamics(self) -> tuple[float, float]:
        """Decay and gain of the neurons."""
        decay, gain = FLAVOURS.get(self.neuron, (0.0, 1.0))
        return (decay if self.decay is None else self.decay, gain if self.gain is None else self.gain)

    @property
    def channels(self) -> tuple[int, int, int, int]:
        """Channels of the four stages, multiples of 8."""
        c1, c2, c3, c4 = (max(8 * round(base * self.width / 8), 8) for base in (128, 256, 512, 1024))
        return c1, c2, c3, c4

    def make_neuron(self, channels: int) -> nn.Module:
        """A new layer of this network's neurons, for so many channels."""
        if self.neuron == RELU:
            return ClippedReLU(self.max_count)
        if is_own(self.neuron):
            return make_own(self.neuron, channels, self.max_count)
        decay, gain = self.dynamics
        scales = {"none": 0, "layer": 1, "channel": channels}[self.learned_scale]
        return ILIF(decay, gain, self.max_count, self.surrogate_width, scales)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and YAML."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> NetworkConfig:
        """The config with these values.

        Raises:
            ConfigError: a key that does not exist, one that is missing, or a value of another type or out of range.
        """
        return build(cls, values, "config")


def _check_keys(values: dict[str, Any]) -> None:
    known = tuple(f.name for f in fields(NetworkConfig))
    for key in values:
        if key not in known:
            raise ConfigError(f"{key}: no such setting of a network; {closest(key, known)}")


IMAGE_PRESETS = {
    "t": NetworkConfig(width=0.125, repeats=(1, 2, 3, 1)),
    "n": NetworkConfig(width=0.375, repeats=(1, 2, 3, 1)),
    "s": NetworkConfig(width=0.5, repeats=(1, 2, 3, 1)),
    "m": NetworkConfig(width=0.625, repeats=(2, 3, 4, 2), last_ratio=2),
    "l": NetworkConfig(width=0.75, repeats=(2, 3, 4, 2), last_ratio=2),
}
"""The published scales, and `t` for CPUs and tests. Source: the paper's table 2 and the published configurations."""

EVENT_PRESETS = {
    f"{name}-gen1": replace(
        config, repeats=(*config.repeats[:3], 1), last_ratio=1, num_classes=2, timesteps=2, neuron="gen1"
    )
    for name, config in IMAGE_PRESETS.items()
}
"""The published Gen1 variant of each scale, at the published checkpoint's T = 2."""

PRESETS: dict[str, NetworkConfig] = {**IMAGE_PRESETS, **EVENT_PRESETS}


def network_config(preset: str | NetworkConfig, **changes: Any) -> NetworkConfig:
    """A preset by its name, or a config, with a few fields changed.

    Raises:
        ConfigError: a preset or a field that does not exist, or a value out of range.
    """
    if isinstance(preset, str):
        if preset not in PRESETS:
            if preset.endswith((".safetensors", ".pt", ".pth")) or preset in shipped_models():
                raise ConfigError(f"{preset}: has weights, and is loaded by spikeyolo.load or load_reference")
            raise ConfigError(f"{preset!r}: no such preset; {closest(preset, PRESETS)}")
        preset = PRESETS[preset]
    _check_keys(changes)
    return replace(preset, **changes)
