"""`spikeyolo train`: a training, and the measurement of its best weights."""

from __future__ import annotations

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
    "the network": ("timesteps", "max_count", "neuron", "freeze"),
    "recordings": ("preparation", "representation", "window_us"),
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
    "augmentation": ("augmentation", "event_augmentation"),
    "validation": ("val_every", "conf", "iou", "max_det"),
    "the machine": ("processes", "nodes", "cache_mb", "strict", "save_minutes", "save_steps", "wandb"),
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
        resume: folder of an interrupted run to continue, from its last.ckpt

    Examples:
        spikeyolo train --data data.yaml --model t --config small
        spikeyolo train --data data.yaml --model s --config published --device 0,1 --precision bf16
        spikeyolo train --resume runs/train
    """
    from ..optional import require_extra
    from .arguments import UsageError

    if resume is not None and "config" in given:
        raise UsageError("train: --resume takes the settings of the run; leave --config out")
    require_extra("train")
    from ..training.devices import is_first_process
    from ..training.run import train as run

    folder = run(
        settings, Path(out) if out else None, Path(resume) if resume else None, given - {"out", "resume", "config"}
    )
    if is_first_process():
        _measure(folder.best, folder.config)
        print(f"written to {folder.path}; best weights: {folder.best}")
        print(f"next: spikeyolo predict --weights {folder.best} --source FILES")


def _measure(weights: Path, config: Path) -> None:
    """Print what the best weights reach, on the device of the run and by its settings."""
    from rich import print as show

    from ..data.open import open_data
    from ..detection.thresholds import Thresholds
    from ..devices import parse_devices
    from ..evaluation.validate import ValidationSettings, validate
    from ..model.detector import SpikeYOLO
    from ..training.settings import read_settings

    run = read_settings(config)
    devices = parse_devices(run.device)
    batch = max(1, run.batch // (len(devices) * run.nodes))
    settings = ValidationSettings(batch, Thresholds(run.conf, run.iou, run.max_det), run.workers)
    model = SpikeYOLO.load(weights, devices[0]).fold()
    found = validate(model, open_data(run.data).split("val"), settings)
    found.write(weights.parent)
    for table in found.tables():
        show(table)


def find_config(name: str) -> Path:
    """Return the file of that name, or the recipe of the package.

    Raises:
        ConfigError: neither.
    """
    from ..errors import ConfigError
    from ..strict import nearest
    from ..training.settings import recipe_names, recipe_path

    if Path(name).is_file():
        return Path(name)
    if name in recipe_names():
        return recipe_path(name)
    near = nearest(name, recipe_names())
    hint = f"did you mean {near!r}? " if near else ""
    raise ConfigError(
        f"config: no file {name!r}, and no such recipe; {hint}the recipes are {', '.join(recipe_names())}"
    )
