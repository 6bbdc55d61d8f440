from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from ..errors import ConfigError, DataError
from ..model.detector import SpikeYOLO
from .sources import Clip, Frame
from .tracking import Tracker
from .writers import CropWriter, DrawingWriter, Found, JsonWriter, TextWriter, Writer, Writers


@dataclass(frozen=True)
class PredictionSettings:
    """How to look, and what to write.

    Attributes:
        out: folder for everything that is written.
        conf: least score of a detection.
        iou: overlap over which the weaker of two boxes of a class is dropped.
        max_det: most detections of an image.
        imgsz: side of the square that images are letter-boxed to.
        batch: images looked at together; frames of a video too.
        draw: write images and videos with boxes.
        json: write OUT/predictions.json.
        text: write YOLO text files.
        crops: write what each box shows.
        track: number objects through the frames of a video.
    """

    out: Path
    conf: float = 0.25
    iou: float = 0.7
    max_det: int = 300
    imgsz: int = 640
    batch: int = 1
    draw: bool = True
    json: bool = False
    text: bool = False
    crops: bool = False
    track: bool = False

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ConfigError(f"batch: {self.batch} is below 1")


@dataclass
class Summary:
    """What a run found: frames seen, detections by class name, and images that could not be read."""

    frames: int = 0
    detections: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)


def predict_sources(model: SpikeYOLO, clips: Sequence[Clip], settings: PredictionSettings) -> Iterator[Summary]:
    """Runs the detector over all clips; yields the running summary after each batch, so that progress can be shown.

    Memory does not grow with the length of a video. An image that cannot be read is named in the summary, and the
    others go on; a single source that cannot be read is an error.

    Raises:
        DataError: nothing could be read, or nothing can be written.
        ConfigError: a threshold out of range.
    """
    summary = Summary()
    with open_writers(model, settings) as writer:
        for clip in clips:
            tracker = Tracker(clip.fps) if settings.track and clip.moving else None
            frames = clip.frames()
            while batch := _next_frames(frames, clip, settings.batch, summary, alone=len(clips) == 1):
                for found in _look(model, batch, settings, tracker):
                    writer.write(found)
                    summary.detections.update(model.names[i] for i in found.detections.labels.tolist())
                summary.frames += len(batch)
                yield summary
    if summary.frames == 0:
        raise DataError(f"none of the {len(clips)} sources could be read; the first: {summary.unreadable[0]}")


def _next_frames(frames: Iterator[Frame], clip: Clip, count: int, summary: Summary, alone: bool) -> list[Frame]:
    try:
        return list(islice(frames, count))
    except DataError as error:
        if alone:
            raise
        summary.unreadable.append(str(error))
        return []


def _look(
    model: SpikeYOLO, frames: list[Frame], settings: PredictionSettings, tracker: Tracker | None
) -> Iterator[Found]:
    results = model.predict(
        [frame.image for frame in frames], settings.conf, settings.iou, settings.max_det, settings.imgsz
    )
    for frame, result in zip(frames, results, strict=True):
        detections = result.to("cpu")
        if tracker is None:
            yield Found(frame, detections)
        else:
            yield Found(frame, *tracker.follow(detections))


def open_writers(model: SpikeYOLO, settings: PredictionSettings) -> Writer:
    """Everything that is to be written, in folders that exist.

    Raises:
        DataError: a folder cannot be made.
    """
    labels, crops = settings.out / "labels", settings.out / "crops"
    try:
        for folder, wanted in ((settings.out, True), (labels, settings.text), (crops, settings.crops)):
            if wanted:
                folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{settings.out}: cannot be made a folder ({error.strerror})") from error
    writers: list[tuple[bool, Writer]] = [
        (settings.draw, DrawingWriter(settings.out, model.names)),
        (settings.json, JsonWriter(settings.out / "predictions.json", model.names)),
        (settings.text, TextWriter(labels)),
        (settings.crops, CropWriter(crops, model.names)),
    ]
    return Writers([writer for wanted, writer in writers if wanted])
