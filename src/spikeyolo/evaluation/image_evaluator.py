"""Average precision on images, by COCO's rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..data.images.index import ImageIndex
from ..errors import DataError
from ..structures import Detections
from .coco import CocoEvaluator
from .ground_truth import GroundTruth, ImageId
from .metrics import Metrics, class_table
from .plots import plot_confusion, plot_curves

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, eq=False)
class ImageEvaluation:
    """The numbers of a model on images.

    Attributes:
        metrics: COCO's.
        detections: what they were computed from.
        results: whether the images have ids of their own, those of an annotation file, so that the COCO server takes
            a file of results.
    """

    metrics: Metrics
    detections: CocoEvaluator
    results: bool

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain values; see `Metrics.to_json`."""
        return self.metrics.to_json()

    def tables(self) -> list[Table]:
        """Return the numbers by class, for `rich.print`."""
        return [class_table(self.metrics)]

    def write(self, folder: Path) -> list[Path]:
        """Write curves (where computed) and the confusion matrix as PNGs, and coco_results.json for the COCO server.

        Raises:
            WriteError: a file cannot be written.
        """
        written = plot_curves(self.metrics.curves, folder)
        written.append(plot_confusion(self.detections.confusion_matrix(), folder / "confusion.png"))
        if self.results:
            written.append(folder / "coco_results.json")
            self.detections.write_results(written[-1])
        return written


class ImageEvaluator:
    """Collects detections under the ids and classes of an index, and evaluates them under those of its annotation file.

    Args:
        index: the images.
    """

    def __init__(self, index: ImageIndex) -> None:
        self.index = index
        try:
            self._truth = GroundTruth.from_coco(index.ground_truth())
        except DataError as error:
            raise DataError(f"{index.annotation_file}: {error}" if index.annotation_file else str(error)) from error
        own = index.image_ids if index.annotation_file else range(1, len(index) + 1)
        self._ids = dict(zip(index.image_ids, own, strict=True))
        # The classes of the file may stand in another order than those of the index.
        self._labels = torch.tensor([self._truth.category_ids.index(category) for category in index.category_ids])
        self.reset()

    def reset(self) -> None:
        """Forget all detections; evaluations computed before keep theirs."""
        self.collected = CocoEvaluator(self._truth)

    def update(self, image_ids: Sequence[ImageId], detections: Sequence[Detections]) -> None:
        """Take detections in pixels of the original images."""
        renamed = [
            Detections(d.boxes.float().cpu(), d.scores.float().cpu(), self._labels[d.labels.cpu()]) for d in detections
        ]
        self.collected.update([self._ids[image_id] for image_id in image_ids], renamed)

    def gather(self) -> None:
        """Take over the detections of all processes."""
        self.collected.gather()

    def compute(self, curves: bool = False) -> ImageEvaluation:
        """Return the numbers over all images of the index; unusable images of the annotation file are left out.

        Raises:
            DataError: some images of the index were not given.
        """
        if len(self.collected) != len(self.index):
            raise DataError(f"{len(self.collected)} of {len(self.index)} images were evaluated")
        metrics = self.collected.compute(partial=True, curves=curves)
        return ImageEvaluation(metrics, self.collected, results=bool(self.index.annotation_file))
