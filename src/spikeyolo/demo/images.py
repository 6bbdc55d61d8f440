"""The demo: from nothing to a trained, measured detector with images to look at, on generated data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..data.images.index import Index
from ..energy.cost import ann_millijoule, snn_millijoule
from ..energy.counting import LayerCount, count_layers
from ..energy.report import weighted_rate
from ..energy.technology import DEFAULT, find_technology
from ..evaluation.validate import Validation, ValidationSettings, read_images, validate
from ..imaging.draw import draw_boxes, draw_detections, image_grid
from ..imaging.io import read_rgb, write_rgb
from ..model.detector import SpikeYOLO, load
from ..progress import progress_bar
from ..synthetic.shapes import ShapesConfig, write_shapes
from ..synthetic.video import write_video
from ..training.run import train
from ..training.settings import TrainSettings, read_settings, recipe_path


@dataclass(frozen=True)
class Story:
    """What the demo made.

    Attributes:
        data: the data.yaml of the generated images.
        weights: the trained model.
        validation: its numbers on the held-out images.
        layers: operations and spikes of each layer on those images.
        predictions: a page of held-out images: labelled above, found below.
        video: a generated video to predict on.
    """

    data: Path
    weights: Path
    validation: Validation
    layers: list[LayerCount]
    predictions: Path
    video: Path

    @property
    def millijoules(self) -> tuple[float, float]:
        """Energy of an image by the 45 nm model: this network with spikes, and as an ANN."""
        technology = find_technology(DEFAULT)
        ann = ann_millijoule(sum(layer.macs for layer in self.layers), technology)
        assert ann is not None
        return snn_millijoule(self.layers, technology), ann

    @property
    def firing_rate(self) -> float:
        """Share of binary slots that hold a spike, over all layers."""
        return weighted_rate(self.layers)


def tell(out: Path, epochs: int | None = None, seed: int = 0, say: Callable[[str], None] = print) -> Story:
    """Writes images, trains preset `t` on them, measures it on held-out ones and draws what it finds.

    Args:
        out: folder; images that an earlier demo left there are used again.
        epochs: of the recipe unless given.
        seed: of images, weights and order.
        say: told each step.

    Raises:
        ConfigError: the folder already holds a training.
    """
    shapes = ShapesConfig(seed=seed)
    say(f"1. {shapes.train} images to train on and {shapes.val} to evaluate on: {out / 'data'}")
    with progress_bar("images") as report:
        data = write_shapes(out / "data", shapes, report)
    settings = replace(read_settings(recipe_path("demo")), data=str(data), seed=seed)
    settings = settings if epochs is None else replace(settings, epochs=epochs)
    say(f"2. training preset {settings.model} for {settings.epochs} epochs at {settings.imgsz} pixels: {out / 'run'}")
    run = train(settings, out / "run")
    say("3. average precision on the held-out images")
    model, index = load(run.best).fold(), read_images(str(data), "val")
    validation = validate(model, index, ValidationSettings(imgsz=settings.imgsz, workers=1))
    validation.write_all(run.path)
    say("4. operations, spikes and energy")
    layers = count_layers(load(run.best), _images(index))
    predictions = out / "predictions.png"
    write_rgb(predictions, _page(model, index, settings))
    video = write_video(out / "shapes.mp4", frames=100, size_hw=(settings.imgsz, settings.imgsz), seed=seed + 1)
    return Story(data, run.best, validation, layers, predictions, video)


def _images(index: Index, batch: int = 20) -> Iterator[Tensor]:
    images = [read_rgb(path) for path in index.paths]
    for start in range(0, len(images), batch):
        stacked = np.stack(images[start : start + batch])
        yield torch.from_numpy(stacked).permute(0, 3, 1, 2).float() / 255


def _page(model: SpikeYOLO, index: Index, settings: TrainSettings, count: int = 8) -> np.ndarray:
    """Two rows of the first held-out images, enlarged: as labelled, and as found."""
    labelled, found = [], []
    for number in range(count):
        image = np.kron(read_rgb(index.paths[number]), np.ones((2, 2, 1), dtype=np.uint8))
        boxes, labels = index.objects(number)
        labelled.append(draw_boxes(image, boxes * 2, labels, index.names))
        (detections,) = model.predict(image, imgsz=settings.imgsz)
        found.append(draw_detections(image, detections, index.names))
    return image_grid(labelled + found, columns=count)
