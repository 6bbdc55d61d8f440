"""A training from its settings to its folder."""

from __future__ import annotations

import json
import logging
import math
import signal
import subprocess
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.loggers import Logger

from ..data.data_set import DataSet, Input
from ..data.known import from_anywhere
from ..data.open import open_data
from ..devices import parse_devices
from ..errors import ConfigError, DataError, TrainingError
from ..evaluation.validate import Validation, ValidationSettings, validate
from ..files import write_whole
from ..interruption import Interrupted, StopRequest, advice, signals_restored
from ..locks import locked
from ..model.detector import SpikeYOLO, load
from ..processes import GRACE
from ..spiking.spiking_neuron import is_own
from ..terminal import say
from ..weights.shipped import lasting_name
from .aids.aid import TrainingAid
from .aids.choose import chosen_aids
from .banner import banner, continuation
from .batch_size import with_batch
from .callbacks.averaging import ExponentialAverage
from .callbacks.checkpoints import AtomicCheckpointIO, RunCheckpoints, Stopped
from .callbacks.images import ImageLogger, plot_history
from .callbacks.progress import TrainingProgress
from .curves import Curves, quiet_writers
from .data_record import changes, record_of
from .datamodule import DetectionDataModule
from .devices import Devices, choose_devices, is_first_process, keep_freed_memory
from .distributed import lost_processes_named
from .last_checkpoint import finished_epochs
from .module import DetectorModule
from .run_folder import RunFolder, check_free, new_folder, resumed_settings
from .settings import TrainSettings, read_settings
from .transfer import TransferReport, is_preset, scales_from_data, starting_model

HINTS = (
    ".*does not have many workers.*",
    ".*This DataLoader will create.*worker processes.*",
    ".*(Leaf|Tree)Spec.*is deprecated.*",
    ".*did not keep the size of images.*",  # the run knows it
    ".*Grad strides do not match bucket view strides.*",  # compiled, of 1 x 1 convolutions, which lie the same
    ".*sync_dist=True.*",  # what is logged is the same in all processes
)

log = logging.getLogger("spikeyolo")

SCALE_BATCHES = 4
"""Training batches that learned scales are set from."""

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def train(
    settings: TrainSettings,
    out: Path | None = None,
    resume: Path | None = None,
    given: Collection[str] | None = None,
) -> RunFolder:
    """Train a detector, or go on with a training that was interrupted.

    Args:
        settings: the recipe; of one to resume, only what says where it computes (see `MACHINE`), or more epochs. The
            learning rate then goes on as in a run of so many epochs from the start: it rises once.
        out: folder of the run; runs/train, or the next free number, unless given.
        resume: folder of the run to go on with.
        given: names of the settings that were really asked for when resuming; None: those that are not the defaults.

    Returns:
        The folder: settings, results.csv, best.safetensors, last.ckpt, images and curves.

    Raises:
        ConfigError: invalid settings, devices or folders.
        DataError: images or labels that cannot be used.
        CheckpointError: weights or a checkpoint that cannot be used.
        TrainingError: a loss or gradient that is not finite; the batch is kept in the folder.
    """
    first_process = is_first_process()
    with ExitStack() as held:
        if resume is not None:
            settings, folder = resumed_settings(resume, settings, given), RunFolder(resume)
            planned = read_settings(folder.config)
            if first_process:
                held.enter_context(locked(resume))
        else:
            planned = None
            settings = _with_absolute_paths(settings)
            if out is not None and first_process:
                check_free(out)  # before the work
        devices, data = choose_devices(settings), _open(settings)
        input = _training_input(data, settings, resumed=resume is not None)
        network, report = starting_model(settings, data.names, input)
        aids = chosen_aids(settings, network, input)
        samples = DetectionDataModule(settings, data, input)
        if first_process:
            samples.prepare_data()  # before other processes start: what is wrong with the data is said once
        settings = with_batch(settings, devices, network, aids, samples)
        if resume is None:
            # The others are told the first one's choice: to them its new folder would look like an older run.
            folder = held.enter_context(new_folder(out)) if first_process else RunFolder(out or Path())
        folder = _with_own_neuron(folder, network.config.neuron)
        held.enter_context(advice(f"go on with: {folder.resume_command}"))
        module = DetectorModule(network, settings, folder, aids)
        done = finished_epochs(folder.last, module) if resume is not None else 0
        if first_process:
            lines = _start(report, network, samples, devices) if report is not None and not folder.last.exists() else []
            lines += banner(settings, devices, module, samples, folder) + continuation(settings, planned, folder, done)
            _keep_records(folder, samples, aids)
            folder.prepare(settings)
            say(*lines)
        if done < settings.epochs:
            _fit(settings, folder, devices, module, samples, resumed=resume is not None)
    return folder


def _with_own_neuron(folder: RunFolder, neuron: str) -> RunFolder:
    """The folder, whose command to go on names a neuron from outside the package: no file may have it imported."""
    return replace(folder, again=f" --neuron {neuron}") if is_own(neuron) else folder


def _start(report: TransferReport, network: SpikeYOLO, samples: DetectionDataModule, devices: Devices) -> list[str]:
    """What a network takes over from a file, and where scales begin that the file does not have.

    The first process does it; all begin with its weights.
    """
    lines = report.lines()
    if report.new_scales:
        batches = samples.first_batches(SCALE_BATCHES, samples.settings.batch_size // devices.processes)
        lines.append(scales_from_data(network, batches, devices.first))
    return lines


def _keep_records(folder: RunFolder, samples: DetectionDataModule, aids: Sequence[TrainingAid]) -> None:
    """Say what has changed in the data since the run went on last, and keep what they are now; aids keep theirs."""
    record = record_of({"train": samples.train_index, "val": samples.val_index})
    for line in changes(folder.data_record, record):
        log.warning("%s", line)
    for aid in aids:
        aid.keep_record(folder)
    folder.write_or_warn(folder.data_record, lambda: write_whole(folder.data_record, json.dumps(record).encode()))


def _fit(
    settings: TrainSettings,
    folder: RunFolder,
    devices: Devices,
    module: DetectorModule,
    samples: DetectionDataModule,
    resumed: bool,
) -> None:
    """Train until the end, or until a signal: then the first process raises `Interrupted`, the others just end."""
    if devices.accelerator == "cpu":
        keep_freed_memory()
    stop = StopRequest()
    with _quiet(), quiet_writers(), signals_restored():
        trainer = _trainer(settings, folder, devices, samples.data.names, stop)
        try:
            checkpoint = folder.last if resumed and folder.last.exists() else None
            with lost_processes_named():
                trainer.fit(module, datamodule=samples, ckpt_path=checkpoint, weights_only=True)
        except Stopped:
            pass
        except SystemExit as error:  # Lightning's answer to a KeyboardInterrupt, when it has ended other processes
            stopped = error.__context__
            raise Interrupted(getattr(stopped, "signum", stop.signum or signal.SIGINT)) from error
        except DataError as error:
            raise TrainingError(f"{error}; go on with: {folder.resume_command}") from error
        finally:
            _end_others(trainer)
    if not trainer.is_global_zero:
        return
    if not trainer.interrupted:
        plot_history(module.history, folder)
        folder.check_saved()
    if trainer.interrupted or stop.signum:
        raise Interrupted(stop.signum or signal.SIGTERM)  # without a number another process was told


def _end_others(trainer: pl.Trainer) -> None:
    """Wait for the processes that Lightning has started; it watches them, and would kill this one after their end."""
    started = getattr(trainer.strategy.launcher, "procs", [])
    others = list(started)
    started.clear()  # which ends the watching
    for process in others:
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
        process.kill()
        process.wait()


def validate_best(folder: RunFolder) -> Validation:
    """Measure the best weights of a run as the run itself did: on its device, by its batch, workers and thresholds."""
    settings = read_settings(folder.config)
    devices, data = parse_devices(settings.device), _open(settings)
    batch = max(1, settings.batch_size // (len(devices) * settings.nodes))
    how = ValidationSettings(batch, settings.thresholds, settings.workers, sequence=settings.sequence)
    with _quiet():
        model = load(folder.best, devices[0])
        model.input = _training_input(data, settings, resumed=True)  # weights of earlier versions do not tell it
        return validate(model.fold(), data.split("val"), how)


def _open(settings: TrainSettings) -> DataSet:
    if not settings.data:
        raise ConfigError("data: name a data.yaml or a COCO annotation file")
    return open_data(settings.data)


def _training_input(data: DataSet, settings: TrainSettings, resumed: bool) -> Input:
    """What the network is to see. A run was checked when it began; older ones noted a size for recordings, too."""
    if not resumed:
        data.check_settings(settings)
        return data.training_input(settings)
    try:
        return data.training_input(settings)
    except ConfigError:
        return data.training_input(replace(settings, imgsz=None))


def _with_absolute_paths(settings: TrainSettings) -> TrainSettings:
    """So that a run can be resumed from another working directory."""
    model = settings.model if is_preset(settings.model) else lasting_name(settings.model)
    data = from_anywhere(settings.data) if settings.data else ""
    teacher = None if settings.teacher is None else lasting_name(settings.teacher)
    return replace(settings, model=model, data=data, teacher=teacher)


def _trainer(
    settings: TrainSettings, folder: RunFolder, devices: Devices, names: tuple[str, ...], stop: StopRequest
) -> pl.Trainer:
    average = ExponentialAverage(settings.ema_decay, settings.ema_ramp)
    callbacks: list[Callback] = [
        average,
        TrainingProgress(),
        ImageLogger(folder, names),
        RunCheckpoints(folder, average, settings.save_minutes, settings.save_steps, stop),
    ]
    if settings.patience is not None:
        validations = math.ceil(settings.patience / settings.val_every)  # what Lightning counts
        callbacks.append(EarlyStopping("fitness", mode="max", patience=validations, check_on_train_epoch_end=False))
    plugins: list[Any] = [AtomicCheckpointIO(folder)]
    if SLURMEnvironment.detect() and not TorchElasticEnvironment.detect():  # torchrun in a job of SLURM goes before it
        plugins.append(SLURMEnvironment(auto_requeue=False))  # it would take signals over, and save by another name
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
    loggers: list[Logger] = [Curves(folder.path, name="", version="tensorboard")]
    if settings.wandb is not None:
        from lightning.pytorch.loggers import WandbLogger

        try:
            loggers.append(WandbLogger(name=folder.path.name, save_dir=folder.path, project=settings.wandb))
        except ModuleNotFoundError as error:
            raise ConfigError("wandb: the package wandb is not installed; pip install wandb") from error
    return loggers


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's greetings and hints away; its errors and other warnings stay."""
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
