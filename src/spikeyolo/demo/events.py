"""The demo of event cameras: from nothing to a detector measured on recordings it has not seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from ..data.events.index import EventIndex
from ..detection.thresholds import Thresholds
from ..events.event_input import EventInput, Order
from ..imaging.tensors import frames_image
from ..model.detector import SpikeYOLO
from ..progress import progress_bar
from ..synthetic.recordings import RecordingsConfig, write_recordings, write_reordered
from .look import Sample
from .steps import Demo, Log, Story, begin, demo_settings, show, train_and_measure

SHOWN, ENLARGED = 6, 3

DRAWN = Thresholds(iou=0.5)
"""Of what is drawn. Two things of a class hardly ever share half their area in a recording; two boxes that do are of
one thing, and F1 on `val` says so, too."""

DEMO_RECORDINGS = RecordingsConfig(
    train=240, val=20, test=40, size_hw=(96, 96), duration_us=1_000_000, label_every_us=200_000
)
"""Labels lie so far apart that no event is seen twice."""

FOLLOWED_RECORDINGS = replace(DEMO_RECORDINGS, train=250, label_every_us=50_000)
"""Of a training along recordings: a label every timestep; as many recordings as nine minutes are enough for."""

FOLLOWED_SHARE, FOLLOWED_EPOCHS = 0.25, 2
"""The share of rows that follow recordings, and passes over them. Where all rows do, one batch is much like the next,
and less is learnt in as many steps."""


def run_demo(
    out: Path,
    epochs: int | None = None,
    seed: int = 0,
    log: Log = show,
    config: RecordingsConfig | None = None,
    order: Order = "oldest-first",
    sequence: int | None = None,
    twin: bool | None = None,
) -> Demo:
    """Show a shipped model at work; write recordings, train preset `t` on them, measure it on others, draw and tell.

    The best weights are chosen on the split `val`, the numbers are those of `test`.

    Args:
        out: folder; recordings that an earlier demo left there are used again.
        epochs: of the recipe unless given.
        seed: of recordings, weights and order.
        log: called with sentences and tables.
        config: of the recordings; those of the demo unless given.
        order: of the timesteps, see `EventInput`; "shuffled" shows what is lost without the order of time.
        sequence: train along recordings, potentials carried, so many timesteps at once, beside stretches that end at
            random labels; on windows unless given.
        twin: train the ReLU twin, too; where ten minutes are enough for both unless given.

    Raises:
        ConfigError: the folder already holds a training, or timesteps that are in no order to follow.
    """
    followed = "" if sequence is None else f" --sequence {sequence}"
    story = Story(out, f"spikeyolo demo --events{followed}", seed, epochs, log)
    begin(story, "t-events", _samples)
    if config is None:
        config = replace(DEMO_RECORDINGS if sequence is None else FOLLOWED_RECORDINGS, seed=seed)
    log(f"2. {config.train} recordings to train on, {config.val} to choose by, {config.test} to report: {out / 'data'}")
    with progress_bar("recordings") as report:
        data = write_recordings(out / "data", config, report)
    data = data if order == "oldest-first" else write_reordered(data, order)
    settings = demo_settings("events-demo", data, seed, epochs)
    if sequence is not None:
        passes = FOLLOWED_EPOCHS if epochs is None else epochs
        settings = replace(settings, sequence=sequence, sequence_share=FOLLOWED_SHARE, epochs=passes)
    samples = partial(_samples, carry=sequence is not None)
    return train_and_measure(story, settings, "test", samples, SHOWN, lambda index: index.recordings[0], twin)


def _samples(model: SpikeYOLO, index: EventIndex, count: int, carry: bool = False) -> Iterator[Sample]:
    """Windows, enlarged; with `carry`, found after all that came before in the recording."""
    assert isinstance(model.input, EventInput)
    assert model.input.window_us is not None
    dataset, step_us = index.dataset(model.input), model.input.window_us // model.timesteps
    for instant in _middles(min(count, len(index)), len(index)):
        sample = dataset[instant]
        image = frames_image(sample.frames).repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1)
        if carry:
            steps = max(int(index.t_us[instant]) // step_us, model.timesteps)
            whole = index.dataset(replace(model.input, timesteps=steps, window_us=steps * step_us))[instant]
            frames = model.prepare(whole.frames.unsqueeze(1))
            _, state = model.look(frames[: -model.timesteps], {}) if steps > model.timesteps else (None, {})
            logits, _ = model.look(frames[-model.timesteps :], state)
            (found,) = model.detect(logits, DRAWN, [sample.placement])
        else:
            (found,) = model.predict(sample.frames.unsqueeze(1), iou=DRAWN.iou)
        yield instant, image, sample.boxes * ENLARGED, sample.labels, replace(found, boxes=found.boxes * ENLARGED)


def _middles(parts: int, length: int) -> list[int]:
    """The middles of equal parts: the first window of all is half empty, as its recording begins in it."""
    return [length * half // (2 * parts) for half in range(1, 2 * parts, 2)]
