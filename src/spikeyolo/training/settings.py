"""The settings of a training, the recipes that come with the package, and reading both from YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_type_hints

import yaml

from ..data.events.augmentation import EventAugmentation
from ..data.images.augmentation import Augmentation
from ..detection.gains import DistillationGains, LossGains
from ..detection.thresholds import Thresholds
from ..errors import ConfigError, quote
from ..limits import MAX_BATCH, MAX_COUNT, MAX_SEED, MAX_SIDE, MAX_TIMESTEPS, MAX_WORKERS, check_range
from ..option_help import described
from ..strict import build, closest, value_of
from ..text_files import read_mapping

RECIPES = Path(__file__).parent / "recipes"

Representation = Literal[
    "count_frames",
    "stacked_histogram",
    "voxel_grid",
    "time_surface",
    "exponential_surfaces",
    "leaky_sums",
    "last_event_frame",
]

NEURONS = ("coco", "gen1", "relu")
"""Of the package; others are classes."""

MACHINE = (
    "device",
    "processes",
    "nodes",
    "workers",
    "cache_mb",
    "recompute",
    "compile",
    "save_minutes",
    "save_steps",
    "wandb",
)
"""Fields that say where and how a run computes, not what: a resumed run may change them."""

AUTO = "auto"
"""As `batch`: what fits, see `batch_size`; a training has a number before it begins."""

RANGES: dict[str, tuple[float, float]] = {
    "epochs": (1, 10**6),
    "batch": (1, MAX_BATCH),
    "imgsz": (32, MAX_SIDE),
    "timesteps": (1, MAX_TIMESTEPS),
    "sequence": (1, MAX_TIMESTEPS),
    "sequence_share": (0, 1),
    "max_count": (1, MAX_COUNT),
    "surrogate_width": (0, 1000),
    "lr": (0, 1000),
    "final_lr": (0, 1),
    "weight_decay": (0, 1000),
    "nominal_batch": (1, MAX_BATCH),
    "warmup_epochs": (0, 10**6),
    "warmup_bias_lr": (0, 1000),
    "clip": (0, 1e12),
    "calibration_epochs": (0, 10**6),
    "energy_weight": (0, 1e6),
    "ema_ramp": (0, 1e12),
    "seed": (0, MAX_SEED),
    "patience": (1, 10**6),
    "val_every": (1, 10**6),
    "processes": (1, MAX_WORKERS),
    "nodes": (1, MAX_BATCH),
    "workers": (0, MAX_WORKERS),
    "cache_mb": (0, 10**7),
    "save_minutes": (0, 10**6),
    "save_steps": (1, 10**9),
}
"""The values of numbers that have no dataclass of their own, least and most."""


@described()
@dataclass(frozen=True)
class TrainSettings:
    """Everything that decides a training; the defaults are the published recipe for COCO.

    Attributes:
        model: a preset (t, n, s, m, l), a saved model (.safetensors), a published checkpoint (.pt), or a name of
            `spikeyolo models`
        epochs: passes over the training images; more than a resumed run had make it longer
        batch: images in a batch, over all processes together; on GPUs auto: as many as fit, up to nominal_batch
        imgsz: side of the square that images are letter-boxed to, a multiple of 32; 640 unless given
        timesteps: T, in place of the model's
        max_count: D, 1..63, in place of the model's
        neuron: coco, gen1, relu (the ANN twin), or package.module:Class, one of your own, in place of the model's
        learned_scale: none, or one learned scale a layer or channel: the threshold, and what a spike weighs; in place
            of the model's
        surrogate_width: of the surrogate gradient's tails outside 0..D, in counts, 0 for none; in place of the model's
        freeze: parts of the network that stay as they are, by the beginning of their names, such as backbone
        optimizer: sgd (with Nesterov momentum), adamw, or muon: more is learnt in as many steps, each a little slower
        lr: learning rate after the warm-up; about 0.01 for sgd and muon, 0.001 for adamw
        final_lr: share of lr that is left at the end
        schedule: linear or cosine: how lr falls
        schedule_interval: epoch or batch: how often it falls; by batch, a training of few epochs ends near final_lr
        momentum: of sgd and muon; the first beta of adamw
        weight_decay: on weights of convolutions only, for steps of nominal_batch images; scaled to their true number
        nominal_batch: gradients are summed over so many images, as near as whole batches allow, before a step
        warmup_epochs: epochs in which lr, momentum and the number of images of a step rise to their values
        warmup_momentum: momentum at the start of the warm-up
        warmup_bias_lr: learning rate of the biases at the start of the warm-up, falling to lr; only sgd
        clip: largest norm of the gradient; larger ones are scaled down to it
        ema_decay: share of the averaged weights kept at each step, the averages being what is validated and saved
        ema_ramp: steps over which ema_decay is reached: ema_decay * (1 - exp(-step / ema_ramp))
        augmentation: what happens to the training images; a mapping will do
        event_augmentation: what happens to training recordings; a mapping will do
        preparation: how recordings become frames, by name, in place of the data set's
        representation: what the events of a timestep become, in place of that
        window_us: length of the window of a recording before a label, in microseconds, in place of that
        window_events: most events of such a window, in place of that; a window is what window_us and this say together
        sequence: train on recordings from start to end: so many timesteps in a row are learnt from at once, and
            potentials are carried on to the next; windows from rest unless given
        sequence_share: share of a batch's rows that do; others see as many timesteps up to a random label, from rest
        gains: weights of the parts of the loss; a mapping will do
        teacher: a file, as model takes, of a trained network of the same classes; the training also learns from what it
            finds on the same images
        distillation: weights of what is learnt from the teacher; a mapping will do
        energy_weight: weight in the loss, after the warm-up, of the share (0..1) of additions that spikes cause, of
            those there would be if every neuron fired max_count spikes; 10 is a start, more saves energy and costs
            precision
        energy_code: unary or binary: how counts become spikes where energy_weight counts additions; a count of 4 is 4
            or 1
        calibration_epochs: epochs at the end in which convolutions stay as they are; norms and scales alone learn
        precision: 32, bf16 or fp16 (mixed precision)
        seed: of weights, order and augmentation; the same seed on the same machine gives the same weights
        patience: stop after so many epochs without a better fitness (0.9 AP + 0.1 AP50), rounded up to whole
            validations; never unless given
        val_every: validate after every so many epochs, and after the last
        conf: least score of a detection in validation
        iou: overlap over which the weaker of two boxes of a class is dropped in validation
        max_det: most detections of an image in validation
        strict: refuse data in which anything had to be repaired
        device: auto, cpu, cuda, or numbers of GPUs such as 0 or 0,1,2,3
        processes: processes a node when training on CPUs, each with batch norm statistics of its own; on GPUs there is
            one for each
        nodes: computers that train together, started by torchrun or SLURM
        workers: processes that prepare images, for each training process
        cache_mb: keep so many megabytes of decoded images in shared memory
        compile: have PyTorch's compiler make faster code of the network, once, in the first minutes; for GPUs; not with
            energy_weight and recompute
        recompute: keep only the inputs of blocks for the backward pass and compute the rest once more there: the same
            weights in less memory, for about a third more time; not with energy_weight and compile
        save_minutes: write last.ckpt also within an epoch, after so many minutes
        save_steps: the same after so many optimiser steps
        wandb: also log to this project of Weights & Biases (needs the package wandb)

    Raises:
        ConfigError: no such setting, a value of another type, or one outside its range.
    """

    data: str = ""
    model: str = "s"
    epochs: int = 300
    batch: Literal["auto"] | int = 32
    imgsz: int | None = None
    timesteps: int | None = None
    max_count: int | None = None
    neuron: str | None = None
    learned_scale: Literal["none", "layer", "channel"] | None = None
    surrogate_width: float | None = None
    freeze: list[str] = field(default_factory=list)
    optimizer: Literal["sgd", "adamw", "muon"] = "sgd"
    lr: float = 0.01
    final_lr: float = 0.004
    schedule: Literal["linear", "cosine"] = "linear"
    schedule_interval: Literal["epoch", "batch"] = "epoch"
    momentum: float = 0.937
    weight_decay: float = 5e-4
    nominal_batch: int = 64
    warmup_epochs: float = 10.0
    warmup_momentum: float = 0.8
    warmup_bias_lr: float = 0.1
    clip: float = 10.0
    ema_decay: float = 0.9999
    ema_ramp: float = 2000.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    event_augmentation: EventAugmentation = field(default_factory=EventAugmentation)
    preparation: Literal["counts", "gen1-published"] | None = None
    representation: Representation | None = None
    window_us: int | None = None
    window_events: int | None = None
    refractory_us: int | None = None
    background_us: int | None = None
    region: list[int] | None = None
    sequence: int | None = None
    sequence_share: float = 1.0
    gains: LossGains = field(default_factory=LossGains)
    teacher: str | None = None
    distillation: DistillationGains = field(default_factory=DistillationGains)
    energy_weight: float = 0.0
    energy_code: Literal["unary", "binary"] = "unary"
    calibration_epochs: int = 0
    precision: Literal["32", "bf16", "fp16"] = "32"
    seed: int = 0
    patience: int | None = None
    val_every: int = 1
    conf: float = 0.001
    iou: float = 0.7
    max_det: int = 300
    strict: bool = False
    device: str = "auto"
    processes: int = 1
    nodes: int = 1
    workers: int = 2
    cache_mb: float = 0.0
    compile: bool = False
    recompute: bool = False
    save_minutes: float = 10.0
    save_steps: int | None = None
    wandb: str | None = None

    def __new__(cls, *args: Any, **values: Any) -> TrainSettings:
        """Refuse a setting that does not exist with a hint at the one that was meant."""
        known = [item.name for item in fields(cls)] if values else []
        for name in values:
            if name not in known:
                raise ConfigError(f"{name}: no such setting, {closest(name, known)}")
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self)).items():
            object.__setattr__(self, name, value_of(getattr(self, name), kind, name))
        for name in ("augmentation", "event_augmentation", "gains", "distillation"):
            self._check(name, is_dataclass(getattr(self, name)), "a mapping of names to values")
        for name in ("lr", "clip", "ema_ramp", "save_minutes"):
            self._check(name, getattr(self, name) > 0, "above 0")
        for name, (low, high) in RANGES.items():
            if (value := getattr(self, name)) not in (None, AUTO):
                check_range(name, value, low, high)
        for name in ("momentum", "warmup_momentum", "ema_decay"):
            self._check(name, 0 <= getattr(self, name) < 1, "at least 0 and below 1")
        if self.neuron not in (None, *NEURONS) and ":" not in str(self.neuron):
            known = ", ".join(NEURONS)
            raise ConfigError(
                f"neuron: {quote(self.neuron)} is not one of {known}, or package.module:Class of your own"
            )
        self._check("imgsz", self.imgsz is None or self.imgsz % 32 == 0, "a multiple of 32")
        self._check("calibration_epochs", self.calibration_epochs <= self.epochs, f"at most epochs, {self.epochs}")
        self.thresholds  # noqa: B018 - checks itself
        if self.teacher is None and self.distillation != DistillationGains():
            raise ConfigError("distillation: weighs what is learnt from a teacher; name one with teacher")
        for name in ("compile", "recompute"):
            if getattr(self, name) and self.energy_weight > 0:
                raise ConfigError(f"{name}: not with energy_weight, which looks into the blocks; leave one of them out")
        if self.compile and self.recompute:
            raise ConfigError("recompute: not with compile, which decides itself what is kept; leave one of them out")
        self._check_sequence()
        if self.energy_weight == 0 and self.energy_code != "unary":
            raise ConfigError("energy_code: says how energy_weight counts, which is 0; give a weight above 0")

    def _check_sequence(self) -> None:
        """Refuse what does not go together with potentials that are carried on."""
        if self.sequence is None:
            if self.sequence_share != 1:
                raise ConfigError("sequence_share: says how many rows follow recordings by sequence; give that, too")
            return
        for name, given in (
            ("teacher", self.teacher is not None),
            ("energy_weight", self.energy_weight > 0),
            ("compile", self.compile),
            ("recompute", self.recompute),
            ("batch", self.batch == AUTO),
        ):
            if given:
                what = "batch auto" if name == "batch" else name
                raise ConfigError(f"sequence: not with {what}, which takes windows from rest; leave one of them out")

    def _check(self, name: str, holds: bool, wanted: str) -> None:
        if not holds:
            raise ConfigError(f"{name}: {quote(getattr(self, name))} must be {wanted}")

    @property
    def batch_size(self) -> int:
        """The images in a batch, where `batch` is a number."""
        assert isinstance(self.batch, int)
        return self.batch

    @property
    def thresholds(self) -> Thresholds:
        """Which detections are kept in validation."""
        return Thresholds(self.conf, self.iou, self.max_det)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for YAML."""
        return asdict(self)

    def to_yaml(self) -> str:
        """Return the settings as a file that `--config` takes."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainSettings:
        """Return the settings with these values.

        Raises:
            ConfigError: a key that does not exist, or a value out of range or of another type.
        """
        return build(cls, values)


def read_settings(file: Path) -> TrainSettings:
    """Read the settings in a YAML: a recipe, or the config.yaml of a run.

    Raises:
        ConfigError: no such file, no YAML mapping, or an invalid setting.
    """
    values = read_mapping(file)
    try:
        return TrainSettings.from_dict(values)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with the package."""
    return sorted(file.stem for file in RECIPES.glob("*.yaml"))


def recipe_path(name: str) -> Path:
    """Return the file of a recipe that comes with the package.

    Raises:
        ConfigError: no such recipe.
    """
    if name not in recipe_names():
        raise ConfigError(f"recipe {quote(name)}: there are {', '.join(recipe_names())}")
    return RECIPES / f"{name}.yaml"


def recipe_of(settings: TrainSettings) -> str | None:
    """Return the name of the recipe of which nothing was changed, if there is one."""
    for name in recipe_names():
        values = read_mapping(recipe_path(name))
        recipe = TrainSettings.from_dict(values)
        if all(getattr(settings, key) == getattr(recipe, key) for key in values):
            return name
    return None
