"""How a prediction runs, what it writes, and what it found so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..detection.postprocess import Thresholds
from ..files import new_folder, numbered, own_folder
from ..limits import MAX_BATCH, check_range
from ..option_help import described
from ..structures import Detections
from .sources import Source
from .writers import CropWriter, DrawingWriter, JsonWriter, TextWriter, Writer, Writers

DEFAULT = Path("runs/predict")


@described()
@dataclass(frozen=True)
class PredictionSettings:
    """How to look, and what to write.

    Attributes:
        out: folder for everything that is written, new or empty; runs/predict, or the next free number, unless given
        thresholds: which detections are kept

    Raises:
        ConfigError: a batch out of range.
    """

    out: str | Path | None = None
    thresholds: Thresholds = field(default_factory=Thresholds)
    imgsz: int | None = None
    batch: int = 1
    draw: bool = True
    json: bool = False
    text: bool = False
    crops: bool = False
    track: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_range("batch", self.batch, 1, MAX_BATCH)


@dataclass
class Summary:
    """What a run has found so far.

    Attributes:
        folder: where it is written.
        frames: looked at.
        total: frames in all, where that is known.
        detections: by class name.
        unreadable: a line for each source that could not be read.
        left_out: a line for each kind of source that the model does not take.
        step_us: of recordings, a step's length in the recording's time.
        latencies_ms: of recordings, from events to boxes, for each step.
    """

    folder: Path | None = None
    frames: int = 0
    total: int | None = None
    detections: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    step_us: int = 0
    latencies_ms: list[float] = field(default_factory=list)

    def add(self, found: Detections) -> None:
        """Take what was found on a frame."""
        self.detections.update(found.class_names)
        self.frames += 1

    def lines(self) -> list[str]:
        """Return what a run came to, in lines."""
        counts = ", ".join(f"{count} {name}" for name, count in self.detections.most_common()) or "nothing found"
        written = "" if self.folder is None else f"; written to {self.folder}"
        skipped = [f"skipped: {line}" for line in self.unreadable]
        return [*self.left_out, *skipped, f"{self.frames} frames: {counts}{written}", *filter(None, [self.speed()])]

    def speed(self) -> str | None:
        """Return a line with the latency of a step beside its length; None for images."""
        if not self.latencies_ms:
            return None
        median, slow = np.percentile(self.latencies_ms, [50, 95])
        length = self.step_us / 1e3
        keeps = "keeps" if slow <= length else "does not keep"
        return (
            f"a step of {length:g} ms takes {median:.1f} ms (median), {slow:.1f} ms (95 %), from events to boxes; "
            f"real-time factor {median / length:.2f}: {keeps} up with the camera"
        )


@contextmanager
def open_writers(
    names: Sequence[str], sources: Sequence[Source], settings: PredictionSettings, summary: Summary
) -> Iterator[Writer]:
    """Give everything that is to be written, in a folder that the summary names; it goes again if nothing was written.

    Raises:
        WriteError: the folder holds files already, or sources, or cannot be made.
    """
    reads = [source.path for source in sources if source.is_file]
    if settings.out is None:
        folder = numbered(DEFAULT)
    else:
        folder = new_folder(settings.out, reads=reads, overwrite=settings.overwrite)
    summary.folder = folder
    writers: list[tuple[bool, Callable[[], Writer]]] = [
        (settings.draw, lambda: DrawingWriter(folder)),
        (settings.json, lambda: JsonWriter(folder / "predictions.json")),
        (settings.text, lambda: TextWriter(own_folder(folder, "labels"))),
        (settings.crops, lambda: CropWriter(own_folder(folder, "crops"), names)),
    ]
    try:
        with Writers([make() for wanted, make in writers if wanted]) as opened:
            yield opened
    finally:
        if settings.out is None:
            with suppress(OSError):
                folder.rmdir()  # which only an empty one can be
