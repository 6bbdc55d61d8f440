"""The detector as Lightning trains it: one batch, one step, one validated batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import lightning.pytorch as pl
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn
from torch.optim import Optimizer

from ..detection.postprocess import postprocess
from ..errors import TrainingError
from ..evaluation.evaluator import Evaluator
from ..imaging.tensors import as_input
from ..model.blocks import SpikingBlock
from ..model.compiling import compile_network
from ..model.detector import SpikeYOLO
from ..model.lanes import Carried, Lanes
from ..model.network import running_statistics
from ..structures import Batch, Detections, StretchBatch
from ..terminal import say
from .aids.aid import TrainingAid
from .devices import is_first_process
from .distributed import gathered, share_statistics
from .history import LOSSES, METRICS, History, fitness
from .loss import batch_loss
from .optimization import Schedule, hold_convolutions, make_optimizer, move_to
from .run_folder import RunFolder, save_batch
from .settings import TrainSettings
from .step_log import Read, Step, read, read_every
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
        for part in network.modules():
            if isinstance(part, SpikingBlock):
                part.recompute = settings.recompute
        self.folder = folder
        self.history = History()
        self.pending = 0  # batches whose gradients wait for a step
        self.metrics: dict[str, float] = {}  # of the last validation in this epoch
        self.shown: dict[str, float] = {}  # of the last batch
        self.unread: list[Step] = []
        self.holds_nothing = False  # the batch
        self.schedule = Schedule(settings, 1)
        self.lanes, self.validation_lanes = Lanes(), Lanes()  # potentials, where recordings are followed

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

    def on_train_batch_start(self, batch: Batch | StretchBatch, batch_idx: int) -> None:
        """Forget what was measured in the epoch before; compile at the first batch that is whole."""
        self.metrics = {}
        # Looked for where the loader left it; the first image tells nearly always.
        self.holds_nothing = not any(bool(images.any()) for images in self._host_batch.images)
        self._plan_validation()
        if self.settings.compile and self.network.compiled is None:
            whole = batch.batch_size * self.trainer.world_size >= self.settings.batch_size
            if whole or self.trainer.num_training_batches == 1:
                self._compile(batch)

    def _compile(self, batch: Batch | StretchBatch) -> None:
        """Have the network run compiled from here on, in this process."""
        tell = say if is_first_process() else lambda line: None
        compiled = compile_network(self.network, tell).compiled
        assert compiled is not None
        with self.trainer.precision_plugin.forward_context():
            compiled.rehearse(as_input(batch.images, self.device, self.network.dtype))

    def _plan_validation(self) -> None:
        """Let the last epoch be validated in any case."""
        last = self.trainer.current_epoch + 1 == self.settings.epochs
        self.trainer.check_val_every_n_epoch = 1 if last else self.settings.val_every

    def training_step(self, batch: Batch | StretchBatch, batch_idx: int) -> None:
        """Forward, loss, backward; a step of the optimiser after so many batches, and after the last of an epoch.

        Raises:
            TrainingError: a loss that is not finite; no weight has changed by it.
        """
        with running_statistics(self.network) if self.holds_nothing else nullcontext():
            self._learn(batch, batch_idx)

    def _learn(self, batch: Batch | StretchBatch, batch_idx: int) -> None:
        """See `training_step`."""
        position = self.schedule.at(self.trainer.current_epoch, batch_idx)
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        move_to(optimizer.optimizer, position)
        images = as_input(batch.images, self.device, self.network.dtype)
        watched, look = batch_idx % COUNT_EVERY == 0, self._look(batch, self.lanes)
        loss = batch_loss(self.network, self.aids, images, batch.targets, position, self.settings, watched, look)
        step = Step(self._host_batch, self.trainer.current_epoch, batch_idx, position.lr, loss.shown)
        self.unread.append(step)
        reads = read_every(self.device)
        if reads == 1:
            self._check(read([step]))  # before the weights learn from it
        self.pending += 1
        steps = self.pending >= position.accumulate or batch_idx + 1 == self.trainer.num_training_batches
        with nullcontext() if steps else self._unshared():
            self.manual_backward(loss.total)
        if steps:
            if position.calibrating:
                hold_convolutions(self.network)
            optimizer.step()
            optimizer.zero_grad()
            self.pending = 0
        share_statistics(self.network)
        if loss.mean_count is not None:  # in all processes or in none
            step.mean_count = self.trainer.strategy.reduce(loss.mean_count, reduce_op="mean")
        if len(self.unread) >= reads or batch_idx + 1 == self.trainer.num_training_batches:
            self.read_steps()

    def _look(self, batch: Batch | StretchBatch, lanes: Lanes) -> Callable[[Tensor], Sequence[Tensor]]:
        """How images become the logits of what is labelled."""
        return self.network if isinstance(batch, Batch) else partial(lanes.look, self.network, batch=batch)

    def on_train_epoch_end(self) -> None:
        """Forget the potentials: in the next epoch all rows begin anew, and a checkpoint need not hold them."""
        self.lanes.carried = None

    def _unshared(self) -> AbstractContextManager[Any]:
        """Processes exchange gradients once a step, not for every batch of it."""
        strategy = self.trainer.strategy
        return strategy.block_backward_sync() if isinstance(strategy, DDPStrategy) else nullcontext()

    def read_steps(self) -> None:
        """Look at what the steps since the last look gave: add it to the history, and show the last.

        Raises:
            TrainingError: a loss or gradient that is not finite.
        """
        found = list(read(self.unread))
        self._check(found)
        for one in found:
            further = {name: value for name, value in one.losses.items() if name not in LOSSES}
            self.history.current.add([one.losses[name] for name in LOSSES], one.mean_count, further)
            self.shown |= {**one.losses, "lr": one.step.lr}
            if not math.isnan(one.mean_count):
                self.shown["mean_count"] = one.mean_count
        self.unread = []

    def _check(self, found: Iterable[Read]) -> None:
        """Raise TrainingError for the first loss or gradient that is not finite."""
        for one in found:
            if not all(map(math.isfinite, one.losses.values())):
                words = ", ".join(f"{name.removesuffix('_loss')} {value:g}" for name, value in one.losses.items())
                self.fail(f"the loss is not finite ({words})", one.step)
            # With fp16 the scaler leaves such a step out instead.
            if self.settings.precision != "fp16" and not math.isfinite(one.norm):
                self.fail("the gradient is not finite", one.step)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip the gradient, which is unscaled by now.

        Raises:
            TrainingError: a gradient that is not finite; with fp16 the scaler leaves the step out instead.
        """
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        step = self.unread[-1]
        step.norm = torch.nn.utils.clip_grad_norm_(parameters, self.settings.clip)
        if read_every(self.device) == 1:
            self._check(read([step]))

    def fail(self, what: str, step: Step | None = None) -> NoReturn:
        """Save a step's batch, the last one's unless named, and name it.

        On a CPU the weights are still those from before it, elsewhere the last checkpoint's are.
        """
        trainer = self.trainer
        if step is None:
            step = Step(self._host_batch, trainer.current_epoch, trainer.fit_loop.batch_idx, 0.0, {})
        file = save_batch(self.folder, trainer.global_rank, step.batch)
        shown = ", ".join(map(str, step.batch.image_ids))
        raise TrainingError(
            f"epoch {step.epoch + 1}, batch {step.batch_idx + 1}: {what}; "
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
    def _host_batch(self) -> Batch | StretchBatch:
        """The batch as the loader gave it."""
        batch: Batch | StretchBatch | None = self.trainer.datamodule.host_batch  # type: ignore[attr-defined]
        assert batch is not None
        return batch

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
        """Forget the detections of the validation before, and its potentials."""
        self.evaluator.reset()
        self.validation_lanes.carried = None

    def validation_step(self, batch: Batch | StretchBatch, batch_idx: int) -> list[Detections]:  # type: ignore[override]
        """Return the detections in pixels of the originals, for whoever wants to draw them."""
        logits = self._look(batch, self.validation_lanes)(as_input(batch.images, self.device, self.network.dtype))
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
        self.read_steps()
        checkpoint["history"] = self.history.state_dict()
        random: dict[str, Any] = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state(self.device)
        checkpoint["random"] = random
        if self.settings.sequence is not None:
            own = self.lanes.carried
            parts = gathered(None if own is None else own.moved(torch.device("cpu")))
            if there := [part for part in parts if part is not None]:
                checkpoint["carried"] = Carried.joined(there).to_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take them back."""
        self.history = History.from_state(checkpoint["history"])
        self.lanes.carried = Carried.from_dict(checkpoint["carried"]) if "carried" in checkpoint else None
        random: dict[str, Tensor] = checkpoint["random"]
        torch.set_rng_state(random["cpu"].cpu())
        if "cuda" in random and self.device.type == "cuda":
            torch.cuda.set_rng_state(random["cuda"].cpu(), self.device)
