"""What the two demos share: train, measure, count energy, draw; each step is announced before it and shown after it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import terminal
from ..data.open import open_data
from ..evaluation.validate import Validation, ValidationSettings, validate
from ..imaging.draw import draw_boxes, image_grid
from ..imaging.io import write_rgb
from ..metering.measure import Measurement, measure
from ..metering.page import write_page
from ..metering.report import headline, summary_table, to_json
from ..metering.technology import DEFAULT, find_technology
from ..model.detector import SpikeYOLO, load
from ..structures import Detections
from ..training.run import train
from ..training.settings import TrainSettings, read_settings, recipe_path

Log = Callable[[Any], None]
"""Called with sentences and `rich` tables, in the order in which things happen."""

Sample = tuple[np.ndarray, Any, Any, Detections]
"""An image (H, W, 3) uint8 RGB, its labelled boxes (N, 4) and their classes (N,), and what was found on it."""


@dataclass(frozen=True)
class Demo:
    """What a demo made.

    Attributes:
        data: the data.yaml of the generated data.
        weights: the trained model.
        validation: its numbers on data that it has not seen.
        measurement: operations and spikes on those.
        predictions: a page of those: labelled above, found below.
        energy_page: the report of the energy, an HTML page.
        example: a generated video, or recording, to predict on.
    """

    data: Path
    weights: Path
    validation: Validation
    measurement: Measurement
    predictions: Path
    energy_page: Path
    example: Path


def show(item: Any) -> None:
    """Print a sentence as it is, and a table by `rich`."""
    if isinstance(item, str):
        terminal.say(item)
    else:
        terminal.show(item)


def demo_settings(recipe: str, data: Path, seed: int, epochs: int | None) -> TrainSettings:
    """Return a shipped recipe for generated data."""
    settings = replace(read_settings(recipe_path(recipe)), data=str(data), seed=seed)
    return settings if epochs is None else replace(settings, epochs=epochs)


def train_and_measure(
    out: Path,
    settings: TrainSettings,
    split: str,
    samples: Callable[[SpikeYOLO, Any], Iterable[Sample]],
    example: Callable[[Any], Path],
    log: Log,
) -> Demo:
    """Run steps 2 to 4 of a demo: training, average precision, energy; and draw what is found.

    Args:
        out: folder for everything.
        settings: of the training.
        split: on which to measure.
        samples: gives what is drawn, from the model and the index of the split.
        example: gives what to predict on, from the index of the split.
        log: called with sentences and tables.

    Raises:
        ConfigError: the folder already holds a training.
    """
    log(f"2. training preset {settings.model} for {settings.epochs} epochs: {out / 'run'}")
    run = train(settings, out / "run")
    log(f"3. average precision on split {split}, which it has not been trained on")
    model, index = load(run.best), open_data(settings.data).split(split)
    folded = model.fold()
    validation = validate(folded, index, ValidationSettings(workers=1, sequence=settings.sequence))
    validation.write(run.path)
    for table in validation.tables():
        log(table)
    log("4. operations, spikes and energy")
    technology, page = find_technology(DEFAULT), out / "energy.html"
    found = measure(model, index, batch=20)
    write_page(page, found, technology, f"Energy of the demo's network on split {split}")
    log(summary_table(found, technology))
    values = to_json(found, technology)
    log(f"firing rate {values['firing_rate']:.1%}: share of the unary slots that hold a spike")
    log("\n".join([*headline(values), f"layer by layer, with heat maps: {page}"]))
    predictions = out / "predictions.png"
    write_rgb(predictions, _comparison(samples(folded, index), index.names))
    return Demo(Path(settings.data), run.best, validation, found, predictions, page, example(index))


def _comparison(samples: Iterable[Sample], names: tuple[str, ...]) -> np.ndarray:
    """Two rows: as labelled, and as found."""
    labelled, found = [], []
    for image, boxes, labels, detections in samples:
        labelled.append(draw_boxes(image, boxes, labels, names))
        found.append(detections.with_names(names).plot(image))
    return image_grid(labelled + found, columns=len(labelled), background=128)
