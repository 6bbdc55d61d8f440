"""`spikeyolo events view`: windows of a recording as an image."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from ..terminal import say

if TYPE_CHECKING:
    import numpy as np

    from ..events import Recording

MAX_PIXELS = 1 << 26  # of all windows together


def view(
    source: str,
    out: str | None = None,
    start_us: int | None = None,
    window_us: int = 50_000,
    windows: int = 8,
    data: str | None = None,
    overwrite: bool = False,
) -> None:
    """Draw windows of a recording, one after the other, each with the boxes that were labelled last in it.

    Args:
        source: a recording
        out: the image to write; events.png, or the next free number, unless given
        start_us: where the first window begins, in microseconds; at the first event unless given
        window_us: length of a window, in microseconds
        windows: how many are drawn
        data: the data.yaml of an event data set, for the names of classes

    Examples:
        spikeyolo events view drive_td.dat --data data.yaml --out drive.png
        spikeyolo events view drive_td.dat --start-us 2000000 --window-us 20000
    """
    from ..data.events.labels import clean_boxes
    from ..data.open import open_recordings
    from ..errors import ConfigError, quote
    from ..events import open_recording
    from ..events.event_input import LIMITS
    from ..files import new_file, numbered_file
    from ..imaging.draw import image_grid
    from ..imaging.io import WRITTEN_SUFFIXES, write_rgb
    from ..prediction.events import DRAWN_SIDE
    from .event_words import class_name, sensor_of, source_of

    if not 1 <= window_us <= LIMITS["window_us"] or windows < 1:
        raise ConfigError(
            f"events view: window-us {quote(window_us)} and windows {quote(windows)} must be at least 1, "
            f"and window-us at most {LIMITS['window_us']}"
        )
    described = None if data is None else open_recordings(data)
    layout, _, labels = source_of(Path(source), described)
    reads = [Path(source), labels, *(described.files if described else ())]
    page = new_file(out or numbered_file("events.png"), WRITTEN_SUFFIXES, reads=reads, overwrite=overwrite)
    recording = open_recording(Path(source), sensor_of(described))
    start_us = recording.start_us if start_us is None else start_us
    end_us = max(recording.duration_us, 1)
    if not 0 <= start_us < end_us:
        raise ConfigError(
            f"events view: start-us {quote(start_us)} is outside the recording's {recording.duration_us} us"
        )
    boxes = clean_boxes(layout.boxes(labels, recording), recording.sensor_size_hw)[0] if labels.is_file() else None
    names = [class_name(described, number) for number in range(256)]
    enlarged = max(1, DRAWN_SIDE // max(recording.sensor_size_hw))
    begins = range(start_us, min(start_us + windows * window_us, end_us), window_us)
    if len(begins) * prod(recording.sensor_size_hw) * enlarged**2 > MAX_PIXELS:
        raise ConfigError(f"events view: {len(begins)} windows are more than {MAX_PIXELS} pixels; draw fewer")
    images = [_window(recording, begin, begin + window_us, enlarged, boxes, names) for begin in begins]
    write_rgb(page, image_grid(images, columns=min(4, len(images)), background=128))
    drawn = f"{len(images)} windows of {window_us / 1e3:g} ms from {start_us / 1e6:g} s on"
    say(f"{drawn}, brighter red, darker blue: {page}")


def _window(
    recording: Recording, begin: int, end: int, enlarged: int, boxes: np.ndarray | None, names: Sequence[str]
) -> np.ndarray:
    """A window as an image, with the boxes that were labelled last in it."""
    from ..data.events.columns import corners
    from ..imaging.draw import draw_boxes
    from ..prediction.events import window_image

    image = window_image(recording, begin, end).repeat(enlarged, axis=0).repeat(enlarged, axis=1)
    if boxes is None:
        return image
    own = boxes[(boxes["t"] > begin) & (boxes["t"] <= end)]
    own = own[own["t"] == own["t"].max()] if len(own) else own
    return draw_boxes(image, corners(own) * enlarged, own["class_id"], names)
