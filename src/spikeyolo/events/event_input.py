"""What a network of event recordings sees: how the events before an instant become frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from ..errors import ConfigError, quote
from ..strict import build
from .representations import RepresentationConfig

Order = Literal["oldest-first", "newest-first", "shuffled"]
LIMITS = {"timesteps": 1000, "window_us": 3_600_000_000, "downscale": 64}
MAX_LETTERBOX = 4096


def _representation(value: Any) -> RepresentationConfig:
    if isinstance(value, RepresentationConfig):
        return value
    if isinstance(value, str):
        return RepresentationConfig(value)
    if not isinstance(value, Mapping):
        raise ConfigError(f"representation: expected a name or settings, got {quote(value)}")
    return build(RepresentationConfig, value, "representation")


@dataclass(frozen=True)
class EventInput:
    """How a recording becomes what the network sees: (T, C, H, W) frames of the events before an instant.

    Attributes:
        representation: what events become; its name, or a mapping of its settings, will do.
        timesteps: T: the window is cut into so many equal parts, one a timestep.
        window_us: length of the window that ends at the instant, in microseconds.
        downscale: rows and columns of the sensor are divided by this (1 Mpx is usually halved); events of the pixels
            that become one are taken together.
        order: of the timesteps: "oldest-first"; "newest-first", as the published Gen1 network was trained; or
            "shuffled", a random order for each sample, of the bins within timesteps too: to see whether the order of
            time matters at all.
        letterbox: scale the frames to a square of this side on grey, as published; None: keep them as they are and fill
            up rows and columns to multiples of 32 with pixels without events.

    Raises:
        ConfigError: an unknown representation, or a number out of range.
    """

    kind: ClassVar[str] = "recordings"
    still: ClassVar[bool] = False

    representation: RepresentationConfig = field(default_factory=RepresentationConfig)
    timesteps: int = 2
    window_us: int = 250_000
    downscale: int = 1
    order: Order = "oldest-first"
    letterbox: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "representation", _representation(self.representation))
        for name, most in LIMITS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise ConfigError(f"{name}: {quote(value)} is not an integer in 1..{most}")
        if not isinstance(self.order, str) or self.order not in get_args(Order):
            raise ConfigError(f"order: {quote(self.order)} is not one of {', '.join(get_args(Order))}")
        if self.window_us < self.timesteps:
            raise ConfigError(f"window_us: {self.window_us} us cannot be cut into {self.timesteps} timesteps")
        if self.letterbox is not None:
            side = self.letterbox
            if not isinstance(side, int) or not 32 <= side <= MAX_LETTERBOX or side % 32:
                raise ConfigError(f"letterbox: {quote(side)} is not a multiple of 32 up to {MAX_LETTERBOX}")
            if not self.is_grey:
                raise ConfigError("letterbox: only for last_event_frame; counts cannot be put on grey")

    def __str__(self) -> str:
        kind, each = self.representation.name, self.window_us / 1000
        return f"windows of {each:g} ms of events as {kind} in {self.timesteps} timesteps"

    @property
    def channels(self) -> int:
        """C."""
        return self.representation.channels

    @property
    def is_grey(self) -> bool:
        """Whether frames are images of grey values 0..255 (uint8), of which 127 says that there was no event."""
        return self.representation.is_grey

    @property
    def in_bytes(self) -> bool:
        """Whether it gives uint8, of which 255 stands for 1."""
        return self.is_grey

    @property
    def nothing(self) -> int:
        """What a pixel without events holds."""
        return 127 if self.is_grey else 0

    def frame_hw(self, sensor_size_hw: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of the frames, before they are put on the canvas."""
        rows, columns = (-(-side // self.downscale) for side in sensor_size_hw)
        return rows, columns

    def canvas_hw(self, sensor_size_hw: tuple[int, int] | None) -> tuple[int, int]:
        """Rows and columns of what the network sees; ConfigError where the sensor decides and is not known."""
        if self.letterbox is not None:
            return self.letterbox, self.letterbox
        if sensor_size_hw is None:
            raise ConfigError("sensor: the frames have the size of the camera's sensor; give --sensor ROWS COLUMNS")
        rows, columns = (-(-side // 32) * 32 for side in self.frame_hw(sensor_size_hw))
        return rows, columns

    def in_order(self, frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Frames (T, C, H, W) that come oldest first, in this order of time."""
        if self.order == "newest-first":
            return frames[::-1]
        if self.order == "oldest-first":
            return frames
        # (T, polarities, bins, ...): all slices of time, the finest there are, change their places.
        bins = self.representation.bins_of_time
        slices = frames.reshape(len(frames), -1, bins, *frames.shape[2:]).swapaxes(1, 2)
        shuffled = slices.reshape(-1, *slices.shape[2:])[rng.permutation(len(frames) * bins)]
        return shuffled.reshape(slices.shape).swapaxes(1, 2).reshape(frames.shape)

    def changed(self, imgsz: Any = None, window_us: int | None = None) -> EventInput:
        """Return the input with what a user wants changed; ConfigError for what recordings do not have."""
        if imgsz is not None:
            raise ConfigError("imgsz: for images; of recordings the sensor decides the size")
        return EventInput.of(self, window_us=window_us)

    def with_timesteps(self, timesteps: int) -> EventInput:
        """Return the same window cut into so many parts."""
        return replace(self, timesteps=timesteps)

    def check_fits(self, in_channels: int, timesteps: int) -> None:
        """Raise ConfigError unless a network takes what this gives."""
        if (self.channels, self.timesteps) != (in_channels, timesteps):
            raise ConfigError(
                f"{self.representation.name} with timesteps {self.timesteps} gives T, C = {self.timesteps}, "
                f"{self.channels}; the network takes {timesteps}, {in_channels}"
            )

    @property
    def network_fields(self) -> dict[str, Any]:
        """Fields of a `NetworkConfig` that sees this."""
        r = self.representation
        sizes = {"in_channels": self.channels, "timesteps": self.timesteps}
        return {**sizes, "input_levels": r.levels, "leaks": r.learned_leaks}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, kept with the weights."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EventInput:
        """Return the input with these values; the inverse of `to_dict`."""
        return build(cls, values, "preparation")

    @classmethod
    def of(cls, value: str | Mapping[str, Any] | EventInput | None, **changes: Any) -> EventInput:
        """Return an input by its name, or from a mapping of its fields, with those `changes` that are not None.

        Raises:
            ConfigError: a name or field that does not exist, or a value out of range.
        """
        if value is None:
            found = cls()
        elif isinstance(value, EventInput):
            found = value
        elif isinstance(value, str):
            if value not in PREPARATIONS:
                raise ConfigError(f"preparation: {quote(value)} is not one of {', '.join(PREPARATIONS)}")
            found = PREPARATIONS[value]
        elif isinstance(value, Mapping):
            found = cls.from_dict(value)
        else:
            raise ConfigError(
                f"preparation: expected a name ({', '.join(PREPARATIONS)}) or settings, got {quote(value)}"
            )
        given = {name: change for name, change in changes.items() if change is not None}
        if given.get("representation") == found.representation.name:
            del given["representation"]  # its settings stay
        return replace(found, **given)


PREPARATIONS = {
    "counts": EventInput(),
    "gen1-published": EventInput(
        RepresentationConfig("last_event_frame"), 2, 250_000, order="newest-first", letterbox=320
    ),
}
"""`gen1-published` is what the published Gen1 checkpoint was trained on, its reversed time included."""
