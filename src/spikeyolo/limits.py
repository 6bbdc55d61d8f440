"""How large settings may be: bounds that no real use meets, checked before anything is allocated."""

from __future__ import annotations

from .errors import ConfigError, quote

MAX_SIDE = 8192
"""Of the canvas of images, in pixels."""

MAX_TIMESTEPS = 1000
MAX_COUNT = 63
"""The largest D: six binary digits."""

MAX_CLASSES = 20_000
MAX_BATCH = 65_536
MAX_WORKERS = 1024
"""Of a process; and processes of a computer."""

MAX_SEED = 2**32 - 1
"""The largest that numpy's and Lightning's generators take."""

MAX_IMAGES = 1024
"""On a page."""

MAX_DETECTIONS = 100_000
"""Of an image."""


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise ConfigError unless a setting's value is in low..high; NaN is not."""
    if not low <= value <= high:
        limit = f"below {low:,}" if value < low else f"outside {low:,}..{high:,}"
        raise ConfigError(f"{name}: {quote(value)} is {limit}")
