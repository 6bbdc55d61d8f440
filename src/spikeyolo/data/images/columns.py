"""The images and boxes of one split in columns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .coco_json import read_coco_json


@dataclass(frozen=True)
class ImageColumns:
    """P images and N boxes.

    Attributes:
        names: class names by class index.
        paths: P image files.
        image_ids: P ids: COCO's integers, or the paths.
        sizes_hw: (P, 2) int64, rows and columns of the upright image.
        starts: (P + 1,) int64, the boxes of image i are rows starts[i]..starts[i + 1].
        boxes: (N, 4) float64 xyxy in pixels of the upright image, crowds too.
        labels: (N,) int64 class indices.
        crowd: (N,) bool.
        annotation_file: the COCO JSON the boxes came from, or "".
        category_ids: the file's id for each class (YOLO: 1, 2, ...).
    """

    names: tuple[str, ...]
    paths: tuple[str, ...]
    image_ids: tuple[int | str, ...]
    sizes_hw: np.ndarray
    starts: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    crowd: np.ndarray
    annotation_file: str
    category_ids: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def objects(self, image: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the boxes (n, 4) float32 and labels (n,) int64 of one image that training uses: no crowds."""
        rows = slice(self.starts[image], self.starts[image + 1])
        single = ~self.crowd[rows]
        return self.boxes[rows][single].astype(np.float32), self.labels[rows][single]

    def ground_truth(self) -> dict[str, Any]:
        """Return a COCO dictionary to evaluate against.

        From COCO data it is the annotation file itself: original image and category ids, crowds, areas, nothing
        repaired. From YOLO data it is built here: image i has id i + 1 (and its path as `file_name`), class c the
        category id c + 1, annotation ids start at 1.
        """
        if self.annotation_file:
            return read_coco_json(Path(self.annotation_file))
        image_of = np.repeat(np.arange(len(self)), np.diff(self.starts))
        xywh = np.concatenate([self.boxes[:, :2], self.boxes[:, 2:] - self.boxes[:, :2]], axis=1)
        return {
            "images": [
                {"id": i + 1, "file_name": path, "height": int(rows), "width": int(columns)}
                for i, (path, (rows, columns)) in enumerate(zip(self.paths, self.sizes_hw, strict=True))
            ],
            "annotations": [
                {
                    "id": row + 1,
                    "image_id": int(image_of[row]) + 1,
                    "category_id": self.category_ids[self.labels[row]],
                    "bbox": xywh[row].tolist(),
                    "area": float(xywh[row, 2] * xywh[row, 3]),
                    "iscrowd": int(self.crowd[row]),
                }
                for row in range(len(self.boxes))
            ],
            "categories": [{"id": i, "name": name} for i, name in zip(self.category_ids, self.names, strict=True)],
        }
