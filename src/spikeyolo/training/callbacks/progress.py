from __future__ import annotations

import os
import sys
import time
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback

from ..history import Row
from ..module import DetectorModule

LOG_EVERY = 10
"""Batches between two points of the curves in TensorBoard."""


def memory_gb() -> float:
    """Memory in use, GB (10^9 bytes): the most torch has held on the GPU, or what the process holds on the CPU."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_reserved() / 1e9
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e9
    except OSError:  # no Linux
        return float("nan")


class ProgressLine(Callback):
    """A moving line on a terminal, a lasting line for each epoch, curves for the loggers; on the first process only."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._epoch_started = self._last_batch = time.perf_counter()
        self._speed = 0.0

    def _report(self, trainer: pl.Trainer, text: str, done: int, total: int) -> None:
        if not (trainer.is_global_zero and sys.stderr.isatty()):
            return
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("", total=None)
            self._bar.start()
        self._bar.update(self._task, description=text, completed=done, total=total)

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The epoch's clock starts."""
        self._epoch_started = self._last_batch = time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Shows losses, speed, memory and mean spike count."""
        assert isinstance(pl_module, DetectorModule)
        now = time.perf_counter()
        speed = batch.batch_size * trainer.world_size / (now - self._last_batch)
        self._speed = speed if batch_idx == 0 else 0.9 * self._speed + 0.1 * speed
        self._last_batch = now
        shown = pl_module.shown
        text = (
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  box {shown['box_loss']:.2f}  "
            f"class {shown['class_loss']:.2f}  distribution {shown['distribution_loss']:.2f}  "
            f"{self._speed:.0f} images/s  {memory_gb():.1f} GB  mean count {shown.get('mean_count', float('nan')):.2f}"
        )
        self._report(trainer, text, batch_idx + 1, int(trainer.num_training_batches))
        if trainer.fit_loop.total_batch_idx % LOG_EVERY == 0:
            points = {f"train/{name}": value for name, value in shown.items()}
            self._log(trainer, {**points, "images_per_second": self._speed, "memory_gb": memory_gb()})

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Shows how far validation is."""
        total = int(trainer.num_val_batches[0])
        self._report(
            trainer, f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  validation", batch_idx + 1, total
        )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The epoch's line; called before the module closes its row."""
        assert isinstance(pl_module, DetectorModule)
        self._stop()
        row = {**pl_module.history.current.means(), **pl_module.metrics}
        seconds = time.perf_counter() - self._epoch_started
        self._log(trainer, {f"epoch/{name}": value for name, value in row.items()})
        if trainer.is_global_zero:
            print(epoch_line(row, trainer.current_epoch + 1, int(trainer.max_epochs or 0), seconds), file=sys.stderr)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Leaves the terminal as it was."""
        self._stop()

    @staticmethod
    def _log(trainer: pl.Trainer, values: dict[str, float]) -> None:
        for logger in trainer.loggers:
            logger.log_metrics(values, step=trainer.global_step)


def epoch_line(row: Row, epoch: int, epochs: int, seconds: float) -> str:
    """What is left to read of an epoch."""
    parts = [
        f"epoch {epoch}/{epochs}",
        f"box {row['box_loss']:.3f}",
        f"class {row['class_loss']:.3f}",
        f"distribution {row['distribution_loss']:.3f}",
    ]
    if "mean_count" in row:
        parts.append(f"mean count {row['mean_count']:.2f}")
    if "AP" in row:
        parts.append(f"AP50 {row['AP50']:.3f}  AP {row['AP']:.3f}")
    return "  ".join([*parts, f"{seconds:.0f} s"])
