"""How a prediction runs, what it writes, and what it found so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..detection.postprocess import Thresholds
from ..errors import WriteError
from ..limits import MAX_BATCH, check_range
from .writers import CropWriter, DrawingWriter, JsonWriter, TextWriter, Writer, Writers


@dataclass(frozen=True)
class PredictionSettings:
    """How to look, and what to write.

    Attributes:
        out: folder for everything that is written
        thresholds: which detections are kept
        imgsz: side of the square that images are letter-boxed to, a multiple of 32, in place of what the model says
        batch: images looked at together, frames of videos too
        draw: write images and videos with boxes
        json: write OUT/predictions.json
        text: write YOLO text files
        crops: write what each box shows
        track: number objects through the frames of a video

    Raises:
        ConfigError: a batch out of range.
    """

    out: Path
    thresholds: Thresholds = field(default_factory=Thresholds)
    imgsz: int | None = None
    batch: int = 1
    draw: bool = True
    json: bool = False
    text: bool = False
    crops: bool = False
    track: bool = False

    def __post_init__(self) -> None:
        check_range("batch", self.batch, 1, MAX_BATCH)


@dataclass
class Summary:
    """What a run has found so far.

    Attributes:
        frames: looked at.
        total: frames in all, where that is known.
        detections: by class name.
        unreadable: a line for each source that could not be read.
        left_out: a line for each kind of source that the model does not take.
        step_us: of recordings, a step's length in the recording's time.
        latencies_ms: of recordings, from events to boxes, for each step.
    """

    frames: int = 0
    total: int | None = None
    detections: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    step_us: int = 0
    latencies_ms: list[float] = field(default_factory=list)

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


def open_writers(names: Sequence[str], settings: PredictionSettings) -> Writer:
    """Return everything that is to be written, in folders that exist.

    Raises:
        WriteError: a folder cannot be made.
    """
    labels, crops = settings.out / "labels", settings.out / "crops"
    try:
        for folder, wanted in ((settings.out, True), (labels, settings.text), (crops, settings.crops)):
            if wanted:
                folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"{settings.out}: cannot be made a folder ({error.strerror})") from error
    writers: list[tuple[bool, Writer]] = [
        (settings.draw, DrawingWriter(settings.out, names)),
        (settings.json, JsonWriter(settings.out / "predictions.json", names)),
        (settings.text, TextWriter(labels)),
        (settings.crops, CropWriter(crops, names)),
    ]
    return Writers([writer for wanted, writer in writers if wanted])
