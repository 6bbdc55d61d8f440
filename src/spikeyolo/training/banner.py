"""What a training says of itself before it begins."""

from __future__ import annotations

from pathlib import Path

from .datamodule import DetectionDataModule
from .devices import Devices
from .module import DetectorModule
from .optimization import Schedule, accumulation
from .run_folder import RunFolder
from .settings import TrainSettings, recipe_of


def banner(
    settings: TrainSettings, devices: Devices, module: DetectorModule, samples: DetectionDataModule, folder: RunFolder
) -> list[str]:
    """Return what is going to happen, in a few lines."""
    network = module.network
    millions = sum(parameter.numel() for parameter in network.parameters()) / 1e6
    train, val = samples.train_index, samples.val_index
    recipe, together, config = recipe_of(settings), accumulation(settings), network.config
    batches, rows = samples.plan()
    epochs = f"{settings.epochs} epoch{'' if settings.epochs == 1 else 's'}"
    return [
        f"model {Path(settings.model).name}: {millions:.1f} M parameters, {config.num_classes} classes, "
        f"neuron {config.neuron}, T = {config.timesteps}, D = {config.max_count}; it sees {samples.input}",
        f"data {settings.data}: {len(train)} to train on with {len(train.boxes)} boxes, "
        f"{len(val)} to validate on with {len(val.boxes)}",
        f"{f'recipe {recipe}: ' if recipe else ''}{epochs} of {batches} "
        f"batches of {settings.batch}{rows}{f', {together} batches a step' if together > 1 else ''}, "
        f"{settings.optimizer} at {settings.lr:g}, on {devices.name} in {settings.precision}; written to {folder.path}",
        *_calibration(settings),
        *(line for aid in module.aids for line in aid.lines()),
    ]


def _calibration(settings: TrainSettings) -> list[str]:
    last = settings.calibration_epochs
    return [f"in the last {last} of them convolutions stay as they are; norms and scales alone learn"] if last else []


def continuation(settings: TrainSettings, planned: TrainSettings | None, folder: RunFolder, done: int) -> list[str]:
    """Return where a resumed run goes on, and what more epochs than planned mean for its learning rate.

    Args:
        settings: of the run now.
        planned: as they were before; None for a new run, of which nothing is said.
        folder: of the run.
        done: epochs.
    """
    if planned is None:
        return []
    if done >= settings.epochs:
        return [
            f"this run is finished: {done} of {settings.epochs} epochs; a larger --epochs goes on with it, "
            f"--model {folder.best} starts a new run from its weights"
        ]
    within = "" if folder.last.exists() else ", from the start: there is no checkpoint yet"
    lines = [f"going on at epoch {done + 1} of {settings.epochs}{within}"]
    if settings.epochs > planned.epochs and done > 0:
        border = (planned, done - 1, 1), (settings, done, 0)  # the last epoch's end, the next one's start
        before, after = (s.lr * Schedule(s, 1).factor(epoch, batch) for s, epoch, batch in border)
        lines.append(
            f"planned for {planned.epochs} epochs; the learning rate goes on as in a run of {settings.epochs}: "
            f"from {before:.3g} to {after:.3g}, then down"
        )
    return lines
