"""The labelled boxes of a data set, as an evaluation needs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataError, ShapeError

ImageId = int | str


def _joined(parts: Sequence[Any] | None, width: int | None, dtype: Any) -> np.ndarray | None:
    """Per-image arrays as one; `width` columns, or none at all."""
    if parts is None:
        return None
    shape = (-1,) if width is None else (-1, width)
    arrays = [np.asarray(part, dtype=dtype).reshape(shape) for part in parts]
    return np.concatenate([np.zeros((0, *shape[1:]), dtype=dtype), *arrays])


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """The labelled boxes that detections are compared with, in pixels of the original images.

    M images, N boxes, K classes.

    Attributes:
        image_ids: M ids, each once: COCO's integers, or paths.
        sizes_hw: (M, 2) rows and columns of each image.
        image_index: (N,) the image of each box, an index into image_ids.
        boxes: (N, 4) float64 xyxy in pixels.
        labels: (N,) class indices.
        crowd: (N,) bool: a region of many objects; what is found in it counts neither for nor against.
        areas: (N,) float64 square pixels, which decide between small, medium and large (COCO's are those of the masks).
        class_names: K names.
        category_ids: K ids under which the classes go into result files.

    Raises:
        ShapeError: arrays that do not belong together.
        DataError: an id given twice, or a class or image index out of range.
    """

    image_ids: tuple[ImageId, ...]
    sizes_hw: np.ndarray
    image_index: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    crowd: np.ndarray
    areas: np.ndarray
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]

    def __post_init__(self) -> None:
        images, count = len(self.image_ids), len(self.boxes)
        for name, shape in (
            ("sizes_hw", (images, 2)),
            ("image_index", (count,)),
            ("boxes", (count, 4)),
            ("labels", (count,)),
            ("crowd", (count,)),
            ("areas", (count,)),
        ):
            if getattr(self, name).shape != shape:
                raise ShapeError(f"GroundTruth.{name}: expected {shape}, got {getattr(self, name).shape}")
        if len(self.category_ids) != len(self.class_names) or len(set(self.category_ids)) != len(self.category_ids):
            raise DataError(f"GroundTruth.category_ids: {len(self.class_names)} different ones are needed")
        if len(set(self.image_ids)) != images:
            raise DataError("GroundTruth.image_ids: an image is named twice")
        for name, limit in (("labels", len(self.class_names)), ("image_index", images)):
            values = getattr(self, name)
            if count and not 0 <= values.min() <= values.max() < limit:
                raise DataError(f"GroundTruth.{name}: {values.min()}..{values.max()} is outside 0..{limit - 1}")
        if not np.isfinite(self.boxes).all() or not np.isfinite(self.areas).all():
            raise DataError("GroundTruth.boxes, areas: a value that is not finite")

    @classmethod
    def from_images(
        cls,
        image_ids: Sequence[ImageId],
        sizes_hw: Sequence[tuple[int, int]],
        boxes: Sequence[Any],
        labels: Sequence[Any],
        class_names: Sequence[str],
        *,
        crowd: Sequence[Any] | None = None,
        areas: Sequence[Any] | None = None,
        category_ids: Sequence[int] | None = None,
    ) -> GroundTruth:
        """Join per-image boxes (N_i, 4) xyxy, labels (N_i,) and, where known, crowd flags and areas (N_i,).

        Without `areas` a box's own area is taken; without `category_ids` the classes are 1, 2, ... K.
        """
        all_boxes = _joined(boxes, 4, np.float64)
        all_labels, all_crowd, all_areas = (
            _joined(labels, None, np.int64),
            _joined(crowd, None, bool),
            _joined(areas, None, np.float64),
        )
        assert all_boxes is not None
        assert all_labels is not None
        if all_areas is None:
            all_areas = (all_boxes[:, 2:] - all_boxes[:, :2]).prod(axis=1)
        return cls(
            tuple(image_ids),
            np.asarray(sizes_hw, dtype=np.int64).reshape(-1, 2),
            np.repeat(np.arange(len(boxes)), [len(part) for part in boxes]),
            all_boxes,
            all_labels,
            np.zeros(len(all_boxes), dtype=bool) if all_crowd is None else all_crowd,
            all_areas,
            tuple(class_names),
            tuple(range(1, len(class_names) + 1)) if category_ids is None else tuple(category_ids),
        )

    @classmethod
    def from_coco(cls, dataset: dict[str, Any]) -> GroundTruth:
        """Return the labels in the contents of a COCO annotation file; classes in the order of their category ids.

        Raises:
            DataError: a field is missing, or an annotation names an image or category that the file does not hold.
        """
        try:
            names = {int(category["id"]): str(category["name"]) for category in dataset["categories"]}
            place = {image["id"]: index for index, image in enumerate(dataset["images"])}
            label = {category: index for index, category in enumerate(sorted(names))}
            rows = dataset["annotations"]
            xywh = np.array([row["bbox"] for row in rows], dtype=np.float64).reshape(-1, 4)
            return cls(
                tuple(place),
                np.array([(image["height"], image["width"]) for image in dataset["images"]]).reshape(-1, 2),
                np.array([place[row["image_id"]] for row in rows], dtype=np.int64),
                np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1),
                np.array([label[row["category_id"]] for row in rows], dtype=np.int64),
                np.array([bool(row.get("iscrowd", 0)) for row in rows], dtype=bool),
                np.array([row.get("area", row["bbox"][2] * row["bbox"][3]) for row in rows], dtype=np.float64),
                tuple(names[category] for category in label),
                tuple(label),
            )
        except KeyError as error:
            raise DataError(f"COCO annotations: {error} is missing or not declared") from error
