"""Prediction on whatever a model looks at: images and videos, or recordings of event cameras."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..errors import ConfigError
from ..imaging.image_input import ImageInput
from ..model.detecting import Detecting
from ..model.inputs import chosen_input
from .events import predict_recordings
from .images import predict_images
from .settings import PredictionSettings, Summary
from .sources import Source, divided, kind_of


def predict_sources(
    model: Detecting,
    sources: Sequence[Source],
    settings: PredictionSettings,
    *,
    carry: bool = False,
    preparation: str | None = None,
    window_us: int | None = None,
) -> Iterator[Summary]:
    """Run the detector over all sources that it takes; yield the running summary as the run goes on.

    Args:
        model: the detector; where there are images and recordings, it decides which are taken, and the summary names
            the others.
        sources: from `find_sources`.
        settings: how to look, and what to write.
        carry: on recordings, a timestep at a time, potentials kept; else a whole window at a time, from rest.
        preparation: how recordings become frames, by name, in place of what the model says.
        window_us: length of a window of a recording in microseconds, in place of what the model says.

    Raises:
        DataError: no source can be read.
        ConfigError: a setting that does not apply to what the model sees, or sources of a kind that it does not see.
        WriteError: something cannot be written.
    """
    seen = chosen_input(model, settings.imgsz, preparation, window_us, kind=kind_of(sources))
    taken, left_out = divided(sources, seen.kind)
    if isinstance(seen, ImageInput):
        if carry:
            raise ConfigError("carry: for recordings of event cameras; this model sees images")
        summaries = predict_images(model, taken, seen, settings)
    else:
        summaries = predict_recordings(model, taken, seen, settings, carry=carry)
    for summary in summaries:
        summary.left_out = left_out
        yield summary
