"""What the two demos share: a shipped model at work; then train, measure, count energy, draw, each announced."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
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
from ..model.detector import load
from ..training.settings import TrainSettings, read_settings, recipe_path
from .look import Look, Sample, Samples, first_look
from .page import Trained, write_demo_page

Log = Callable[[Any], None]
"""Called with sentences and `rich` tables, in the order in which things happen."""

SECONDS = 600
"""In which a demo is done on two cores; the twin is trained within them unless it is asked for."""


@dataclass
class Story:
    """A demo that goes on.

    Attributes:
        out: folder for everything.
        command: that tells it, without its options.
        seed: where all randomness comes from.
        epochs: of the user.
        log: called with sentences and tables.
        started: on the clock of the process, in seconds.
        look: the shipped model at work.
    """

    out: Path
    command: str
    seed: int
    epochs: int | None
    log: Log
    started: float = field(default_factory=time.monotonic)
    look: Look | None = None

    @property
    def page(self) -> Path:
        """The page that shows everything."""
        return self.out / "demo.html"

    @property
    def words(self) -> str:
        """The whole command."""
        epochs = "" if self.epochs is None else f" --epochs {self.epochs}"
        return f"{self.command} --seed {self.seed}{epochs}"

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.started


@dataclass(frozen=True)
class Demo:
    """What a demo made.

    Attributes:
        data: the data.yaml of the generated data.
        weights: the trained model.
        validation: its numbers on data that it has not seen.
        measurement: operations and spikes on those.
        predictions: an image of those: labelled above, found below.
        energy_page: the report of the energy, an HTML page.
        example: a generated video, or recording, to predict on.
        page: everything on one HTML page, with the shipped model that the demo began with.
        twin: the numbers of the ReLU twin, if it was trained.
    """

    data: Path
    weights: Path
    validation: Validation
    measurement: Measurement
    predictions: Path
    energy_page: Path
    example: Path
    page: Path
    twin: Validation | None


def show(item: Any) -> None:
    """Print a sentence as it is, and a table by `rich`."""
    if isinstance(item, str):
        terminal.say(*item.splitlines())
    else:
        terminal.show(item)


def demo_settings(recipe: str, data: Path, seed: int, epochs: int | None) -> TrainSettings:
    """Return a shipped recipe for generated data."""
    settings = replace(read_settings(recipe_path(recipe)), data=str(data), seed=seed)
    return settings if epochs is None else replace(settings, epochs=epochs)


def begin(story: Story, name: str, samples: Samples) -> None:
    """Run step 1 of a demo: a shipped model on data that it has not seen, on a page to look at while training goes on.

    Args:
        story: the demo.
        name: of the model.
        samples: gives what is drawn, from the model and an index.
    """
    story.look = look = first_look(name, story.out / "samples", samples)
    story.log(f"1. {name}, which comes with the package ({look.model.about}), on {len(look.found)} samples:")
    story.log("\n".join(f"   found {words or 'nothing'}" for words in look.found))
    technology = find_technology(DEFAULT)
    story.log(summary_table(look.measurement, technology))
    write_demo_page(story.page, story.words, look)
    story.log(
        f"look at {story.page}: boxes, where the spikes are, what they cost; after {story.seconds:.0f} seconds. "
        "It grows as the demo goes on."
    )


def train_and_measure(
    story: Story,
    settings: TrainSettings,
    split: str,
    samples: Samples,
    shown: int,
    example: Callable[[Any], Path],
    twin: bool | None = None,
) -> Demo:
    """Run steps 3 to 6 of a demo: training, average precision, energy, the twin; and draw what is found.

    Args:
        story: the demo, begun.
        settings: of the training.
        split: on which to measure.
        samples: gives what is drawn, from the model and the index of the split.
        shown: so many of them.
        example: gives what to predict on, from the index of the split.
        twin: train the ReLU twin, too; where the time is enough unless given.

    Raises:
        ConfigError: the folder already holds a training.
    """
    from ..training.run import train  # Lightning: not before the first page is there

    out, log = story.out, story.log
    log(f"3. training preset {settings.model} for {settings.epochs} epochs: {out / 'run'}")
    before = story.seconds
    run = train(settings, out / "run")
    log(f"4. average precision on split {split}, which it has not been trained on")
    model, index = load(run.best), open_data(settings.data).split(split)
    folded = model.fold()
    validation = validate(folded, index, ValidationSettings(workers=1, sequence=settings.sequence))
    took = story.seconds - before
    validation.write(run.path)
    for table in validation.tables():
        log(table)
    log("5. operations, spikes and energy")
    technology, page = find_technology(DEFAULT), out / "energy.html"
    found = measure(model, index, batch=20)
    write_page(page, found, technology, f"Energy of the demo's network on split {split}")
    log(summary_table(found, technology))
    values = to_json(found, technology)
    log(f"firing rate {values['firing_rate']:.1%}: share of the unary slots that hold a spike")
    log("\n".join([*headline(values), f"layer by layer, with heat maps: {page}"]))
    pairs = [_pair(sample, index.names) for sample in samples(folded, index, shown)]
    predictions = out / "predictions.png"
    labelled, drawn = zip(*pairs, strict=True)
    write_rgb(predictions, image_grid([*labelled, *drawn], columns=len(pairs), background=128))
    log("6. the same network as an ANN, its ReLU twin")
    twin_numbers, why_not = _twin(story, settings, split, twin, took)
    _tell(story, settings, split, pairs, validation, found, twin_numbers, why_not)
    made = (predictions, page, example(index), story.page)
    return Demo(Path(settings.data), run.best, validation, found, *made, twin_numbers)


def _twin(
    story: Story, settings: TrainSettings, split: str, wanted: bool | None, took: float
) -> tuple[Validation | None, str]:
    """The numbers of the twin, trained by the same recipe; or none, and how they are had."""
    if wanted is None and story.seconds + took > SECONDS:
        command = f"{story.words} --twin"
        why = f"Not trained here: with it, this would have taken more than {SECONDS // 60} minutes. {command} does it."
        story.log(why)
        return None, why
    if wanted is False:
        return None, f"Not trained, as was asked for; {story.words} --twin does it."
    from ..training.run import train

    run = train(replace(settings, neuron="relu"), story.out / "twin")
    index = open_data(settings.data).split(split)
    found = validate(load(run.best).fold(), index, ValidationSettings(workers=1, sequence=settings.sequence))
    story.log(found.tables()[0])
    return found, ""


def _tell(
    story: Story,
    settings: TrainSettings,
    split: str,
    pairs: list[tuple[np.ndarray, np.ndarray]],
    validation: Validation,
    found: Measurement,
    twin: Validation | None,
    why_not: str,
) -> None:
    """Write the whole page."""
    metrics = {"with spikes": validation.metrics} | ({} if twin is None else {"ReLU twin, an ANN": twin.metrics})
    title = f"Trained here: preset {settings.model}, {settings.epochs} epochs, on generated data; split {split}"
    assert story.look is not None
    write_demo_page(story.page, story.words, story.look, Trained(title, pairs, metrics, found, why_not))
    story.log(f"everything on one page: {story.page}; after {story.seconds:.0f} seconds")


def _pair(sample: Sample, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """As labelled, and as found."""
    _, image, boxes, labels, detections = sample
    return draw_boxes(image, boxes, labels, names), detections.with_names(names).plot(image)
