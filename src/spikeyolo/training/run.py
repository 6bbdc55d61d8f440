from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.loggers import Logger, TensorBoardLogger

from ..errors import ConfigError
from ..imaging.image_input import ImageInput
from .callbacks.averaging import ExponentialAverage
from .callbacks.checkpoints import AtomicCheckpointIO, RunRecorder
from .callbacks.images import ImageKeeper, plot_history
from .callbacks.progress import ProgressLine
from .datamodule import read_data
from .devices import Devices, choose_devices, is_first_process
from .distributed import SharedNorms
from .module import DetectorModule
from .run_folder import RunFolder, new_folder, resumed_settings
from .settings import TrainSettings
from .transfer import is_preset, starting_model

HINTS = (".*does not have many workers.*", ".*(Leaf|Tree)Spec.*is deprecated.*")

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def train(settings: TrainSettings, out: Path | None = None, resume: Path | None = None) -> RunFolder:
    """Trains a detector, or goes on with a training that was interrupted.

    Args:
        settings: the recipe; of one to resume, only what says where it computes (see `MACHINE`).
        out: folder of the run; runs/train, or the next free number, unless given.
        resume: folder of the run to go on with.

    Returns:
        The folder: settings, results.csv, best.safetensors, last.ckpt, images and curves.

    Raises:
        ConfigError: settings, devices or folders that cannot be.
        DataError: images or labels that cannot be used.
        CheckpointError: weights or a checkpoint that cannot be used.
        TrainingError: a loss or gradient that is not finite; the batch is kept in the folder.
    """
    first_process = is_first_process()
    if resume is not None:
        settings, folder = resumed_settings(resume, settings), RunFolder(resume)
    else:
        settings = _with_absolute_paths(settings)
        # The others are told the first one's choice: to them its new folder would look like an older run.
        folder = new_folder(out) if first_process else RunFolder(out or Path())
    devices = choose_devices(settings)
    data = read_data(settings)
    network, transfer = starting_model(settings, data.names, data.preparation or ImageInput.of(settings.imgsz))
    if transfer is not None and first_process and resume is None:
        print("\n".join(transfer.lines()))
    if first_process:
        folder.prepare(settings)
    module = DetectorModule(network, settings, folder.path)
    checkpoint = folder.last if resume is not None and folder.last.exists() else None
    with _quiet():
        trainer = _trainer(settings, folder, devices, data.names)
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    if trainer.is_global_zero:
        plot_history(module.history, folder.path / "curves.png")
    return folder


def _with_absolute_paths(settings: TrainSettings) -> TrainSettings:
    """So that a run can be resumed from another working directory."""
    model = settings.model if is_preset(settings.model) else str(Path(settings.model).resolve())
    data = str(Path(settings.data).resolve()) if settings.data else ""
    return replace(settings, model=model, data=data)


def _trainer(settings: TrainSettings, folder: RunFolder, devices: Devices, names: tuple[str, ...]) -> pl.Trainer:
    average = ExponentialAverage(settings.ema_decay, settings.ema_ramp)
    callbacks: list[Callback] = [
        average,
        ProgressLine(),
        ImageKeeper(folder, names),
        RunRecorder(folder, average, settings.save_minutes, settings.save_steps),
    ]
    if settings.patience is not None:
        callbacks.append(
            EarlyStopping("fitness", mode="max", patience=settings.patience, check_on_train_epoch_end=False)
        )
    plugins: list[Any] = [AtomicCheckpointIO()]
    if devices.several and devices.accelerator == "cpu":
        plugins.append(SharedNorms())
    return pl.Trainer(
        accelerator=devices.accelerator,
        devices=devices.devices,
        num_nodes=settings.nodes,
        strategy="ddp" if devices.several else "auto",
        sync_batchnorm=devices.several and devices.accelerator == "cuda",
        precision=PRECISIONS[settings.precision],  # type: ignore[arg-type]
        max_epochs=settings.epochs,
        check_val_every_n_epoch=settings.val_every,
        callbacks=callbacks,
        plugins=plugins,
        logger=_loggers(settings, folder),
        use_distributed_sampler=False,  # ours divides the batches itself
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder.path,
    )


def _loggers(settings: TrainSettings, folder: RunFolder) -> list[Logger]:
    loggers: list[Logger] = [TensorBoardLogger(folder.path, name="", version="tensorboard")]
    if settings.wandb is not None:
        from lightning.pytorch.loggers import WandbLogger

        try:
            loggers.append(WandbLogger(name=folder.path.name, save_dir=folder.path, project=settings.wandb))
        except ModuleNotFoundError as error:
            raise ConfigError("wandb: the package wandb is not installed; pip install wandb") from error
    return loggers


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's greetings and hints; its errors and other warnings stay."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels: list[Any] = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        with warnings.catch_warnings():
            for hint in HINTS:
                warnings.filterwarnings("ignore", hint)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
