"""Prediction on whatever a model looks at: images and videos, or recordings of event cameras."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import ConfigError
from ..imaging.image_input import ImageInput
from ..model.detecting import Detecting
from ..model.inputs import chosen_input
from ..optional import optional_module
from .events import RunBy, found_on_recordings
from .images import found_on_images
from .result import FrameResult
from .settings import PredictionSettings, Summary, open_lines, open_writers
from .sources import Source, divided, kind_of
from .writers import Writer


def found_on(
    model: Detecting,
    sources: Sequence[Source],
    settings: PredictionSettings,
    summary: Summary,
    *,
    carry: bool = False,
    preparation: str | None = None,
    write: bool = True,
    run_by: RunBy | None = None,
    **changes: Any,
) -> Iterator[FrameResult]:
    """Run the detector over all sources that it takes; return what it finds, one by one as it is asked for.

    Args:
        model: the detector; where there are images and recordings, it decides which are taken, and the summary names
            the others.
        sources: from `find_sources`.
        settings: how to look, and what to write.
        summary: is kept as the run goes on.
        carry: on recordings, a timestep at a time, potentials kept; else a whole window at a time, from rest.
        preparation: how recordings become frames, by name, in place of what the model says.
        write: what the settings say; else nothing but JSON lines, where they are asked for.
        run_by: gives the detector to the engine that is fastest for a recording's sensor.
        **changes: to the windows and filters of recordings, see `chosen_input`.

    Raises:
        ConfigError: a setting that does not apply to what the model sees, or sources of a kind that it does not see.
        MissingPackage: of tracking, the extra `track` is not installed.
        DataError: while it runs: no source can be read.
        WriteError: while it runs: something cannot be written.
    """
    seen = chosen_input(model, settings.imgsz, preparation, kind_of(sources), **changes)
    taken, left_out = divided(sources, seen.kind)
    summary.left_out = left_out
    if settings.track and any(source.moving for source in taken):
        optional_module("supervision", "track")  # before anything is written
    summary.conf, summary.still = settings.thresholds.conf, not any(source.moving for source in taken)
    if isinstance(seen, ImageInput):
        if carry:
            raise ConfigError("carry: for recordings of event cameras; this model sees images")
        if settings.follow is not None:
            raise ConfigError("follow: for recordings of event cameras; this model sees images")
        found = found_on_images(model, taken, seen, settings, summary)
    else:
        found = found_on_recordings(model, taken, seen, settings, summary, carry=carry, run_by=run_by)
    if settings.json_lines is not None:
        found = _in_lines(open_lines(settings, taken), found)  # first: nobody waits for what is drawn
    return _written(model, taken, settings, summary, found) if write else found


def _in_lines(lines: Writer, found: Iterator[FrameResult]) -> Iterator[FrameResult]:
    with lines as writer:
        for result in found:
            writer.write(result)
            yield result


def _written(
    model: Detecting,
    sources: Sequence[Source],
    settings: PredictionSettings,
    summary: Summary,
    found: Iterator[FrameResult],
) -> Iterator[FrameResult]:
    """The same, each written before it is given on."""
    with open_writers(model.names, sources, settings, summary) as writer:
        for result in found:
            writer.write(result)
            yield result


def predict_sources(
    model: Detecting, sources: Sequence[Source], settings: PredictionSettings, **how: Any
) -> Iterator[Summary]:
    """Do as `found_on`, and write what the settings say; yield the running summary as the run goes on."""
    summary = Summary()
    for _ in found_on(model, sources, settings, summary, **how):
        yield summary
