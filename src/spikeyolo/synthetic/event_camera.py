"""An event camera, from images of intensity: what each pixel would have reported between them.

A pixel remembers the logarithm of the intensity at its last event. Where the logarithm has risen from there by the
pixel's ON threshold, or fallen by its OFF threshold, it reports an event and remembers the new value. Between two
images the logarithm is taken to change linearly, so a pixel may report several events at interpolated times.

Sources: Lichtsteiner et al., IEEE JSSC 43(2), 2008 (the pixel: memory, two thresholds, held in reset for the refractory
time); Rebecq et al., ESIM, CoRL 2018 (linear interpolation); Hu et al., v2e, CVPRW 2021, arXiv 2006.07722 (spread of
the thresholds, background activity).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from ..errors import ConfigError, DataError, ShapeError
from ..events import Events

_MIN_THRESHOLD = 0.01  # a pixel that happened to get less would report without end


@dataclass(frozen=True)
class CameraConfig:
    """The camera; the defaults are of the size that v2e takes for a DVS, no particular model is meant.

    Attributes:
        on_threshold: rise of the natural logarithm of the intensity that makes an event.
        off_threshold: fall that makes one.
        threshold_spread: standard deviation of both thresholds over the pixels, drawn once for the camera.
        refractory_us: how long a pixel is held in reset after an event: what changes meanwhile is lost.
        noise_hz: background events of a pixel in a second, at random times and of random polarity. They are added to
            what the pixels report; neither memory nor refractory time knows of them.
        hot_pixels: share of the pixels that make `hot_noise_hz` background events instead.
        hot_noise_hz: see there.
        floor: intensities below count as this: the dark current.

    Raises:
        ConfigError: a value out of range.
    """

    on_threshold: float = 0.2
    off_threshold: float = 0.2
    threshold_spread: float = 0.03
    refractory_us: int = 500
    noise_hz: float = 0.5
    hot_pixels: float = 0.0
    hot_noise_hz: float = 100.0
    floor: float = 0.02

    def __post_init__(self) -> None:
        for name in ("on_threshold", "off_threshold"):
            if getattr(self, name) < _MIN_THRESHOLD:
                raise ConfigError(f"{name}: {getattr(self, name)} is below {_MIN_THRESHOLD}")
        for name in ("threshold_spread", "refractory_us", "noise_hz", "hot_noise_hz"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}: {getattr(self, name)} is below 0")
        if not 0 <= self.hot_pixels <= 1:
            raise ConfigError(f"hot_pixels: {self.hot_pixels} is not a share between 0 and 1")
        if self.floor <= 0:
            raise ConfigError(f"floor: {self.floor} has no logarithm")


class EventCamera:
    """Takes one image after the other and gives the events between them; its memory is a few images in size.

    Args:
        size_hw: rows and columns of the sensor.
        config: what kind of camera.
        rng: where thresholds, hot pixels and noise come from.
    """

    def __init__(self, size_hw: tuple[int, int], config: CameraConfig, rng: Generator) -> None:
        self.size_hw, self.config, self._rng = size_hw, config, rng
        pixels = size_hw[0] * size_hw[1]
        # One entry a pixel, in the order of the rows; row 0 is OFF, row 1 is ON, as polarity counts them.
        nominal = np.array([[config.off_threshold], [config.on_threshold]])
        self.thresholds = np.maximum(rng.normal(nominal, config.threshold_spread, (2, pixels)), _MIN_THRESHOLD)
        hot = rng.random(pixels) < config.hot_pixels
        self._noise_until = np.cumsum(np.where(hot, config.hot_noise_hz, config.noise_hz))
        self._reset_until = np.full(pixels, -np.inf)  # us, the end of each pixel's refractory time
        self._memory = np.zeros(pixels)
        self._level = np.zeros(pixels)  # log intensity of the last image
        self._t_us: int | None = None

    def step(self, image: np.ndarray, t_us: int) -> Events:
        """Return the events since the last image, in the order of time; none for the first image.

        Args:
            image: (H, W) linear intensities.
            t_us: its time in microseconds, later than the last one's.

        Raises:
            ShapeError: not the size of the sensor.
            DataError: a time that does not rise, or an intensity that is not finite.
        """
        if image.shape != self.size_hw:
            raise ShapeError(f"image: expected {self.size_hw}, got {image.shape}")
        level = np.log(np.maximum(image.ravel(), self.config.floor)).astype(np.float64)
        if not np.isfinite(level).all():
            raise DataError(f"image at {t_us} us: an intensity that is not finite")
        before, t_before = self._level, self._t_us
        self._level, self._t_us = level, t_us
        if t_before is None:
            self._memory = level.copy()
            return Events.empty()
        if t_us <= t_before:
            raise DataError(f"image at {t_us} us: not later than the one before, at {t_before} us")
        signal = self._crossings(before, t_before, level, t_us)
        t, pixel, polarity = (np.concatenate(both) for both in zip(signal, self._noise(t_before, t_us), strict=True))
        order = np.argsort(t, kind="stable")
        row, column = np.divmod(pixel[order], self.size_hw[1])
        return Events(t[order], column.astype(np.uint16), row.astype(np.uint16), polarity[order])

    def _crossings(
        self, before: np.ndarray, t_before: int, level: np.ndarray, t_us: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Times, pixels and polarities of the events of a linear change; brings the memory up to date."""
        span = t_us - t_before
        held = np.flatnonzero(self._reset_until > t_before)
        # The memory of a pixel that is released on the way, or later, is what it sees then.
        share = np.minimum((self._reset_until[held] - t_before) / span, 1.0)
        self._memory[held] = before[held] + share * (level[held] - before[held])

        change, distance = level - before, level - self._memory
        crossed = (distance >= self.thresholds[1]) & (change > 0)
        crossed |= (distance <= -self.thresholds[0]) & (change < 0)
        pixel = np.flatnonzero(crossed)
        change, distance = change[pixel], distance[pixel]
        polarity = (change > 0).astype(np.uint8)
        speed, threshold = np.abs(change) / span, self.thresholds[polarity, pixel]
        # From one event to the next: the refractory time, then the way to the threshold.
        lost = speed * self.config.refractory_us
        count = np.floor((np.abs(distance) - threshold) / (threshold + lost)).astype(np.int64) + 1
        last = t_us - (np.abs(distance) - threshold - (count - 1) * (threshold + lost)) / speed
        period = (threshold + lost) / speed

        self._reset_until[pixel] = last + self.config.refractory_us
        # A pixel still held when the image ends gets its memory on release, whatever is written here.
        self._memory[pixel] += np.sign(change) * (count * (threshold + lost))
        later = np.repeat(np.cumsum(count), count) - 1 - np.arange(count.sum())  # events of the pixel still to come
        t = np.repeat(last, count) - later * np.repeat(period, count)
        # Rounded half up, so that whole refractory times stay whole.
        t = np.floor(t + 0.5).astype(np.int64).clip(t_before, t_us)
        return t, np.repeat(pixel, count), np.repeat(polarity, count)

    def _noise(self, t_before: int, t_us: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Background events: Poisson in number, spread evenly over the time, over pixels by their rates."""
        rate = self._noise_until[-1]
        count = int(self._rng.poisson(rate * (t_us - t_before) * 1e-6))
        pixel = np.searchsorted(self._noise_until, self._rng.random(count) * rate, side="right")
        polarity = self._rng.integers(2, size=count, dtype=np.uint8)
        return self._rng.integers(t_before, t_us, size=count), pixel, polarity


def film(images: Iterable[tuple[int, np.ndarray]], camera: EventCamera) -> Iterator[Events]:
    """Return the events of a camera that sees (t_us, image) after (t_us, image), step by step."""
    for t_us, image in images:
        yield camera.step(image, t_us)
