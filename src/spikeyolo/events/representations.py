"""From events to the frames that the network sees: pure functions, events -> (T, C, H, W).

T timesteps, C channels, H rows, W columns. All take the same first arguments:

    events: in the order of time; those outside the window are not looked at.
    start_us, end_us: the window, start included, end not. It is cut into T equal parts, timestep 0 the oldest; a part
        need not begin at a whole microsecond. The shape does not depend on the events: none give a whole frame.
    sensor_size_hw: rows and columns of the sensor.
    timesteps: T.

They raise ConfigError for a window without length, or no timesteps, and ShapeError for events beyond the sensor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import prod

import numpy as np

from ..errors import ConfigError, ShapeError, quote
from .narrow import COUNTS, narrow, type_of
from .types import Events

Size = tuple[int, int]
MAX_VALUES = 1 << 28  # of the frames of one window
DECAYS_US = (5_000, 20_000, 80_000)
MOST_DECAYS = MOST_LEAKS = 16


def count_frames(events: Events, start_us: int, end_us: int, sensor_size_hw: Size, timesteps: int) -> np.ndarray:
    """Count the events that each pixel had: (T, 2, H, W) float32, channel 0 counts polarity 0, channel 1 polarity 1."""
    return _counts(events, start_us, end_us, sensor_size_hw, timesteps).astype(np.float32, copy=False)


def _counts(events: Events, start_us: int, end_us: int, sensor_size_hw: Size, timesteps: int) -> np.ndarray:
    """The same in the narrowest type; see `narrow`."""
    window = _Window(events, start_us, end_us, sensor_size_hw, timesteps)
    frames = np.empty((timesteps, 2, *sensor_size_hw), np.int8)
    cells = window.cells()
    for number, part in enumerate(window.parts):
        counts = np.bincount(cells[part], minlength=frames[number].size)
        wider = np.promote_types(frames.dtype, type_of(0, int(counts.max())))
        frames = frames.astype(wider, copy=False)
        frames[number] = counts.reshape(frames.shape[1:])
    return frames


def stacked_histogram(
    events: Events,
    start_us: int,
    end_us: int,
    sensor_size_hw: Size,
    timesteps: int,
    *,
    bins: int = 10,
    cutoff: int = 10,
) -> np.ndarray:
    """Count in finer steps of time: (T, 2 * bins, H, W) uint8, channel polarity * bins + bin, at most `cutoff` each.

    Source: Gehrig and Scaramuzza, RVT, CVPR 2023, section 3.1. RVT lays the bins between the first and the last event
    of a window; here they are equal parts of the window itself.
    """
    _check_range("bins", bins, 1, 1000)
    _check_range("cutoff", cutoff, 1, 255)
    window = _Window(events, start_us, end_us, sensor_size_hw, timesteps * bins)
    frames = np.empty((timesteps, 2, bins, *sensor_size_hw), np.uint8)
    cells = window.cells()
    for number, part in enumerate(window.parts):
        frame = frames[number // bins, :, number % bins]
        counts = np.bincount(cells[part], minlength=frame.size).reshape(frame.shape)
        frame[:] = np.minimum(counts, cutoff, out=counts)
    return frames.reshape(timesteps, 2 * bins, *sensor_size_hw)


def voxel_grid(
    events: Events, start_us: int, end_us: int, sensor_size_hw: Size, timesteps: int, *, bins: int = 10
) -> np.ndarray:
    """Spread polarities, +1 and -1, over the two nearest of `bins` instants: (T, bins, H, W) float32.

    The instants lie evenly in a timestep, the first at its start and the last at its end; an event's weights are linear
    in its distance to them and sum to 1. With one bin it is a plain sum.
    Source: Zhu et al., CVPR 2019, arXiv 1812.08156, eq. 1-3.
    """
    _check_range("bins", bins, 1, 1000)
    # Only events of the gaps before and after an instant count for it, and they are neighbours in the list.
    gaps = max(bins - 1, 1)
    window = _Window(events, start_us, end_us, sensor_size_hw, timesteps * gaps)
    place = (window.events.t_us - start_us) * (timesteps * gaps / (end_us - start_us))
    sign = 2.0 * window.events.polarity - 1
    frames = np.empty((timesteps, bins, *sensor_size_hw), np.float32)
    for step, number in np.ndindex(timesteps, bins):
        first, last = step * gaps + max(number - 1, 0), step * gaps + min(number, gaps - 1)
        near = slice(window.parts[first].start, window.parts[last].stop)
        distance = np.abs(place[near] - (step * gaps + number)) if bins > 1 else 0.0
        grid = np.bincount(window.pixels[near], sign[near] * (1 - distance), minlength=window.size)
        frames[step, number] = grid.reshape(sensor_size_hw)
    return frames


def time_surface(
    events: Events, start_us: int, end_us: int, sensor_size_hw: Size, timesteps: int, *, decay_us: int = 50_000
) -> np.ndarray:
    """Return how recent each pixel's last event is: (T, 2, H, W) float32, exp(-age / decay_us), a channel a polarity.

    Age is counted to the end of the timestep, over all timesteps of the window so far; 0 where there was no event yet.
    Source: Lagorce et al., HOTS, IEEE TPAMI 39(7), 2017, eq. 2.
    """
    _check_range("decay_us", decay_us, 1, 10**9)
    window = _Window(events, start_us, end_us, sensor_size_hw, timesteps)
    frames = np.empty((timesteps, 2, *sensor_size_hw), np.float32)
    cells = window.cells()
    last_us = np.full((2, *sensor_size_hw), -np.inf)
    for number, (frame, part) in enumerate(zip(frames, window.parts, strict=True)):
        # Of several values for one cell numpy keeps the last.
        last_us.ravel()[cells[part]] = window.events.t_us[part] - start_us
        end = (end_us - start_us) * (number + 1) / timesteps
        np.subtract(last_us, end, out=frame, casting="unsafe")
        frame /= decay_us
        np.exp(frame, out=frame)
    return frames


def exponential_surfaces(
    events: Events,
    start_us: int,
    end_us: int,
    sensor_size_hw: Size,
    timesteps: int,
    *,
    decays_us: tuple[int, ...] = DECAYS_US,
) -> np.ndarray:
    """Sum exp(-age / decay) over each pixel's events, for K decays: (T, 2 * K, H, W) float32, polarity * K + decay.

    Age is counted to the end of the timestep, over all timesteps of the window so far. A short decay says what moves
    now, a long one where things were, and a sum is less moved by a single event of noise than the last event's age.
    Sources: Sironi et al., HATS, CVPR 2018, eq. 4, for a cell of one pixel (sums over what a memory holds); Lagorce et
    al., HOTS, IEEE TPAMI 39(7), 2017, section 3.3 (several time constants, there one a layer).
    """
    _check_decays(decays_us)
    window = _Window(events, start_us, end_us, sensor_size_hw, timesteps)
    count, size = len(decays_us), 2 * window.size
    frames = np.empty((timesteps, 2, count, window.size), np.float32)
    cells, step_us = window.cells(), (end_us - start_us) / timesteps
    sums = np.zeros((count, size))
    for number, part in enumerate(window.parts):
        age = step_us * (number + 1) - (window.events.t_us[part] - start_us)
        for at, decay_us in enumerate(decays_us):
            sums[at] *= np.exp(-step_us / decay_us)
            sums[at] += np.bincount(cells[part], np.exp(-age / decay_us), minlength=size)
        frames[number] = sums.reshape(count, 2, -1).swapaxes(0, 1)
    return frames.reshape(timesteps, 2 * count, *sensor_size_hw)


def last_event_frame(events: Events, start_us: int, end_us: int, sensor_size_hw: Size, timesteps: int) -> np.ndarray:
    """Return the polarity of each pixel's last event: (T, 3, H, W) uint8, 255 for 1, 0 for 0, 127 for none.

    The channels are equal. The published Gen1 networks were trained on it, there with the newest timestep first.
    """
    window = _Window(events, start_us, end_us, sensor_size_hw, timesteps)
    frames = np.full((timesteps, 1, *sensor_size_hw), 127, np.uint8)
    grey = window.events.polarity * np.uint8(255)
    for frame, part in zip(frames, window.parts, strict=True):
        frame.ravel()[window.pixels[part]] = grey[part]
    return np.repeat(frames, 3, axis=1)


class _Window:
    """The events of a window and where they go.

    Attributes:
        events: those inside.
        pixels: (N,) intp, row * W + column.
        size: H * W.
        parts: for each timestep, the slice of its events.
    """

    def __init__(self, events: Events, start_us: int, end_us: int, sensor_size_hw: Size, timesteps: int) -> None:
        if end_us <= start_us or timesteps < 1:
            raise ConfigError(f"a window from {start_us} to {end_us} us cannot be cut into {timesteps} timesteps")
        # Rounded up: an event at t belongs to the part in which t lies, whole microseconds or not.
        edges = [start_us - -(number * (end_us - start_us)) // timesteps for number in range(timesteps + 1)]
        cuts = np.searchsorted(events.t_us, edges)
        self.events = events[cuts[0] : cuts[-1]]
        cuts -= cuts[0]
        self.parts = [slice(a, b) for a, b in pairwise(cuts)]
        height, width = sensor_size_hw
        if len(self.events) and (self.events.x.max() >= width or self.events.y.max() >= height):
            raise ShapeError(f"events: a pixel beyond the sensor of {height} rows and {width} columns")
        self.size = height * width
        self.pixels = self.events.y.astype(np.intp)
        self.pixels *= width
        self.pixels += self.events.x

    def cells(self) -> np.ndarray:
        """(N,) intp, (polarity * H + row) * W + column."""
        if len(self.events) and self.events.polarity.max() > 1:
            raise ShapeError("events: a polarity other than 0 and 1")
        return self.pixels + self.events.polarity * np.intp(self.size)


def check_memory(shape: tuple[int, ...]) -> None:
    """Raise ConfigError for frames (T, C, H, W) that would take more than 1 GB as float32."""
    if prod(shape) > MAX_VALUES:
        timesteps, channels, height, width = shape
        raise ConfigError(
            f"frames of {timesteps} timesteps, {channels} channels, {height} rows and {width} columns: more than "
            f"{MAX_VALUES} values; give fewer timesteps or bins, or a larger downscale"
        )


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(f"{name}: {quote(value)} is not an integer in {low}..{high}")


def _check_decays(decays_us: tuple[int, ...]) -> None:
    if not isinstance(decays_us, list | tuple) or not 1 <= len(decays_us) <= MOST_DECAYS:
        raise ConfigError(f"decays_us: {quote(decays_us)} is not a list of 1 to {MOST_DECAYS} integers")
    for decay_us in decays_us:
        _check_range("decays_us", decay_us, 1, 10**9)


@dataclass(frozen=True)
class _Entry:
    """A function of this module, its channels, steps from 0 to 1 of an integer network, and the settings it takes.

    It looks back where a timestep also depends on the events of those before it in the window, up to its end alone.
    """

    function: Callable[..., np.ndarray]
    channels: Callable[[RepresentationConfig], int]
    levels: int
    settings: tuple[str, ...] = ()
    looks_back: bool = False


REPRESENTATIONS = {
    "count_frames": _Entry(count_frames, lambda config: 2, 1),
    "stacked_histogram": _Entry(stacked_histogram, lambda config: 2 * config.bins, 1, ("bins", "cutoff")),
    "voxel_grid": _Entry(voxel_grid, lambda config: config.bins, 16, ("bins",)),
    "time_surface": _Entry(time_surface, lambda config: 2, 255, ("decay_us",), looks_back=True),
    "exponential_surfaces": _Entry(
        exponential_surfaces, lambda config: 2 * len(config.decays_us), 16, ("decays_us",), looks_back=True
    ),
    "leaky_sums": _Entry(stacked_histogram, lambda config: 2 * config.bins, 16, ("bins", "cutoff")),
    "last_event_frame": _Entry(last_event_frame, lambda config: 3, 255),
}


@dataclass(frozen=True)
class RepresentationConfig:
    """How events become frames.

    Attributes:
        name: count_frames, stacked_histogram, voxel_grid, time_surface, exponential_surfaces, leaky_sums or
            last_event_frame.
        bins: steps of time within a timestep (stacked_histogram, voxel_grid, leaky_sums).
        cutoff: largest count, 1..255 (stacked_histogram, leaky_sums).
        decay_us: age in microseconds at which a pixel has faded to 1/e (time_surface).
        decays_us: several of them (exponential_surfaces).
        leaks: leaky sums of the bins, a polarity, that the network itself makes of them with learned leaks
            (leaky_sums; see `model.leaks`).

    Raises:
        ConfigError: an unknown name, or a value out of range.
    """

    name: str = "count_frames"
    bins: int = 10
    cutoff: int = 10
    decay_us: int = 50_000
    decays_us: tuple[int, ...] = DECAYS_US
    leaks: int = 3

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or self.name not in REPRESENTATIONS:
            raise ConfigError(f"representation: {quote(self.name)}; choose from {', '.join(REPRESENTATIONS)}")
        _check_range("bins", self.bins, 1, 1000)
        _check_range("cutoff", self.cutoff, 1, 255)
        _check_range("decay_us", self.decay_us, 1, 10**9)
        _check_range("leaks", self.leaks, 1, MOST_LEAKS)
        _check_decays(self.decays_us)
        object.__setattr__(self, "decays_us", tuple(self.decays_us))

    @property
    def channels(self) -> int:
        """C of the frames."""
        return REPRESENTATIONS[self.name].channels(self)

    @property
    def levels(self) -> int:
        """Steps from 0 to 1 (of grey values, from 0 to 255) that an integer network tells apart."""
        return REPRESENTATIONS[self.name].levels

    @property
    def is_grey(self) -> bool:
        """Whether frames are images of grey values 0..255 (uint8), of which 127 says that there was no event."""
        return self.name == "last_event_frame"

    @property
    def looks_back(self) -> bool:
        """Whether a timestep also depends on the events of those before it in the window."""
        return REPRESENTATIONS[self.name].looks_back

    @property
    def bins_of_time(self) -> int:
        """Steps of time within a timestep, each a channel, or one for each polarity: channel polarity * bins + bin."""
        return self.bins if "bins" in REPRESENTATIONS[self.name].settings else 1

    @property
    def learned_leaks(self) -> int:
        """Leaky sums a polarity at the network's entry; 0 for none."""
        return self.leaks if self.name == "leaky_sums" else 0

    def render(self, events: Events, start_us: int, end_us: int, sensor_size_hw: Size, timesteps: int) -> np.ndarray:
        """The frames (T, C, H, W); see the function of that name. ConfigError if they are more than 1 GB."""
        function = REPRESENTATIONS[self.name].function
        return self._made_by(function, events, start_us, end_us, sensor_size_hw, timesteps)

    def render_narrow(
        self, events: Events, start_us: int, end_us: int, sensor_size_hw: Size, timesteps: int
    ) -> np.ndarray:
        """The same values as the network gets them: grey values uint8, whatever else there is as `narrow` gives it."""
        function = _counts if self.name == "count_frames" else REPRESENTATIONS[self.name].function
        frames = self._made_by(function, events, start_us, end_us, sensor_size_hw, timesteps)
        return frames if self.is_grey or frames.dtype in COUNTS else narrow(frames)

    def _made_by(
        self,
        function: Callable[..., np.ndarray],
        events: Events,
        start_us: int,
        end_us: int,
        size: Size,
        timesteps: int,
    ) -> np.ndarray:
        check_memory((timesteps, self.channels, *size))
        settings = {name: getattr(self, name) for name in REPRESENTATIONS[self.name].settings}
        return function(events, start_us, end_us, size, timesteps, **settings)
