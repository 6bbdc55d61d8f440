"""results.csv, best.safetensors and last.ckpt of a run, written so that a kill or a full disk loses nothing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint

from ...errors import CheckpointError, one_line
from ...files import write_whole
from ...interruption import StopRequest, on_signals
from ..module import DetectorModule
from ..run_folder import RunFolder, to_bytes
from .averaging import ExponentialAverage


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoints, written beside and renamed; a disk that is full costs a warning and the newer state."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write it; Lightning calls this on the first process."""
        self.folder.write_or_warn(Path(path), lambda: write_whole(Path(path), to_bytes(checkpoint)))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read tensors and plain values; nothing a file contains is run. `finished_epochs` has checked the content.

        Raises:
            CheckpointError: missing, damaged, or holding anything else.
        """
        try:
            return torch.load(path, map_location=map_location or "cpu", weights_only=True)
        except Exception as error:  # torch raises many kinds for damaged files
            raise CheckpointError(f"{path}: cannot be read ({type(error).__name__}: {one_line(error)})") from error


ASK_EVERY = 20
"""Optimiser steps between two questions whether it is time for all processes to save: their clocks differ."""


class Stopped(BaseException):
    """The training ends as it was asked to: last.ckpt is written, in all processes at once.

    No KeyboardInterrupt: at one of those Lightning kills the other processes.
    """


class RunCheckpoints(Checkpoint):
    """Writes results.csv, best.safetensors and last.ckpt, in this order, after every epoch; last.ckpt also within one.

    A kill between two of them does no harm: the resumed epoch writes the same rows and weights again. At a signal
    last.ckpt is written as soon as it can be, and the training ends.

    Args:
        folder: of the run.
        average: the weights to keep.
        minutes: between checkpoints within an epoch.
        steps: optimiser steps between checkpoints within an epoch, besides.
        stop: notes signals from the start of the training on.
    """

    def __init__(
        self, folder: RunFolder, average: ExponentialAverage, minutes: float, steps: int | None, stop: StopRequest
    ) -> None:
        self.folder, self.average, self.minutes, self.steps, self.stop = folder, average, minutes, steps, stop
        self.best_saved = -1.0
        self._saved_at = time.monotonic()
        self._saved_step = self._asked_step = 0

    @property
    def state_key(self) -> str:
        """The name in last.ckpt, which runs of earlier versions have, too."""
        return "RunRecorder"

    def state_dict(self) -> dict[str, Any]:
        """Return the fitness of what lies in best.safetensors."""
        return {"best_saved": self.best_saved}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it back."""
        self.best_saved = state_dict["best_saved"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the time; take the signals over from Lightning, which saves nothing at one."""
        on_signals(self.stop)
        self._saved_at, self._saved_step = time.monotonic(), trainer.global_step
        self._asked_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save when it is time, between two steps: gradients that wait for a step are not in a checkpoint."""
        assert isinstance(pl_module, DetectorModule)
        if pl_module.pending or batch_idx + 1 == trainer.num_training_batches:
            return
        stops = self._stops(trainer)
        enough = self.steps is not None and trainer.global_step - self._saved_step >= self.steps
        if stops or enough or self._is_late(trainer):
            self._save_last(trainer, pl_module)
        if stops:
            raise Stopped

    def _stops(self, trainer: pl.Trainer) -> bool:
        """Whether any process has been asked to stop."""
        return trainer.strategy.reduce_boolean_decision(bool(self.stop.signum), all=False)

    def _is_late(self, trainer: pl.Trainer) -> bool:
        """Whether the last checkpoint is older than it should be, by the first process's clock."""
        late = time.monotonic() - self._saved_at >= 60 * self.minutes
        if trainer.world_size == 1:
            return late
        if trainer.global_step - self._asked_step < ASK_EVERY:
            return False
        self._asked_step = trainer.global_step
        return bool(trainer.strategy.broadcast(late))

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """End a validation that is to stop; the resumed run does all of it, as after the last batch of the epoch."""
        assert isinstance(pl_module, DetectorModule)
        if batch_idx >= pl_module.shared_validation_batches or not self._stops(trainer):
            return
        self.average.on_validation_epoch_end(trainer, pl_module)  # the weights trade places again
        progress = trainer.fit_loop.epoch_loop.val_loop.batch_progress
        for part in (progress.total, progress.current):
            part.reset()
        progress.increment_ready()
        progress.increment_started()  # as in the first batch: by this Lightning knows that validation is not done
        self._save_last(trainer, pl_module)
        raise Stopped

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End between two epochs; after the last one there is nothing to be stopped."""
        if self._stops(trainer):
            raise Stopped

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the epoch's row and save everything. Lightning calls checkpoint callbacks after all others."""
        assert isinstance(pl_module, DetectorModule)
        pl_module.check_weights()
        pl_module.close_epoch()
        if trainer.is_global_zero:
            self._write_results(pl_module)
        self._save_best(trainer, pl_module)
        self._save_last(trainer, pl_module)

    def _write_results(self, module: DetectorModule) -> None:
        content = module.history.to_csv().encode()
        self.folder.write_or_warn(self.folder.results, lambda: write_whole(self.folder.results, content))

    def _save_best(self, trainer: pl.Trainer, module: DetectorModule) -> None:
        value = module.history.rows[-1].get("fitness")
        if value is None or value <= self.best_saved:
            return
        saved = True
        if trainer.is_global_zero:
            best = self.folder.best
            saved = self.folder.write_or_warn(best, lambda: self.average.network.save(best))
        if trainer.strategy.broadcast(saved):
            self.best_saved = value

    def _save_last(self, trainer: pl.Trainer, module: DetectorModule) -> None:
        module.check_weights()
        trainer.save_checkpoint(self.folder.last)
        self._saved_at, self._saved_step = time.monotonic(), trainer.global_step
