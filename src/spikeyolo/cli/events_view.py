"""`spikeyolo events view`: windows of a recording as an image, a video or a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from ..terminal import say

if TYPE_CHECKING:
    import numpy as np

    from ..data.events.frame_sources import RecordingSource
    from ..events import Recording
    from ..prediction.event_view import Shot

MAX_PIXELS = 1 << 26  # of all windows of an image together
ON_IMAGE, IN_MOTION = 8, 600  # windows, unless more are asked for
PAGE, VIDEO = ".html", ".mp4"


def view(
    source: str,
    out: str | None = None,
    start_us: int | None = None,
    window_us: int = 50_000,
    windows: int | None = None,
    data: str | None = None,
    overwrite: bool = False,
) -> None:
    """Show windows of a recording, one after the other, each with the boxes that were labelled last in it.

    Args:
        source: a recording
        out: an image to write, a page to play in a browser (.html) or a video (.mp4); events.png, or the next free
            number, unless given
        start_us: where the first window begins, in microseconds; at the first event unless given
        window_us: length of a window, in microseconds
        windows: how many are shown; 8 on an image, 600 in a page or a video unless given
        data: the data.yaml of an event data set, for the names of classes

    Examples:
        spikeyolo events view drive_td.dat --data data.yaml --out drive.html
        spikeyolo events view drive_td.dat --start-us 2000000 --window-us 20000
    """
    from ..data.open import open_recordings
    from ..errors import ConfigError, quote
    from ..events import open_recording
    from ..events.event_input import LIMITS
    from ..files import new_file, numbered_file
    from ..imaging.io import WRITTEN_SUFFIXES
    from ..prediction.event_view import shots_of
    from .event_words import class_name, sensor_of, source_of

    if not 1 <= window_us <= LIMITS["window_us"] or (windows is not None and windows < 1):
        raise ConfigError(
            f"events view: window-us {quote(window_us)} and windows {quote(windows)} must be at least 1, "
            f"and window-us at most {LIMITS['window_us']}"
        )
    described = None if data is None else open_recordings(data)
    layout, _, labels = source_of(Path(source), described)
    reads = [Path(source), labels, *(described.files if described else ())]
    endings = [*WRITTEN_SUFFIXES, PAGE, VIDEO]
    file = new_file(out or numbered_file("events.png"), endings, reads=reads, overwrite=overwrite)
    in_motion = file.suffix.lower() in (PAGE, VIDEO)
    recording = open_recording(Path(source), sensor_of(described))
    begins = _begins(recording, start_us, window_us, windows or (IN_MOTION if in_motion else ON_IMAGE))
    shots = shots_of(recording, begins, window_us, _boxes(layout, labels, recording))
    drawn = (
        f"{len(begins)} windows of {window_us / 1e3:g} ms from {begins.start / 1e6:.3f} s on, brighter red, darker blue"
    )
    names = [class_name(described, number) for number in range(256)]
    _write(file, Path(source).name, drawn, shots, len(begins), window_us, names, recording.sensor_size_hw)
    more = -(-(max(recording.duration_us, 1) - begins.stop) // window_us) if windows is None and in_motion else 0
    say(f"{drawn}: {file}" + (f"; {more} more follow, --windows {len(begins) + more} shows all" if more > 0 else ""))


def _boxes(layout: RecordingSource, labels: Path, recording: Recording) -> np.ndarray:
    """Labelled boxes of a recording, of BOX_DTYPE; none where it has no labels."""
    import numpy as np

    from ..data.events.labels import BOX_DTYPE, clean_boxes

    if not labels.is_file():
        return np.zeros(0, BOX_DTYPE)
    return clean_boxes(layout.boxes(labels, recording), recording.sensor_size_hw)[0]


def _write(
    file: Path,
    title: str,
    drawn: str,
    shots: Iterator[Shot],
    windows: int,
    window_us: int,
    names: Sequence[str],
    sensor_size_hw: tuple[int, int],
) -> None:
    """Write what was asked for by the ending of a file."""
    from ..errors import ConfigError
    from ..imaging.draw import image_grid
    from ..imaging.io import write_rgb
    from ..prediction.event_view import write_view_page, write_view_video
    from ..prediction.events import DRAWN_SIDE

    enlarged = max(1, DRAWN_SIDE // max(sensor_size_hw))
    if file.suffix.lower() == PAGE:
        write_view_page(file, title, drawn, shots, window_us, names)
    elif file.suffix.lower() == VIDEO:
        write_view_video(file, shots, window_us, names, enlarged)
    elif windows * prod(sensor_size_hw) * enlarged**2 > MAX_PIXELS:
        raise ConfigError(f"events view: {windows} windows are more than {MAX_PIXELS} pixels; draw fewer")
    else:
        images = [shot.drawn(names, enlarged) for shot in shots]
        write_rgb(file, image_grid(images, columns=min(4, len(images)), background=128))


def _begins(recording: Recording, start_us: int | None, window_us: int, windows: int) -> range:
    """When so many windows begin, or those that there are; ConfigError where the first one does not."""
    from ..errors import ConfigError, quote

    start_us, end_us = recording.start_us if start_us is None else start_us, max(recording.duration_us, 1)
    if not 0 <= start_us < end_us:
        raise ConfigError(
            f"events view: start-us {quote(start_us)} is outside the recording's {recording.duration_us} us"
        )
    return range(start_us, min(start_us + windows * window_us, end_us), window_us)
