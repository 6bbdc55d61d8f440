"""How a prediction runs, what it writes, and what it found so far."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..detection.postprocess import Thresholds
from ..files import new_file, new_folder, numbered, own_folder
from ..limits import MAX_BATCH, check_range
from ..option_help import described
from ..structures import Detections
from .sources import Source
from .writers import LINE_ENDINGS, CropWriter, DrawingWriter, JsonWriter, LinesWriter, TextWriter, Writer, Writers

DEFAULT = Path("runs/predict")
LAST_STEPS = 10_000
"""Steps whose times are kept: those of a stream without end would fill the memory."""


def _last() -> deque[float]:
    return deque(maxlen=LAST_STEPS)


@described()
@dataclass(frozen=True)
class PredictionSettings:
    """How to look, and what to write.

    Attributes:
        out: folder for everything that is written, new or empty; runs/predict, or the next free number, unless given
        thresholds: which detections are kept
        json_lines: write what is found as it is found, a line of JSON a frame, into this file; "-": standard output
        follow: read on as recordings grow, until nothing was added for so many seconds

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
    json_lines: str | Path | None = None
    follow: float | None = None

    def __post_init__(self) -> None:
        check_range("batch", self.batch, 1, MAX_BATCH)


@dataclass
class Summary:
    """What a run has found so far.

    Attributes:
        folder: where it is written.
        frames: looked at.
        total: frames in all, where that is known.
        still: whether they are all single images.
        conf: the least score that a detection had to have.
        detections: by class name.
        unreadable: a line for each source that could not be read.
        left_out: a line for each kind of source that the model does not take.
        step_us: of recordings, a step's length in the recording's time.
        latencies_ms: of recordings, from events to boxes, for each of the last steps.
        stages_ms: what they are made of, by stage.
        seconds: of recordings, from the first look to the last, with what was done about each step, without waiting for
            a camera.
    """

    folder: Path | None = None
    frames: int = 0
    total: int | None = None
    still: bool = False
    conf: float | None = None
    detections: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    step_us: int = 0
    latencies_ms: deque[float] = field(default_factory=_last)
    stages_ms: dict[str, deque[float]] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, found: Detections) -> None:
        """Take what was found on a frame."""
        self.detections.update(found.class_names)
        self.frames += 1

    def add_step(self, stages_ms: Mapping[str, float], latency_ms: float) -> None:
        """Take how long a step took."""
        self.latencies_ms.append(latency_ms)
        for stage, took in stages_ms.items():
            self.stages_ms.setdefault(stage, _last()).append(took)

    def lines(self) -> list[str]:
        """Return what a run came to, in lines."""
        counts = ", ".join(f"{count} {name}" for name, count in self.detections.most_common()) or "nothing found"
        if not self.detections and self.conf:
            counts += f" with a score of {self.conf:g} or more (--conf)"
        looked_at = f"{self.frames} {'image' if self.still else 'frame'}{'' if self.frames == 1 else 's'}"
        written = "" if self.folder is None else f"; written to {self.folder}"
        skipped = [f"skipped: {line}" for line in self.unreadable]
        return [*self.left_out, *skipped, f"{looked_at}: {counts}{written}", *filter(None, [self.speed()])]

    def speed(self) -> str | None:
        """Return a line with a step's latency, and all of the work beside the recording's time; None for images."""
        if not self.latencies_ms:
            return None
        median, slow = np.percentile(self.latencies_ms, [50, 95])
        length, parts = self.step_us / 1e3, ""
        if self.stages_ms:
            parts = ", ".join(f"{stage} {np.median(took):.1f}" for stage, took in self.stages_ms.items())
            parts = f" ({parts})"
        factor = self.real_time_factor
        keeps = "keeps" if factor <= 1 else "does not keep"
        return (
            f"a step of {length:g} ms takes {median:.1f} ms (median), {slow:.1f} ms (95 %), from events to boxes"
            f"{parts}; real-time factor {factor:.2f}: {keeps} up with the camera"
        )

    @property
    def real_time_factor(self) -> float:
        """Seconds of work for a second of recordings; of what is drawn and written, too."""
        return self.seconds / (self.frames * self.step_us / 1e6)


def open_lines(settings: PredictionSettings, sources: Sequence[Source]) -> Writer:
    """Give the writer of JSON lines that the settings name; without one, a writer that writes nothing.

    Raises:
        WriteError: nothing may be written there.
    """
    if settings.json_lines is None:
        return Writers([])
    if settings.json_lines == "-":
        return LinesWriter(None)
    reads = [source.path for source in sources if source.is_file]
    return LinesWriter(new_file(settings.json_lines, LINE_ENDINGS, reads=reads, overwrite=settings.overwrite))


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
