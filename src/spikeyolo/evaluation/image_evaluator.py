from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..data.images.index import Index
from ..detection.anchors import decode
from ..detection.nms import non_maximum_suppression
from ..errors import DataError
from ..structures import STRIDES, Batch, Detections
from .coco import CocoEvaluator
from .ground_truth import GroundTruth, ImageId
from .metrics import Metrics


def to_input(images: Tensor) -> Tensor:
    """Batch images -> floating point 0..1, images in channels_last order, the fastest for convolutions."""
    if images.dtype == torch.uint8:
        images = images.float() / 255
    return images.contiguous(memory_format=torch.channels_last) if images.ndim == 4 else images


def suppress(logits: Sequence[Tensor], conf: float, iou: float, max_det: int) -> list[Detections]:
    """Logits -> detections on the canvas by the rule of evaluation: a box may count for several classes."""
    boxes, scores = decode([level.float() for level in logits], STRIDES)
    return non_maximum_suppression(boxes, scores, conf=conf, iou=iou, max_det=max_det, multi_label=True)


def on_original(found: Sequence[Detections], batch: Batch) -> list[Detections]:
    """Detections on the canvas -> in pixels of the original images."""
    return [
        Detections(place.to_original(d.boxes), d.scores, d.labels)
        for d, place in zip(found, batch.placements, strict=True)
    ]


@dataclass(frozen=True)
class Evaluation:
    """An evaluator for the images of an index, which go by the index's ids and classes.

    Attributes:
        index: the images.
        evaluator: under the ids and classes of the annotation file, where there is one.
    """

    index: Index
    evaluator: CocoEvaluator
    ids: dict[ImageId, ImageId]
    label_order: Tensor

    @classmethod
    def of(cls, index: Index) -> Evaluation:
        """An empty one."""
        truth = GroundTruth.from_coco(index.ground_truth())
        own = index.image_ids if index.annotation_file else range(1, len(index) + 1)
        order = [truth.category_ids.index(category) for category in index.category_ids]
        return cls(index, CocoEvaluator(truth), dict(zip(index.image_ids, own, strict=True)), torch.tensor(order))

    def update(self, image_ids: Sequence[ImageId], found: Sequence[Detections]) -> None:
        """Takes detections in pixels of the original images."""
        moved = [
            Detections(d.boxes.float().cpu(), d.scores.float().cpu(), self.label_order[d.labels.cpu()]) for d in found
        ]
        self.evaluator.update([self.ids[image_id] for image_id in image_ids], moved)

    def reset(self) -> None:
        """Forgets all detections."""
        self.evaluator.reset()

    def gather(self) -> None:
        """Takes over the detections of all processes."""
        self.evaluator.gather()

    def compute(self, curves: bool = False) -> Metrics:
        """The numbers over all images of the index; images of the annotation file that were unusable are left out.

        Raises:
            DataError: some images of the index were not given.
        """
        if len(self.evaluator) != len(self.index):
            raise DataError(f"{len(self.evaluator)} of {len(self.index)} images were evaluated")
        return self.evaluator.compute(partial=True, curves=curves)
