"""What a training says while it runs: a line at its start, a moving one on terminals, a lasting one for each epoch.

Not Lightning's bar: it shows metrics as they come and cuts them at the terminal's width, has a second bar for
validation, and says nothing where the output is a file.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback

from ...terminal import console, in_notebook, say
from ..history import COLUMNS, LOSSES, Row
from ..module import DetectorModule

LOG_EVERY = 10
"""Batches between two points of the curves in TensorBoard."""

WIDE = 120
"""Columns of a terminal that has room for the parts of the loss, too."""

ESTIMATE_AFTER, LONG_HOURS = 20, 24.0
"""Batches after which the time of a training on a CPU is estimated, and the hours from which on it is said."""


def memory_gb() -> float:
    """Return the memory in use, GB (10^9 bytes): the most that torch has held on the GPU, or the process on the CPU."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_reserved() / 1e9
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e9
    except OSError:  # no Linux
        return float("nan")


class TrainingProgress(Callback):
    """Shows how far a training is, on the first process, and hands the curves to the loggers."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._epoch_started = self._last_batch = time.perf_counter()
        self._speed = 0.0
        self._batches = 0
        self._first_seconds = 0.0
        self._line = ""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the epoch's clock."""
        self._print_line()
        self._epoch_started = self._last_batch = time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Show losses, speed, memory and mean spike count."""
        assert isinstance(pl_module, DetectorModule)
        now = time.perf_counter()
        seconds, self._last_batch = now - self._last_batch, now
        speed = batch.batch_size * trainer.world_size / seconds
        self._speed = speed if batch_idx == 0 else 0.9 * self._speed + 0.1 * speed
        shown = pl_module.shown  # on a GPU nothing until the first steps are read
        details = self._details(shown) if shown else ""
        self._show(trainer, "", details, batch_idx + 1, int(trainer.num_training_batches))
        self._estimate(trainer, seconds)
        if trainer.fit_loop.total_batch_idx % LOG_EVERY == 0:
            points = {f"train/{name}": value for name, value in shown.items()}
            _log(trainer, {**points, "images_per_second": self._speed, "memory_gb": memory_gb()})

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Show how far validation is."""
        self._show(trainer, " validation", "", batch_idx + 1, int(trainer.num_val_batches[0]))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the epoch's line, which is printed when `RunCheckpoints`, which Lightning calls last, has saved it."""
        assert isinstance(pl_module, DetectorModule)
        self._stop()
        row = {**pl_module.history.current.means(), **pl_module.metrics}
        seconds = time.perf_counter() - self._epoch_started
        _log(trainer, {f"epoch/{name}": value for name, value in row.items()})
        if trainer.is_global_zero:
            self._line = epoch_line(row, trainer.current_epoch + 1, int(trainer.max_epochs or 0), seconds)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the last epoch's line."""
        self._print_line()

    def _print_line(self) -> None:
        line, self._line = self._line, ""
        if line:
            say(line)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Leave the terminal as it was."""
        self._stop()

    def _show(self, trainer: pl.Trainer, phase: str, details: str, done: int, total: int) -> None:
        if not (trainer.is_global_zero and (sys.stderr.isatty() or in_notebook())):
            return
        if self._bar is None:
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

            columns = (
                TextColumn("{task.description}"),
                BarColumn(12),
                TaskProgressColumn(),
                TimeRemainingColumn(compact=True),
                TextColumn("{task.fields[details]}"),
            )
            self._bar = Progress(*columns, console=console(stderr=True), transient=True)
            self._task = self._bar.add_task("", total=None, details="")
            self._bar.start()
        title = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}{phase}"
        self._bar.update(self._task, description=title, details=details, completed=done, total=total)

    def _details(self, shown: dict[str, float]) -> str:
        losses = [shown[name] for name in LOSSES]
        speed = f"{self._speed:.0f} images/s  {memory_gb():.1f} GB"
        if self._bar is not None and self._bar.console.width >= WIDE:
            count = shown.get("mean_count", float("nan"))
            box, classes, distribution = losses
            return f"box {box:.2f}  class {classes:.2f}  distribution {distribution:.2f}  count {count:.2f}  {speed}"
        return f"loss {sum(value for name, value in shown.items() if name.endswith('_loss')):.2f}  {speed}"

    def _estimate(self, trainer: pl.Trainer, seconds: float) -> None:
        """Say once how long a training on a CPU takes, if that is long: nobody should wait for weeks unawares."""
        self._batches += 1
        if self._batches > 1:  # the first one warms up
            self._first_seconds += seconds
        if self._batches != ESTIMATE_AFTER or trainer.strategy.root_device.type != "cpu":
            return
        left = (int(trainer.max_epochs or 0) - trainer.current_epoch) * int(trainer.num_training_batches)
        hours = left * self._first_seconds / (ESTIMATE_AFTER - 1) / 3600
        if hours >= LONG_HOURS and trainer.is_global_zero:
            time_left = f"{hours:.0f} hours" if hours < 72 else f"{hours / 24:.0f} days"
            say(
                f"at this speed the training takes about {time_left} on this CPU; a GPU, --model t, "
                "a smaller --imgsz, or for a few hundred images --config small make it shorter"
            )

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _log(trainer: pl.Trainer, values: dict[str, float]) -> None:
    for logger in trainer.loggers:
        logger.log_metrics(values, step=trainer.global_step)


def epoch_line(row: Row, epoch: int, epochs: int, seconds: float) -> str:
    """Return what is left to read of an epoch."""
    parts = [
        f"epoch {epoch}/{epochs}",
        f"box {row['box_loss']:.3f}",
        f"class {row['class_loss']:.3f}",
        f"distribution {row['distribution_loss']:.3f}",
    ]
    further = {name: value for name, value in row.items() if name not in COLUMNS}
    parts += [f"{name.removesuffix('_loss').replace('_', ' ')} {value:.3g}" for name, value in further.items()]
    if "mean_count" in row:
        parts.append(f"mean count {row['mean_count']:.2f}")
    if "AP" in row:
        parts.append(f"AP50 {row['AP50']:.3f}  AP {row['AP']:.3f}")
    return "  ".join([*parts, f"{seconds:.0f} s"])
