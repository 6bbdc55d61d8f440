"""The demo of images: from nothing to a trained, measured detector with images to look at, on generated data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..data.images.index import ImageIndex
from ..imaging.io import read_rgb
from ..model.detector import SpikeYOLO
from ..progress import progress_bar
from ..synthetic.shapes import ShapesConfig, write_shapes
from ..synthetic.video import write_video
from .look import Sample
from .steps import Demo, Log, Story, begin, demo_settings, show, train_and_measure

SHOWN = 8
WIDE = 256
"""Pixels that smaller images are enlarged to, about."""


def run_demo(
    out: Path,
    epochs: int | None = None,
    seed: int = 0,
    log: Log = show,
    config: ShapesConfig | None = None,
    twin: bool | None = None,
) -> Demo:
    """Show a shipped model at work; write images, train preset `t` on them, measure it on held-out ones, draw and tell.

    Args:
        out: folder; images that an earlier demo left there are used again.
        epochs: of the recipe unless given.
        seed: of images, weights and order.
        log: called with sentences and tables.
        config: of the images; those of the demo unless given.
        twin: train the ReLU twin, too; where ten minutes are enough for both unless given.

    Raises:
        ConfigError: the folder already holds a training.
    """
    story = Story(out, "spikeyolo demo", seed, epochs, log)
    begin(story, "t-bccd", _samples)
    config = config or ShapesConfig(seed=seed)
    log(f"2. {config.train} images to train on and {config.val} to evaluate on: {out / 'data'}")
    with progress_bar("images") as report:
        data = write_shapes(out / "data", config, report)
    settings = demo_settings("demo", data, seed, epochs)

    def video(_: ImageIndex) -> Path:
        return write_video(out / "shapes.mp4", frames=100, size_hw=(config.size, config.size), seed=seed + 1)

    return train_and_measure(story, settings, "val", _samples, SHOWN, video, twin)


def _samples(model: SpikeYOLO, index: ImageIndex, count: int) -> Iterator[Sample]:
    """The first images, small ones enlarged."""
    for number in range(min(count, len(index))):
        image = read_rgb(index.paths[number])
        times = max(WIDE // max(image.shape), 1)
        image = np.kron(image, np.ones((times, times, 1), dtype=np.uint8))
        boxes, labels = index.objects(number)
        (detections,) = model.predict(image)
        yield number, image, boxes * times, labels, detections
