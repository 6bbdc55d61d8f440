"""What a demo begins with: a shipped model on data that it has not seen, where its spikes are, and what they cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..data.open import open_data
from ..metering.measure import Measurement, measure
from ..metering.page import heat_colours
from ..model.detector import SpikeYOLO, load
from ..structures import Detections, Placement
from ..weights.shipped import ShippedModel, shipped_models
from .samples import write_samples

SHOWN = 4

Sample = tuple[int, np.ndarray, Any, Any, Detections]
"""A number in an index, the image (H, W, 3) uint8 RGB, its labelled boxes (N, 4) and their classes (N,), and what was
found on it.
"""

Samples = Callable[[SpikeYOLO, Any, int], Iterator[Sample]]
"""Gives so many samples of an index, or all, from a folded model."""


@dataclass(frozen=True)
class Look:
    """A shipped model at work.

    Attributes:
        model: what is known of it.
        measurement: operations and spikes on the samples.
        images: of each sample, with boxes, and with its spikes over it; (H, W, 3) uint8 RGB.
        found: in a few words, of each.
        data: the data.yaml of the samples.
    """

    model: ShippedModel
    measurement: Measurement
    images: list[tuple[np.ndarray, np.ndarray]]
    found: list[str]
    data: Path


def first_look(name: str, folder: Path, samples: Samples) -> Look:
    """Run a shipped model on its samples, which are written into a folder.

    Args:
        name: of the model.
        folder: for the samples.
        samples: gives images and what was found.
    """
    written, model = write_samples(name, folder), load(name)
    index = open_data(written.data).split("test")
    measurement = measure(model, index, examples=len(index))
    assert model.input is not None
    dataset: Any = index.dataset(model.input)
    images, words = [], []
    for number, image, _, _, found in samples(model.fold(), index, SHOWN):
        spikes = over(image, measurement.examples[number].spikes, dataset[number].placement)
        images.append((found.with_names(model.names).plot(image), spikes))
        counts = [int((found.labels == label).sum()) for label in range(len(model.names))]
        words.append(", ".join(f"{count} {name}" for count, name in zip(counts, model.names, strict=True) if count))
    return Look(shipped_models()[name], measurement, images, words, written.data)


def over(image: np.ndarray, spikes: np.ndarray, placement: Placement) -> np.ndarray:
    """Return an image, darkened, with a map of spikes over it.

    Args:
        image: (H, W, 3) uint8 RGB.
        spikes: (h / 4, w / 4), of the canvas on which the image lay.
        placement: how it lay there.
    """
    import cv2

    rows, columns = image.shape[:2]
    (left, top), (across, down) = placement.offset_xy, placement.scale_xy
    canvas = cv2.resize(spikes.astype(np.float32), None, fx=4, fy=4, interpolation=cv2.INTER_LINEAR)
    bottom, right = top + down * placement.size_hw[0], left + across * placement.size_hw[1]
    part = canvas[round(top) : round(bottom), round(left) : round(right)]
    levels = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_LINEAR)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    mixed = 0.5 * grey + 0.6 * heat_colours(np.maximum(levels - levels.min(), 0)).astype(np.float32)
    return np.ascontiguousarray(mixed.clip(0, 255).round().astype(np.uint8))
