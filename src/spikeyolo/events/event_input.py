"""What a network of event recordings sees: how the events before an instant become frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from ..errors import ConfigError, quote
from ..strict import build
from .filters import EventFilters
from .representations import RepresentationConfig

Order = Literal["oldest-first", "newest-first", "shuffled"]
LIMITS = {"timesteps": 1000, "window_us": 3_600_000_000, "window_events": 1 << 26, "downscale": 64}
DEFAULT_WINDOW_US = 250_000
WINDOW = ("window_us", "window_events")
CHANGES = (*WINDOW, *(f.name for f in fields(EventFilters)))
"""What a run may say in place of the data set or the weights, beside the preparation's name."""
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
        window_us: length of the window that ends at the instant, in microseconds; 250 ms unless given, and without
            bound where `window_events` is given alone.
        window_events: most events of the window; see `windows` for what a timestep then is. None: as many as come.
        filters: which events are dropped before; a mapping of the settings will do.
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
    window_us: int | None = None
    downscale: int = 1
    order: Order = "oldest-first"
    letterbox: int | None = None
    window_events: int | None = None
    filters: EventFilters = field(default_factory=EventFilters)

    def __post_init__(self) -> None:
        object.__setattr__(self, "representation", _representation(self.representation))
        if isinstance(self.filters, Mapping):
            object.__setattr__(self, "filters", build(EventFilters, self.filters, "filters"))
        if not isinstance(self.filters, EventFilters):
            raise ConfigError(f"filters: expected settings by name, got {quote(self.filters)}")
        if self.window_us is None and self.window_events is None:
            object.__setattr__(self, "window_us", DEFAULT_WINDOW_US)
        for name, most in LIMITS.items():
            value = getattr(self, name)
            if value is None and name in WINDOW:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise ConfigError(f"{name}: {quote(value)} is not an integer in 1..{most}")
        if not isinstance(self.order, str) or self.order not in get_args(Order):
            raise ConfigError(f"order: {quote(self.order)} is not one of {', '.join(get_args(Order))}")
        self._check_window()
        if self.letterbox is not None:
            side = self.letterbox
            if not isinstance(side, int) or not 32 <= side <= MAX_LETTERBOX or side % 32:
                raise ConfigError(f"letterbox: {quote(side)} is not a multiple of 32 up to {MAX_LETTERBOX}")
            if not self.is_grey:
                raise ConfigError("letterbox: only for last_event_frame; counts cannot be put on grey")

    def _check_window(self) -> None:
        """Refuse a window that cannot be cut into T timesteps."""
        if self.window_events is None:
            assert self.window_us is not None
            if self.window_us < self.timesteps:
                raise ConfigError(f"window_us: {self.window_us} us cannot be cut into {self.timesteps} timesteps")
            return
        for name, unit in (("window_events", "events"), ("window_us", "us")):
            value = getattr(self, name)
            if value is not None and value % self.timesteps:
                nearest = max(1, round(value / self.timesteps)) * self.timesteps
                raise ConfigError(
                    f"{name}: a window of {value} {unit} has no {self.timesteps} equal timesteps; "
                    f"give a multiple, such as {nearest}"
                )

    def __str__(self) -> str:
        said = [] if self.window_events is None else [f"{self.window_events:,} events"]
        if self.window_us is not None:
            said.append(f"{self.window_us / 1000:g} ms" + ("" if said else " of events"))
        most = "at most " if len(said) == 2 else ""
        whole = f"windows of {most}{' and '.join(said)} as {self.representation.name} in {self.timesteps} timesteps"
        return f"{whole}, filtered ({self.filters})" if self.filters else whole

    @property
    def timestep_us(self) -> int | None:
        """Longest time of a timestep, rounded down; None where a number of events alone bounds it."""
        return None if self.window_us is None else self.window_us // self.timesteps

    @property
    def timestep_events(self) -> int:
        """Most events of a timestep."""
        return (self.window_events or LIMITS["window_events"]) // self.timesteps

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
        """Rows and columns of the frames, not yet on the canvas; ConfigError for a region that the sensor lacks."""
        rows, columns = (-(-side // self.downscale) for side in self.filters.size_hw(sensor_size_hw))
        return rows, columns

    def canvas_hw(self, sensor_size_hw: tuple[int, int] | None) -> tuple[int, int]:
        """Rows and columns of what the network sees; ConfigError where the sensor decides and is not known."""
        if self.letterbox is not None:
            return self.letterbox, self.letterbox
        if sensor_size_hw is None and self.filters.region is not None:
            sensor_size_hw = (self.filters.region[3], self.filters.region[2])  # as far as it matters
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

    def changed(self, imgsz: Any = None, **changes: Any) -> EventInput:
        """Return the input with what a user wants changed, see `of`; ConfigError for what recordings do not have."""
        if imgsz is not None:
            raise ConfigError("imgsz: for images; of recordings the sensor decides the size")
        return EventInput.of(self, **changes)

    def equal_steps_us(self, what: str) -> int:
        """Return the length of timesteps that may follow each other for ever, all equally long.

        Args:
            what: needs them, for the error.

        Raises:
            ConfigError: they are not in the order of time, of a number of events, or not equal.
        """
        self.check_in_order(what)
        if self.window_events is not None:
            raise ConfigError(
                f"{what}: needs timesteps of equal time, not {self.window_events} events a window; give window_us alone"
            )
        assert self.window_us is not None
        if self.window_us % self.timesteps:
            raise ConfigError(
                f"{what}: a window of {self.window_us} us has no {self.timesteps} equal timesteps; "
                "give another window_us"
            )
        return self.window_us // self.timesteps

    def check_in_order(self, what: str) -> None:
        """Raise ConfigError unless the timesteps come in the order of time."""
        if self.order != "oldest-first":
            raise ConfigError(f"{what}: the network sees the timesteps of a window {self.order}, not in order")

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
        """Return plain values, kept with the weights; what is new since 0.1 only where it says something."""
        values = asdict(self)
        if self.window_events is None:
            del values["window_events"]
        if self.filters:
            values["filters"] = {name: value for name, value in values["filters"].items() if value}
        else:
            del values["filters"]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EventInput:
        """Return the input with these values; the inverse of `to_dict`."""
        return build(cls, values, "preparation")

    @classmethod
    def of(cls, value: str | Mapping[str, Any] | EventInput | None, **changes: Any) -> EventInput:
        """Return an input by its name, or from a mapping of its fields, with those `changes` that are not None.

        Changes are fields of it, or of its filters. `window_us` and `window_events` together say what a window is: one
        that is given alone replaces both.

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
        own = {f.name: given.pop(f.name) for f in fields(EventFilters) if f.name in given}
        if own:
            given["filters"] = replace(found.filters, **own)
        if given.keys() & set(WINDOW):
            given = dict.fromkeys(WINDOW) | given
        return replace(found, **given)


PREPARATIONS = {
    "counts": EventInput(),
    "gen1-published": EventInput(
        RepresentationConfig("last_event_frame"), 2, 250_000, order="newest-first", letterbox=320
    ),
}
"""`gen1-published` is what the published Gen1 checkpoint was trained on, its reversed time included."""
