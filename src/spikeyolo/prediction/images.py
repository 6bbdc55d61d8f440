"""Prediction on images, videos and cameras."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from ..errors import DataError
from ..imaging.image_input import ImageInput
from ..model.detecting import Detecting
from .result import FrameResult
from .settings import PredictionSettings, Summary
from .sources import Frame, Source
from .tracking import Tracker


def found_on_images(
    model: Detecting, sources: Sequence[Source], seen: ImageInput, settings: PredictionSettings, summary: Summary
) -> Iterator[FrameResult]:
    """Run the detector over all sources; yield what it finds, frame by frame.

    Batches are filled with the frames of one source after the other. Memory does not grow with the length of a video.
    An image that cannot be read is named in the summary, and the others go on; a single one is an error.

    Args:
        model: the detector.
        sources: images, videos and cameras.
        seen: what images become.
        settings: how to look.
        summary: is kept.

    Raises:
        DataError: nothing could be read.
    """
    summary.total = None if any(source.moving for source in sources) else len(sources)
    frames = _frames(sources, summary)
    tracker: tuple[Source, Tracker] | None = None
    while batch := list(islice(frames, settings.batch)):
        for result in _predict_batch(model, batch, seen, settings):
            source = result.frame.source
            if settings.track and source.moving:
                if tracker is None or tracker[0] is not source:
                    tracker = source, Tracker(source.fps)
                result = FrameResult(result.frame, *tracker[1].follow(result.detections))
            summary.add(result.detections)
            yield result
    if summary.frames == 0:
        raise DataError(f"none of the {len(sources)} sources could be read; the first: {summary.unreadable[0]}")


def _frames(sources: Sequence[Source], summary: Summary) -> Iterator[Frame]:
    """The frames of all sources; those that cannot be read are named in the summary."""
    for source in sources:
        yield from source.frames() if len(sources) == 1 else _readable_frames(source, summary)


def _readable_frames(source: Source, summary: Summary) -> Iterator[Frame]:
    try:
        yield from source.frames()
    except DataError as error:
        summary.unreadable.append(str(error))


def _predict_batch(
    model: Detecting, frames: list[Frame], seen: ImageInput, settings: PredictionSettings
) -> Iterator[FrameResult]:
    kept = settings.thresholds
    found = model.predict(
        [frame.image for frame in frames], conf=kept.conf, iou=kept.iou, max_det=kept.max_det, imgsz=seen.size_hw
    )
    for frame, detections in zip(frames, found, strict=True):
        yield FrameResult(frame, detections.to("cpu").with_names(model.names))
