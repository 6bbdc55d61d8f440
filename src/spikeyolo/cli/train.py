"""`spikeyolo train`: a training, and the measurement of its best weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..training.settings import TrainSettings

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
    "recordings": ("preparation", "representation", "window_us", "sequence", "sequence_share"),
    "optimization": (
        "final_lr",
        "schedule",
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
    from ..optional import require_extra
    from .arguments import UsageError
    from .options import own_neuron

    if resume is not None and "config" in given:
        raise UsageError("train: --resume takes the settings of the run; leave --config out")
    require_extra("train")
    settings = replace(settings, neuron=own_neuron(settings.neuron, given))
    from ..training.devices import is_first_process
    from ..training.run import train as run

    folder = run(
        settings, Path(out) if out else None, Path(resume) if resume else None, given - {"out", "resume", "config"}
    )
    if is_first_process():
        from ..interruption import advice
        from ..terminal import say, show
        from ..training.run import validate_best

        with advice(f"the training is done; measure it by: {folder.resume_command}"):
            found = validate_best(folder)
            found.write(folder.path)
        show(*found.tables())
        say(f"written to {folder.path}; best weights: {folder.best}")
        say(f"next: spikeyolo predict --weights {folder.best} --source FILES")


def find_config(name: str) -> Path:
    """Return the file of that name, or the recipe of the package.

    Raises:
        ConfigError: neither.
    """
    from ..errors import ConfigError, quote
    from ..reading import file_kind, is_path
    from ..strict import nearest
    from ..training.settings import recipe_names, recipe_path

    if is_path(name) and file_kind(name, ConfigError) == "file":
        return Path(name)
    if name in recipe_names():
        return recipe_path(name)
    near = nearest(name, recipe_names())
    hint = f"did you mean {near!r}? " if near else ""
    raise ConfigError(
        f"config: no file {quote(name)}, and no such recipe; {hint}the recipes are {', '.join(recipe_names())}"
    )
