"""A model on labelled data: average precision, and the time of each stage."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..data.events.index import EventIndex
from ..data.events.stretches import RecordingSampler
from ..data.loader import Loader
from ..data.sampler import EpochBatchSampler
from ..detection.thresholds import EVALUATION, Thresholds
from ..errors import ConfigError, WriteError
from ..files import write_whole
from ..limits import MAX_BATCH, MAX_TIMESTEPS, MAX_WORKERS, check_range
from ..model.detector import SpikeYOLO
from ..model.forms.form import Form
from ..model.inputs import Input, chosen_input
from ..model.lanes import Lanes
from ..model.network import evaluating
from ..option_help import described
from ..terminal import as_html
from .evaluator import Evaluation, make_evaluator
from .metrics import Metrics
from .timer import StageTimer

if TYPE_CHECKING:
    from rich.table import Table

    from ..data.data_set import Index
    from ..model.detecting import Detecting, Outputs


@described()
@dataclass(frozen=True)
class ValidationSettings:
    """How a model is evaluated; the defaults are COCO's rule and the model's own input.

    Attributes:
        thresholds: which detections are kept
        sequence: follow recordings from start to end, so many timesteps at once, `batch` recordings side by side:
            potentials are carried on, as `predict --carry` does; windows from rest unless given
        changes: to the windows and filters of recordings, see `chosen_input`

    Raises:
        ConfigError: a batch, a number of workers or of timesteps out of range.
    """

    batch: int = 16
    thresholds: Thresholds = EVALUATION
    workers: int = 2
    imgsz: int | None = None
    preparation: str | None = None
    sequence: int | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_range("batch", self.batch, 1, MAX_BATCH)
        check_range("workers", self.workers, 0, MAX_WORKERS)
        if self.sequence is not None:
            check_range("sequence", self.sequence, 1, MAX_TIMESTEPS)


@dataclass(frozen=True, eq=False, repr=False)
class Validation:
    """What an evaluation found.

    Attributes:
        evaluation: the numbers, with curves.
        timer: milliseconds of each stage.
        form: the model's; see `model.forms`.
        precision: of its numbers.
        engine: what ran it, with its version.
        slot_code: how counts become slots, in forms of a network that run on slots.
    """

    evaluation: Evaluation
    timer: StageTimer
    form: str
    precision: str
    engine: str
    slot_code: str | None = None

    def __repr__(self) -> str:
        values = self.evaluation.to_json()
        shown = ", ".join(f"{name} {values[name]:.3f}" for name in ("AP", "AP50", "AP75") if values[name] is not None)
        speed = sum(self.timer.milliseconds().values())
        return f"Validation({shown} on {values['images']} images; {speed:.1f} ms an image, {self.engine})"

    def _repr_html_(self) -> str:
        return as_html(*self.tables())

    @property
    def metrics(self) -> Metrics:
        """The headline of the evaluation."""
        return self.evaluation.metrics

    def to_json(self) -> dict[str, Any]:
        """Return the numbers, what they are of, and the speed of each stage in ms an image, as plain values."""
        return {
            **self.evaluation.to_json(),
            "form": str(self.form),
            **({} if self.slot_code is None else {"slot_code": self.slot_code}),
            "precision": self.precision,
            "engine": self.engine,
            "speed_ms": self.timer.milliseconds(),
        }

    def tables(self) -> list[Table]:
        """Return the numbers and the speed, for `rich.print`."""
        return [*self.evaluation.tables(), self.timer.table()]

    def write_json(self, file: Path) -> None:
        """Write `to_json`.

        Raises:
            WriteError: the file cannot be written.
        """
        write_whole(file, json.dumps(self.to_json(), indent=1).encode())

    def write(self, folder: Path) -> list[Path]:
        """Write plots, and what else belongs to the data, into a folder, which is made; return the files.

        Raises:
            WriteError: the folder or a file cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(f"{folder}: cannot be made a folder ({error.strerror})") from error
        return self.evaluation.write(folder)


def check_classes(model_names: Sequence[str], data_names: Sequence[str]) -> None:
    """Raise ConfigError unless a model knows the very classes of a data set, in the same order."""
    if len(model_names) != len(data_names):
        raise ConfigError(f"data: {len(data_names)} classes, the model has {len(model_names)}")
    unnamed = all(name == f"class{i}" for i, name in enumerate(model_names))
    differing = [pair for pair in zip(model_names, data_names, strict=True) if pair[0] != pair[1]]
    if differing and not unnamed and set(model_names) == set(data_names):
        raise ConfigError(
            f"data: class {differing[0][1]!r} stands where the model has {differing[0][0]!r}; reorder names"
        )


@torch.inference_mode()
def validate(model: Detecting, index: Index, settings: ValidationSettings | None = None) -> Validation:
    """Return the average precision of a model on the images or instants of an index, on the model's device.

    Afterwards the model is in the mode in which it was.

    Raises:
        ConfigError: another number of classes, or the same ones in another order; data of another kind than the model
            sees, or a setting that does not apply to them.
    """
    settings = settings or ValidationSettings()
    check_classes(model.names, index.names)
    seen = chosen_input(model, settings.imgsz, settings.preparation, **settings.changes)
    index = index.seen_by(seen)
    loader, look = _samples(model, index, seen, settings)
    evaluator, timer = make_evaluator(index), StageTimer(model.device)
    batches = iter(loader)
    for _ in range(len(loader)):
        with timer.stage("load"):
            batch = next(batches)
        with timer.stage("prepare"):
            images = model.prepare(batch.images)
        with timer.stage("network"):
            outputs = look(images, batch)
        with timer.stage("boxes"):
            found = model.detect(outputs, settings.thresholds, batch.placements, multi_label=True)
        evaluator.update(batch.image_ids, found)
        timer.end_batch(batch.batch_size)
    slots = None
    if isinstance(model, SpikeYOLO) and model.form in (Form.SPIKE_DRIVEN, Form.INTEGER):
        slots = str(model.slot_code)
    return Validation(evaluator.compute(curves=True), timer, model.form, model.precision, model.engine, slots)


def _samples(
    model: Detecting, index: Index, seen: Input, settings: ValidationSettings
) -> tuple[Loader, Callable[[Any, Any], Outputs]]:
    """What the model is to look at, and how: given a batch's images, prepared, and the batch."""
    on_gpu = model.device.type == "cuda"
    if settings.sequence is None:
        dataset: Any = index.dataset(seen)
        sampler = EpochBatchSampler(len(index), settings.batch, shuffle=False)
        return Loader(dataset, sampler, workers=settings.workers, pin_memory=on_gpu), lambda i, _: model.look(i)[0]
    if not isinstance(index, EventIndex):
        raise ConfigError("sequence: for recordings of event cameras; the data are images")
    model.check_carry()
    if not isinstance(model, SpikeYOLO):
        raise ConfigError("sequence: for saved models; of exported networks predict --carry carries potentials")
    dataset, lanes = index.stretches(seen, settings.sequence), Lanes()
    sampler = RecordingSampler(dataset.stretches, settings.batch)

    def look(images: Any, batch: Any) -> Outputs:
        with evaluating(model):
            return lanes.look(model, images, batch.to(model.device))

    return Loader(dataset, sampler, workers=settings.workers, pin_memory=on_gpu), look
