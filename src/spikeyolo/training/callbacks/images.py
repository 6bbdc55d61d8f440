from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.callbacks import Callback

from ...data.images.sheet import batch_sheet
from ...evaluation.plots import save_figure
from ...imaging.draw import draw_detections, image_grid
from ...imaging.io import write_rgb
from ...imaging.tensors import batch_images
from ...structures import Batch, Detections
from ..history import LOSSES, History
from ..run_folder import RunFolder, write_or_warn

FIRST_BATCHES = 3
ON_A_SHEET = 16
DRAWN_SCORE = 0.25


def draw_sheet(batch: Batch, found: Sequence[Detections], names: Sequence[str]) -> np.ndarray:
    """The first images of a batch with the detections worth showing, (H, W, 3) uint8 RGB."""
    drawn = []
    for image, detections in zip(batch_images(batch.images, ON_A_SHEET), found, strict=False):
        strong = detections.scores > DRAWN_SCORE
        kept = Detections(
            detections.boxes[strong].float(), detections.scores[strong].float(), detections.labels[strong]
        )
        drawn.append(draw_detections(image, kept, names))
    return image_grid(drawn)


class ImageKeeper(Callback):
    """Draws the first training batches once, and what is found on the first validation batch after each epoch."""

    def __init__(self, folder: RunFolder, names: Sequence[str]) -> None:
        self.folder, self.names = folder, names

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Of the first epoch alone."""
        if trainer.is_global_zero and trainer.current_epoch == 0 and batch_idx < FIRST_BATCHES:
            _write(self.folder.path / f"train_batch{batch_idx}.png", batch_sheet(batch, self.names))

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """The first batch."""
        if trainer.is_global_zero and batch_idx == 0:
            _write(self.folder.path / "val_predictions.png", draw_sheet(batch, outputs, self.names))


def _write(file: Path, image: np.ndarray) -> None:
    write_or_warn(str(file), lambda: write_rgb(file, image))


def plot_history(history: History, file: Path) -> None:
    """Losses and precision over the epochs, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, names, title in ((left, LOSSES, "training loss"), (right, ("AP50", "AP"), "validation")):
        for name in names:
            points = [(row["epoch"], row[name]) for row in history.rows if name in row]
            if points:
                axes.plot(*zip(*points, strict=True), label=name)
        axes.set(title=title, xlabel="epoch")
        axes.grid(color="0.9")
        axes.legend(frameon=False)
    write_or_warn(str(file), lambda: save_figure(figure, file))
