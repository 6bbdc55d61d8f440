"""The demo of event cameras: from nothing to a detector measured on recordings it has not seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..data.events.dataset import EventDataset
from ..data.events.index import EventIndex
from ..evaluation.validate import Validation, ValidationSettings, read_split, validate
from ..events import EventInput
from ..events.event_input import Order
from ..imaging.draw import draw_boxes, draw_detections, image_grid
from ..imaging.io import write_rgb
from ..imaging.tensors import frames_image
from ..model.detector import SpikeYOLO, load
from ..progress import progress_bar
from ..synthetic.recordings import RecordingsConfig, write_recordings, write_reordered
from ..training.run import train
from ..training.settings import read_settings, recipe_path

ENLARGED = 3

DEMO_RECORDINGS = RecordingsConfig(
    train=240, val=20, test=40, size_hw=(96, 96), duration_us=1_000_000, label_every_us=200_000
)
"""Labels lie so far apart that no event is seen twice."""


@dataclass(frozen=True)
class EventStory:
    """What the demo made.

    Attributes:
        data: the data.yaml of the generated recordings.
        weights: the trained model.
        validation: its numbers on the recordings of the test split.
        predictions: a page of windows of those: labelled above, found below.
        recording: one of them.
    """

    data: Path
    weights: Path
    validation: Validation
    predictions: Path
    recording: Path


def tell_events(
    out: Path,
    epochs: int | None = None,
    seed: int = 0,
    say: Callable[[str], None] = print,
    config: RecordingsConfig | None = None,
    order: Order = "oldest-first",
) -> EventStory:
    """Writes recordings, trains preset `t` on them, measures it on others and draws what it finds.

    The best weights are chosen on the split `val`, the numbers are those of `test`.

    Args:
        out: folder; recordings that an earlier demo left there are used again.
        epochs: of the recipe unless given.
        seed: of recordings, weights and order.
        say: told each step.
        config: of the recordings; those of the demo unless given.
        order: of the timesteps, see `EventInput`; "shuffled" shows what is lost without the order of time.

    Raises:
        ConfigError: the folder already holds a training.
    """
    config = config or replace(DEMO_RECORDINGS, seed=seed)
    say(f"1. {config.train} recordings to train on, {config.val} to choose by, {config.test} to report: {out / 'data'}")
    with progress_bar("recordings") as report:
        data = write_recordings(out / "data", config, report)
    data = data if order == "oldest-first" else write_reordered(data, order)
    settings = replace(read_settings(recipe_path("events-demo")), data=str(data), seed=seed)
    settings = settings if epochs is None else replace(settings, epochs=epochs)
    say(f"2. training preset {settings.model} for {settings.epochs} epochs: {out / 'run'}")
    run = train(settings, out / "run")
    say("3. average precision on recordings that it has not seen")
    model, index = load(run.best).fold(), read_split(str(data), "test")
    assert isinstance(index, EventIndex)
    validation = validate(model, index, ValidationSettings(workers=1))
    validation.write_all(run.path)
    predictions = out / "predictions.png"
    write_rgb(predictions, _page(model, index))
    return EventStory(data, run.best, validation, predictions, index.recordings[0])


def _page(model: SpikeYOLO, index: EventIndex, count: int = 6) -> np.ndarray:
    """Two rows of windows of the held-out recordings, enlarged: as labelled, and as found."""
    assert isinstance(model.input, EventInput)
    dataset = EventDataset(index, model.input)
    labelled, found = [], []
    for instant in np.linspace(0, len(index) - 1, count).round().astype(int).tolist():
        sample = dataset[instant]
        image = frames_image(sample.frames).repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1)
        labelled.append(draw_boxes(image, sample.boxes * ENLARGED, sample.labels, index.names))
        (detections,) = model.predict(sample.frames.unsqueeze(1))
        found.append(draw_detections(image, replace(detections, boxes=detections.boxes * ENLARGED), index.names))
    return image_grid(labelled + found, columns=count, background=128)
