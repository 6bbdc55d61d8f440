from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..data import EpochBatchSampler, ImageDataset, Index, Loader, load_index, read_description
from ..errors import ConfigError, DataError
from ..evaluation import Metrics, StageTimer, plot_confusion, plot_f1, plot_precision_recall
from ..files import write_atomically
from .inference import Evaluation, on_original, suppress, to_input
from .settings import read_settings

if TYPE_CHECKING:
    from ..model import SpikeYOLO


@dataclass(frozen=True)
class ValidationSettings:
    """How a model is evaluated; the defaults are COCO's rule.

    Attributes:
        batch: pictures looked at together
        imgsz: side of the square that pictures are letter-boxed to, a multiple of 32
        conf: least score of a detection
        iou: overlap over which the weaker of two boxes of a class is dropped
        max_det: most detections of a picture
        workers: processes that prepare pictures
    """

    batch: int = 16
    imgsz: int = 640
    conf: float = 0.001
    iou: float = 0.7
    max_det: int = 300
    workers: int = 2


@dataclass(frozen=True)
class Validation:
    """What an evaluation found.

    Attributes:
        metrics: COCO's numbers, with curves.
        evaluation: the detections behind them.
        timer: milliseconds of each stage.
        form: the model's; see `model.detector`.
    """

    metrics: Metrics
    evaluation: Evaluation
    timer: StageTimer
    form: str

    def to_json(self) -> dict[str, Any]:
        """The numbers, and the speed of each stage in ms a picture."""
        return {**self.metrics.to_json(), "form": self.form, "speed_ms": self.timer.milliseconds()}

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
        evaluator = self.evaluation.evaluator
        try:
            folder.mkdir(parents=True, exist_ok=True)
            written = [
                plot_precision_recall(self.metrics.curves, folder / "precision_recall.png"),
                plot_f1(self.metrics.curves, folder / "f1.png"),
                plot_confusion(evaluator.confusion_matrix(), folder / "confusion.png"),
            ]
        except OSError as error:
            raise DataError(f"{folder}: cannot be written ({error.strerror})") from error
        if self.evaluation.index.annotation_file:
            written.append(folder / "coco_results.json")
            evaluator.write_results(written[-1])
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


def read_split(data: str | Path, split: str) -> Index:
    """The pictures of a split of a data.yaml or COCO annotation file; see `read_description` and `load_index`."""
    return load_index(read_description(Path(data)), split)


@torch.inference_mode()
def validate(model: SpikeYOLO, index: Index, settings: ValidationSettings | None = None) -> Validation:
    """Average precision of a model on the pictures of an index, on the device where the model is.

    Raises:
        ConfigError: another number of classes, or the same ones in another order.
    """
    settings = settings or ValidationSettings()
    check_classes(model.names, index.names)
    dataset = ImageDataset(index, settings.imgsz)
    loader = Loader(dataset, EpochBatchSampler(len(index), settings.batch, shuffle=False), workers=settings.workers)
    evaluation, timer = Evaluation.of(index), StageTimer(model.device)
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
    return Validation(evaluation.compute(curves=True), evaluation, timer, model.form)


def trained_size(weights: Path) -> int | None:
    """The picture size of the run in whose folder the weights lie, if they lie in one."""
    config = weights.parent / "config.yaml"
    return read_settings(config).imgsz if config.is_file() else None
