"""`spikeyolo train`: a training, and the measurement of its best weights."""

from __future__ import annotations

from dataclasses import replace

from ..events.event_input import CHANGES
from ..training.settings import TrainSettings
from ..verbs.train import find_config

__all__ = ["GROUPS", "find_config", "train"]

GROUPS = {
    "data and model": ("data", "model", "config", "out", "resume"),
    "what matters first": (
        "epochs",
        "batch",
        "imgsz",
        "optimizer",
        "lr",
        "precision",
        "device",
        "workers",
        "patience",
        "seed",
    ),
    "the network": ("timesteps", "max_count", "neuron", "learned_scale", "surrogate_width", "freeze"),
    "recordings": ("preparation", "representation", *CHANGES, "sequence", "sequence_share"),
    "optimization": (
        "final_lr",
        "schedule",
        "schedule_interval",
        "momentum",
        "weight_decay",
        "nominal_batch",
        "warmup_epochs",
        "warmup_momentum",
        "warmup_bias_lr",
        "clip",
        "ema_decay",
        "ema_ramp",
        "gains",
    ),
    "distillation, energy and the last epochs": (
        "teacher",
        "distillation",
        "energy_weight",
        "energy_code",
        "calibration_epochs",
    ),
    "augmentation": ("augmentation", "event_augmentation"),
    "validation": ("val_every", "conf", "iou", "max_det"),
    "the machine": (
        "processes",
        "nodes",
        "cache_mb",
        "compile",
        "recompute",
        "strict",
        "save_minutes",
        "save_steps",
        "wandb",
    ),
}

LEARNED = 0.01  # AP50 from which on a network finds something


def train(
    settings: TrainSettings,
    out: str | None = None,
    resume: str | None = None,
    given: frozenset[str] = frozenset(),
) -> None:
    """Train a detector on labelled images, or on recordings of event cameras.

    --config also takes the name of a recipe that comes with the package: published (the paper's, for COCO), small
    (for a few hundred images). What the command line gives comes before the recipe.

    Args:
        out: folder for what is written; runs/train, or the next free number, unless given
        resume: folder of an interrupted run to continue, from its last.ckpt; with more --epochs also a finished one

    Examples:
        spikeyolo train --data data.yaml --model t --config small
        spikeyolo train --data data.yaml --model s --config published --device 0,1 --precision bf16
        spikeyolo train --resume runs/train
    """
    from ..terminal import say, show
    from ..verbs.train import run
    from .arguments import UsageError
    from .options import own_neuron

    if resume is not None and "config" in given:
        raise UsageError("train: --resume takes the settings of the run; leave --config out")
    settings = replace(settings, neuron=own_neuron(settings.neuron, given))
    done = run(settings, out, resume, given - {"out", "resume", "config"})
    if done.validation is not None:
        show(*done.validation.tables())
        say(f"written to {done.path}; best weights: {done.best}")
        if done.validation.metrics.AP50 < LEARNED:
            say(f"hardly anything is learned yet; spikeyolo train --resume {done.path} --epochs N, a larger N, goes on")
        say(f"next: spikeyolo predict --weights {done.best} --source FILES")
