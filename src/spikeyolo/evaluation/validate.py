from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..data.events.dataset import EventDataset
from ..data.events.description import is_event_description, read_event_description
from ..data.events.index import EventIndex, load_event_index
from ..data.images.dataset import ImageDataset
from ..data.images.description import read_description
from ..data.images.index import Index
from ..data.images.scan import load_index
from ..data.loader import Loader
from ..data.sampler import EpochBatchSampler
from ..errors import ConfigError, DataError
from ..events import EventInput
from ..files import write_atomically
from ..model.inputs import chosen_input
from ..training.settings import read_settings
from .event_evaluator import EventEvaluation
from .image_evaluator import Evaluation, on_original, suppress, to_input
from .metrics import Metrics
from .plots import plot_confusion, plot_f1, plot_precision_recall
from .prophesee import EventMetrics
from .timer import StageTimer

if TYPE_CHECKING:
    from ..model.detector import SpikeYOLO


HEADLINE = ("AP", "AP50", "AP75", "images", "boxes")
"""What the numbers of every evaluation hold, whatever it was on."""


@dataclass(frozen=True)
class ValidationSettings:
    """How a model is evaluated; the defaults are COCO's rule.

    Attributes:
        batch: images looked at together
        imgsz: side of the square that images are letter-boxed to, a multiple of 32
        conf: least score of a detection
        iou: overlap over which the weaker of two boxes of a class is dropped
        max_det: most detections of an image
        workers: processes that prepare images
        preparation: how recordings become frames, by name, in place of what the model says
    """

    batch: int = 16
    imgsz: int = 640
    conf: float = 0.001
    iou: float = 0.7
    max_det: int = 300
    workers: int = 2
    preparation: str | None = None


@dataclass(frozen=True)
class Validation:
    """What an evaluation found.

    Attributes:
        metrics: COCO's numbers, with curves; of recordings by the protocol of the data set.
        evaluation: the detections behind them.
        timer: milliseconds of each stage.
        form: the model's; see `model.detector`.
        event_metrics: of recordings the numbers by the protocol, and plain COCO's beside them.
    """

    metrics: Metrics
    evaluation: Evaluation | EventEvaluation
    timer: StageTimer
    form: str
    event_metrics: EventMetrics | None = None

    def to_json(self) -> dict[str, Any]:
        """The numbers, and the speed of each stage in ms an image.

        Of recordings those of HEADLINE are by the protocol of the data set, which `protocol` names; both rules follow
        whole, each under its name.
        """
        numbers = self.metrics.to_json()
        if self.event_metrics is not None and isinstance(self.evaluation, EventEvaluation):
            headline = {name: numbers[name] for name in HEADLINE}
            numbers = {**headline, "protocol": self.evaluation.index.protocol, **self.event_metrics.to_json()}
        return {**numbers, "form": self.form, "speed_ms": self.timer.milliseconds()}

    def write_json(self, file: Path) -> None:
        """Writes `to_json`.

        Raises:
            CheckpointError: the file cannot be written.
        """
        write_atomically(file, json.dumps(self.to_json(), indent=1).encode())

    def write_all(self, folder: Path) -> list[Path]:
        """Curves and the confusion matrix as PNGs; on COCO JSON data also coco_results.json, for the COCO server.

        Raises:
            DataError: the folder cannot be written.
        """
        assert self.metrics.curves is not None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            written = [
                plot_precision_recall(self.metrics.curves, folder / "precision_recall.png"),
                plot_f1(self.metrics.curves, folder / "f1.png"),
            ]
            if isinstance(self.evaluation, Evaluation):
                matrix = self.evaluation.evaluator.confusion_matrix()
                written.append(plot_confusion(matrix, folder / "confusion.png"))
        except OSError as error:
            raise DataError(f"{folder}: cannot be written ({error.strerror})") from error
        if isinstance(self.evaluation, Evaluation) and self.evaluation.index.annotation_file:
            written.append(folder / "coco_results.json")
            self.evaluation.evaluator.write_results(written[-1])
        return written


def check_classes(model_names: Sequence[str], data_names: Sequence[str]) -> None:
    """Raises ConfigError unless a model knows the very classes of a data set, in the same order."""
    if len(model_names) != len(data_names):
        raise ConfigError(f"data: {len(data_names)} classes, the model has {len(model_names)}")
    unnamed = all(name == f"class{i}" for i, name in enumerate(model_names))
    differing = [pair for pair in zip(model_names, data_names, strict=True) if pair[0] != pair[1]]
    if differing and not unnamed and set(model_names) == set(data_names):
        raise ConfigError(
            f"data: class {differing[0][1]!r} stands where the model has {differing[0][0]!r}; reorder names"
        )


def read_split(data: str | Path, split: str) -> Index | EventIndex:
    """The images, or labelled instants, of a split; see `load_index` and `load_event_index`."""
    if is_event_description(Path(data)):
        return load_event_index(read_event_description(data), split)
    return load_index(read_description(Path(data)), split)


def read_images(data: str | Path, split: str) -> Index:
    """The images of a split.

    Raises:
        ConfigError: the file describes recordings.
    """
    index = read_split(data, split)
    if isinstance(index, EventIndex):
        raise ConfigError(f"{data}: describes recordings of an event camera; this command takes images")
    return index


@torch.inference_mode()
def validate(model: SpikeYOLO, index: Index | EventIndex, settings: ValidationSettings | None = None) -> Validation:
    """Average precision of a model on the images or instants of an index, on the device where the model is.

    Raises:
        ConfigError: another number of classes, or the same ones in another order; of recordings, a model that does not
            say how they become frames, or a preparation that does not fit it.
    """
    settings = settings or ValidationSettings()
    check_classes(model.names, index.names)
    dataset, evaluation = _samples(model, index, settings)
    loader = Loader(dataset, EpochBatchSampler(len(index), settings.batch, shuffle=False), workers=settings.workers)
    timer = StageTimer(model.device)
    was_training = model.training
    model = model.eval()
    batches = iter(loader)
    for _ in range(len(loader)):
        with timer.stage("load"):
            batch = next(batches)
        with timer.stage("prepare"):
            images = to_input(batch.images.to(model.device)).to(model.dtype)
        with timer.stage("network"):
            logits = model(images)
        with timer.stage("boxes"):
            found = on_original(suppress(logits, settings.conf, settings.iou, settings.max_det), batch)
        evaluation.update(batch.image_ids, found)
        timer.end_batch(batch.batch_size)
    model.train(was_training)
    if isinstance(evaluation, EventEvaluation):
        both = evaluation.compute_both(curves=True)
        return Validation(both.prophesee, evaluation, timer, model.form, both)
    return Validation(evaluation.compute(curves=True), evaluation, timer, model.form)


def _samples(
    model: SpikeYOLO, index: Index | EventIndex, settings: ValidationSettings
) -> tuple[ImageDataset, Evaluation] | tuple[EventDataset, EventEvaluation]:
    """The data set, and what evaluates it."""
    if isinstance(index, Index):
        return ImageDataset(index, settings.imgsz), Evaluation.of(index)
    preparation = chosen_input(model, preparation=settings.preparation, kind="recordings")
    assert isinstance(preparation, EventInput)
    return EventDataset(index, preparation), EventEvaluation.of(index)


def trained_size(weights: Path) -> int | None:
    """The image size of the run in whose folder the weights lie, if they lie in one."""
    config = weights.parent / "config.yaml"
    return read_settings(config).imgsz if config.is_file() else None
