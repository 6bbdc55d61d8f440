"""The detector as Lightning trains it: one batch, one step, one validated batch."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import lightning.pytorch as pl
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn
from torch.optim import Optimizer

from ..detection.losses import detection_loss
from ..detection.postprocess import postprocess
from ..errors import TrainingError
from ..evaluation.evaluator import Evaluator
from ..imaging.tensors import as_input
from ..model.detector import SpikeYOLO
from ..spiking.monitor import watch_counts
from ..structures import STRIDES, Batch, Detections
from .aids.aid import TrainingAid, add_terms
from .distributed import share_loss
from .history import METRICS, History, fitness
from .optimization import Schedule, hold_convolutions, make_optimizer, move_to
from .run_folder import RunFolder, save_batch
from .settings import TrainSettings
from .transfer import is_frozen

COUNT_EVERY = 50
"""Batches between two measurements of the mean spike count."""


class DetectorModule(pl.LightningModule):
    """A detector and how it learns: one batch, one step, one validated image; the loops are Lightning's.

    Optimisation is manual in Lightning's sense, because the batches of a step change during the warm-up.

    Args:
        network: to train.
        settings: the recipe.
        folder: where a batch that fails is kept.
        aids: what adds further terms to the loss.
    """

    def __init__(
        self, network: SpikeYOLO, settings: TrainSettings, folder: RunFolder, aids: Iterable[TrainingAid] = ()
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network = network
        self.aids: Iterable[TrainingAid] = nn.ModuleList(aids)  # type: ignore[assignment]
        self.settings = settings
        self.folder = folder
        self.history = History()
        self.pending = 0  # batches whose gradients wait for a step
        self.metrics: dict[str, float] = {}  # of the last validation in this epoch
        self.shown: dict[str, float] = {}  # of the last batch
        self.batch: Batch | None = None
        self.schedule = Schedule(settings, 1)

    def configure_optimizers(self) -> Optimizer:
        """Return the recipe's."""
        return make_optimizer(self, self.settings)

    def train(self, mode: bool = True) -> DetectorModule:
        """Frozen parts keep the statistics of their batch norms, too."""
        super().train(mode)
        for name, part in self.network.named_modules():
            if name and is_frozen(name, self.settings.freeze):
                part.eval()
        return self

    def on_train_start(self) -> None:
        """Know the length of an epoch and the first process's folder from here on."""
        first = Path(self.trainer.strategy.broadcast(str(self.folder.path)))
        self.folder = replace(self.folder, path=first)
        self.schedule = Schedule(self.settings, int(self.trainer.num_training_batches))
        self._plan_validation()  # a run that was stopped within a validation goes on with it
        self.train()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Forget what was measured in the epoch before."""
        self.batch = batch
        self.metrics = {}
        self._plan_validation()

    def _plan_validation(self) -> None:
        """Let the last epoch be validated in any case."""
        last = self.trainer.current_epoch + 1 == self.settings.epochs
        self.trainer.check_val_every_n_epoch = 1 if last else self.settings.val_every

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Forward, loss, backward; a step of the optimiser after so many batches, and after the last of an epoch.

        Raises:
            TrainingError: a loss that is not finite; no weight has changed by it.
        """
        position = self.schedule.at(self.trainer.current_epoch, batch_idx)
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        move_to(optimizer.optimizer, position)
        images = as_input(batch.images, self.device, self.network.dtype)
        with ExitStack() as watching:
            counts = watching.enter_context(watch_counts(self.network, active=batch_idx % COUNT_EVERY == 0))
            for aid in self.aids:
                watching.enter_context(aid.watching(self.network))
            logits = self.network(images)
        terms = {name: term for aid in self.aids for name, term in aid.terms(images, logits, position).items()}
        with torch.autocast(self.device.type, enabled=False):
            loss = share_loss(detection_loss(logits, batch.targets, STRIDES, self.settings.gains), batch.batch_size)
            total, further = add_terms(loss.total, terms, batch.batch_size)
        parts = loss.parts.tolist()
        self._check_finite({"box": parts[0], "class": parts[1], "distribution": parts[2], **further})
        self.pending += 1
        steps = self.pending >= position.accumulate or batch_idx + 1 == self.trainer.num_training_batches
        with nullcontext() if steps else self._unshared():
            self.manual_backward(total)
        if steps:
            if position.calibrating:
                hold_convolutions(self.network)
            optimizer.step()
            optimizer.zero_grad()
            self.pending = 0
        mean_count = counts.value()
        if not math.isnan(mean_count):  # in all processes or in none
            shared = self.trainer.strategy.reduce(torch.tensor(mean_count, device=self.device), reduce_op="mean")
            mean_count = float(shared)
        self.history.current.add(parts, mean_count, further)
        self._show(parts, position.lr, mean_count, **further)

    def _unshared(self) -> AbstractContextManager[Any]:
        """Processes exchange gradients once a step, not for every batch of it."""
        strategy = self.trainer.strategy
        return strategy.block_backward_sync() if isinstance(strategy, DDPStrategy) else nullcontext()

    def _check_finite(self, losses: dict[str, float]) -> None:
        if not all(map(math.isfinite, losses.values())):
            self.fail(f"the loss is not finite ({', '.join(f'{name} {value:g}' for name, value in losses.items())})")

    def _show(self, parts: list[float], lr: float, mean_count: float, **further: float) -> None:
        self.shown |= {"box_loss": parts[0], "class_loss": parts[1], "distribution_loss": parts[2], "lr": lr, **further}
        if not math.isnan(mean_count):
            self.shown["mean_count"] = mean_count

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip the gradient, which is unscaled by now.

        Raises:
            TrainingError: a gradient that is not finite; with fp16 the scaler leaves the step out instead.
        """
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.settings.clip)
        if self.settings.precision != "fp16" and not math.isfinite(float(norm)):
            self.fail("the gradient is not finite")

    def fail(self, what: str) -> NoReturn:
        """Save the batch and name it; the weights and the last checkpoint are still those from before it."""
        trainer, batch = self.trainer, self.batch
        assert batch is not None
        file = save_batch(self.folder, trainer.global_rank, batch)
        shown = ", ".join(map(str, batch.image_ids))
        raise TrainingError(
            f"epoch {trainer.current_epoch + 1}, batch {trainer.fit_loop.batch_idx + 1}: {what}; "
            f"the batch is kept in {file}, the training up to the last checkpoint in {self.folder.path}; "
            f"a lower lr or precision 32 may help; images: {shown}"
        )

    def check_weights(self) -> None:
        """Look at the weights and statistics before they are saved.

        Raises:
            TrainingError: one is not finite; what was saved last is.
        """
        if not all(bool(value.isfinite().all()) for value in self.state_dict().values()):
            self.fail("the weights are not finite")

    @property
    def shared_validation_batches(self) -> int:
        """Validation batches that every process has."""
        return self.trainer.datamodule.shared_validation_batches  # type: ignore[attr-defined]

    @property
    def evaluator(self) -> Evaluator:
        """Of what is found on the validation samples."""
        return self.trainer.datamodule.evaluator  # type: ignore[attr-defined]

    def close_epoch(self) -> None:
        """Add the epoch's row to the history; the callback that writes it does so last of all that the epoch ends."""
        epoch = self.trainer.current_epoch
        row = {
            "epoch": epoch + 1,
            "step": self.trainer.global_step,
            "lr": self.settings.lr * self.schedule.factor(epoch),
        }
        self.history.close_epoch({**row, **self.metrics})

    def on_validation_epoch_start(self) -> None:
        """Forget the detections of the validation before."""
        self.evaluator.reset()

    def validation_step(self, batch: Batch, batch_idx: int) -> list[Detections]:  # type: ignore[override]
        """Return the detections in pixels of the originals, for whoever wants to draw them."""
        logits = self.network(as_input(batch.images, self.device, self.network.dtype))
        found = postprocess(logits, self.settings.thresholds, batch.placements, multi_label=True)
        self.evaluator.update(batch.image_ids, found)
        return found

    def on_validation_epoch_end(self) -> None:
        """Measure over the samples of all processes."""
        self.evaluator.gather()
        metrics = self.evaluator.compute().metrics
        self.metrics = {name: getattr(metrics, name) for name in METRICS}
        self.metrics["fitness"] = fitness(metrics.AP, metrics.AP50)
        # For early stopping. It is the same in all processes, which have gathered everything: nothing is exchanged, so
        # that no tensor on the CPU gets to a back end that takes those of GPUs alone.
        self.log("fitness", self.metrics["fitness"], logger=False)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the history and the state of torch's random numbers."""
        checkpoint["history"] = self.history.state_dict()
        random: dict[str, Any] = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state(self.device)
        checkpoint["random"] = random

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take them back."""
        self.history = History.from_state(checkpoint["history"])
        random: dict[str, Tensor] = checkpoint["random"]
        torch.set_rng_state(random["cpu"].cpu())
        if "cuda" in random and self.device.type == "cuda":
            torch.cuda.set_rng_state(random["cuda"].cpu(), self.device)
