"""Images of a training to look at: its first batches, what is found on validation samples, its curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.callbacks import Callback

from ...data.grids import batch_grid
from ...evaluation.plots import save_figure
from ...imaging.draw import draw_boxes, image_grid
from ...imaging.io import write_rgb
from ...imaging.tensors import batch_images
from ...structures import Batch, Detections, Placement, StretchBatch
from ..history import LOSSES, History
from ..module import DetectorModule
from ..run_folder import RunFolder

FIRST_BATCHES = 3
IN_A_GRID = 8
CELL_SIDE = 320
"""Smaller images are enlarged to about this many pixels, so that names do not cover what they name."""
DRAWN_SCORE = 0.25


def draw_predictions(batch: Batch, found: Sequence[Detections], names: Sequence[str]) -> np.ndarray:
    """Draw the first images of a batch twice: in odd rows as labelled, below each as found.

    Args:
        batch: images or event frames with their targets.
        found: detections in pixels of the originals.
        names: class names.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    labelled, predicted = [], []
    images = batch_images(batch.images, IN_A_GRID)
    for number, (image, detections, placement) in enumerate(zip(images, found, batch.placements, strict=False)):
        times = max(1, CELL_SIDE // max(image.shape[:2]))
        large = image.repeat(times, axis=0).repeat(times, axis=1)
        own = batch.targets.image_index == number
        boxes, labels = batch.targets.boxes[own].cpu() * times, batch.targets.labels[own].cpu()
        labelled.append(draw_boxes(large, boxes, labels, names))
        predicted.append(_worth_drawing(detections, placement, times).with_names(names).plot(large))
    columns = min(4, len(labelled))
    rows = [
        cell
        for start in range(0, len(labelled), columns)
        for side in (labelled, predicted)
        for cell in _filled(side[start : start + columns], columns)
    ]
    return image_grid(rows, columns=columns)


def _worth_drawing(found: Detections, placement: Placement, times: int) -> Detections:
    """The detections of some confidence, on the enlarged canvas."""
    strong = found.scores > DRAWN_SCORE
    boxes = placement.to_canvas(found.boxes[strong].float()) * times
    return Detections(boxes, found.scores[strong].float(), found.labels[strong])


def _filled(cells: list[np.ndarray], count: int) -> list[np.ndarray]:
    return cells + [np.full_like(cells[0], 255)] * (count - len(cells))


class ImageLogger(Callback):
    """Draws the first training batches once, and what is found on the first validation batch after each epoch."""

    def __init__(self, folder: RunFolder, names: Sequence[str]) -> None:
        self.folder, self.names = folder, names
        self._drawn = False

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Draw those of the first epoch."""
        if trainer.is_global_zero and trainer.current_epoch == 0 and batch_idx < FIRST_BATCHES:
            samples = _samples(batch, pl_module)
            if samples.batch_size:
                self._write(f"train_batch{batch_idx}.png", batch_grid(samples, self.names))

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw again."""
        self._drawn = False

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the first batch with labels."""
        if trainer.is_global_zero and not self._drawn and outputs:
            self._drawn = True
            self._write("val_predictions.png", draw_predictions(_samples(batch, pl_module), outputs, self.names))

    def _write(self, name: str, image: np.ndarray) -> None:
        file = self.folder.path / name
        self.folder.write_or_warn(file, lambda: write_rgb(file, image))


def _samples(batch: Batch | StretchBatch, module: pl.LightningModule) -> Batch:
    """What is labelled in a batch, as samples to look at."""
    return batch if isinstance(batch, Batch) else batch.windows(cast(DetectorModule, module).network.timesteps)


def plot_history(history: History, folder: RunFolder) -> None:
    """Draw losses and precision over the epochs, as curves.png."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, names, title in ((left, LOSSES, "training loss"), (right, ("AP50", "AP"), "validation")):
        for name, style in zip(names, ("-", "--", ":"), strict=False):  # those that coincide can be seen, too
            points = [(row["epoch"], row[name]) for row in history.rows if name in row]
            if points:
                # A line needs two points; of few each one is marked.
                axes.plot(*zip(*points, strict=True), style, label=name, marker="o" if len(points) < 30 else None)
        axes.set(title=title, xlabel="epoch", xlim=(0.5, max(len(history.rows), 1) + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(color="0.9")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False)
        else:
            axes.text(0.5, 0.5, "none yet", ha="center", va="center", transform=axes.transAxes, color="0.5")
    right.set_ylim(0, 1.02)
    file = folder.path / "curves.png"
    folder.write_or_warn(file, lambda: save_figure(figure, file))
