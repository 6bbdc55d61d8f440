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
from .steps import Demo, Log, Sample, demo_settings, show, train_and_measure

SHOWN, ENLARGED = 8, 2


def run_demo(
    out: Path, epochs: int | None = None, seed: int = 0, log: Log = show, config: ShapesConfig | None = None
) -> Demo:
    """Write images, train preset `t` on them, measure it on held-out ones and draw what it finds.

    Args:
        out: folder; images that an earlier demo left there are used again.
        epochs: of the recipe unless given.
        seed: of images, weights and order.
        log: called with sentences and tables.
        config: of the images; those of the demo unless given.

    Raises:
        ConfigError: the folder already holds a training.
    """
    config = config or ShapesConfig(seed=seed)
    log(f"1. {config.train} images to train on and {config.val} to evaluate on: {out / 'data'}")
    with progress_bar("images") as report:
        data = write_shapes(out / "data", config, report)
    settings = demo_settings("demo", data, seed, epochs)

    def video(_: ImageIndex) -> Path:
        return write_video(out / "shapes.mp4", frames=100, size_hw=(config.size, config.size), seed=seed + 1)

    return train_and_measure(out, settings, "val", _samples, video, log)


def _samples(model: SpikeYOLO, index: ImageIndex) -> Iterator[Sample]:
    """The first held-out images, enlarged."""
    for number in range(min(SHOWN, len(index))):
        image = np.kron(read_rgb(index.paths[number]), np.ones((ENLARGED, ENLARGED, 1), dtype=np.uint8))
        boxes, labels = index.objects(number)
        (detections,) = model.predict(image)
        yield image, boxes * ENLARGED, labels, detections
