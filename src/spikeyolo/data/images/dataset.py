"""The images of an index as samples: augmented for training, letter-boxed for evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from ...errors import ConfigError
from ...imaging.io import read_rgb
from ...imaging.letterbox import letterbox
from ...structures import Batch, Placement, Targets
from ..sampler import Key
from .augmentation import Augmentation
from .cache import ImageCache
from .columns import ImageColumns
from .geometry import clip_boxes, covers, map_boxes, paint, scaling
from .transforms import Labelled, grey, letterbox_matrix


@dataclass(frozen=True)
class Sample:
    """One image as the network sees it.

    Attributes:
        image: (3, H, W) uint8 RGB.
        boxes: (N, 4) float32 xyxy in its pixels.
        labels: (N,) int64.
        placement: how the original lies on it; of an augmented image it holds the canvas's size alone.
        image_id: its id in the index.
    """

    image: Tensor
    boxes: Tensor
    labels: Tensor
    placement: Placement
    image_id: int | str


class ImageDataset(Dataset[Sample]):
    """The images of an index, augmented or letter-boxed.

    A sample depends on (seed, epoch, image) alone: index with the keys of an `EpochBatchSampler`, or with a plain
    image number for epoch 0.

    Args:
        index: the images, an `ImageIndex`.
        imgsz: side of the square canvas, or its rows and columns.
        augmentation: what happens to the images; None for evaluation.
        epochs: length of the training, for `close_mosaic`; None: mosaic is never closed.
        seed: of the randomness.
        cache_mb: keep so many megabytes of decoded images in shared memory; they change nothing but the speed.

    Raises:
        ConfigError: a size, seed or cache out of range.
    """

    def __init__(
        self,
        index: ImageColumns,
        imgsz: int | tuple[int, int],
        augmentation: Augmentation | None = None,
        *,
        epochs: int | None = None,
        seed: int = 0,
        cache_mb: float = 0,
    ) -> None:
        canvas_hw = (imgsz, imgsz) if isinstance(imgsz, int) else (imgsz[0], imgsz[1])
        if min(canvas_hw) < 1 or seed < 0 or cache_mb < 0:
            raise ConfigError(f"ImageDataset: imgsz {imgsz}, seed {seed} and cache_mb {cache_mb} must be positive")
        self.index, self.canvas_hw, self.seed, self.epochs = index, canvas_hw, seed, epochs
        self.augmentation = augmentation or Augmentation.none()
        whole = np.ones(len(index), dtype=np.int64)  # evaluation sees the very pixels that prediction does
        self.reductions = whole if self.augmentation.is_none else _reductions(index.sizes_hw, canvas_hw)
        decoded_hw = -(-index.sizes_hw // self.reductions[:, None])
        self.cache = ImageCache(decoded_hw, cache_mb) if cache_mb else None

    def __len__(self) -> int:
        return len(self.index)

    @staticmethod
    def collate(samples: Sequence[Sample]) -> Batch:
        """Join samples of one size to a Batch; see the function of this name."""
        return collate(samples)

    def __getitem__(self, key: int | Key) -> Sample:
        epoch, number = key if isinstance(key, tuple) else (0, key)
        if self.augmentation.is_none:
            return self._letterboxed(number)
        rng = np.random.default_rng((self.seed, epoch, number))
        mixing = self._joins_images(epoch)
        labelled = self._canvas(number, mixing, rng)
        if mixing and rng.random() < self.augmentation.mixup:
            other = self._canvas(int(rng.integers(len(self))), mixing, rng)
            labelled = self.augmentation.joining(self.canvas_hw)[1](*labelled, rng, other)
        for transform in self.augmentation.finishing():
            labelled = transform(*labelled, rng)
        return self._sample(number, labelled, Placement(self.canvas_hw))

    def _joins_images(self, epoch: int) -> bool:
        return self.epochs is None or epoch < self.epochs - self.augmentation.close_mosaic

    def _letterboxed(self, number: int) -> Sample:
        boxes, labels = self.index.objects(number)
        canvas, placement = letterbox(self._read(number), self.canvas_hw)
        mapped = boxes * np.tile(placement.scale_xy, 2) + np.tile(placement.offset_xy, 2)
        return self._sample(number, (canvas, *clip_boxes(mapped, labels, self.canvas_hw)), placement)

    def _canvas(self, number: int, mixing: bool, rng: np.random.Generator) -> Labelled:
        """One mosaic, or one image, through the random affine: painted once, from the sources onto the canvas."""
        settings = self.augmentation
        mosaic, _ = settings.joining(self.canvas_hw)
        if mixing and rng.random() < settings.mosaic:
            numbers = [number, *rng.integers(len(self), size=3).tolist()]
            matrices = mosaic.matrices([self._size(p) for p in numbers], rng)
        else:
            numbers = [number]
            rows, columns = self.canvas_hw
            around_centre = mosaic.affine.matrix((columns / 2, rows / 2), self.canvas_hw, rng)
            matrices = [around_centre @ letterbox_matrix(self._size(number), self.canvas_hw)]
        canvas = grey(self.canvas_hw)
        boxes, labels = [], []
        for source, matrix in zip(numbers, matrices, strict=True):
            if not covers(self._size(source), matrix, self.canvas_hw):
                continue  # not even decoded
            reduction = float(self.reductions[source])
            painted = paint(canvas, self._read(source), matrix @ scaling(reduction, reduction))
            own_boxes, own_labels = self.index.objects(source)
            boxes.append(map_boxes(own_boxes, painted @ scaling(1 / reduction, 1 / reduction)))
            labels.append(own_labels)
        mapped = np.concatenate([np.zeros((0, 4)), *boxes])
        joined = np.concatenate([np.zeros(0, dtype=np.int64), *labels])
        return canvas, *clip_boxes(mapped, joined, self.canvas_hw, settings.min_side, settings.min_visible)

    def _size(self, number: int) -> tuple[int, int]:
        rows, columns = self.index.sizes_hw[number]
        return int(rows), int(columns)

    def _read(self, number: int) -> np.ndarray:
        """The decoded image, its sides divided by its reduction; not to be written to."""
        pixels = self.cache.get(number) if self.cache else None
        if pixels is None:
            pixels = read_rgb(self.index.paths[number], int(self.reductions[number]))
            if self.cache:
                self.cache.put(number, pixels)
        return pixels

    def _sample(self, number: int, labelled: Labelled, placement: Placement) -> Sample:
        pixels, boxes, labels = labelled
        image = torch.empty((3, *pixels.shape[:2]), dtype=torch.uint8)
        cv2.split(pixels, list(image.numpy()))
        return Sample(image, torch.from_numpy(boxes), torch.from_numpy(labels), placement, self.index.image_ids[number])


def collate(samples: Sequence[Sample]) -> Batch:
    """Join samples of one size to a Batch: images (B, 3, H, W) uint8, targets in their pixels."""
    return Batch(
        images=default_collate([sample.image for sample in samples]),
        targets=Targets.from_images([s.labels for s in samples], [s.boxes for s in samples]),
        placements=tuple(sample.placement for sample in samples),
        image_ids=tuple(sample.image_id for sample in samples),
    )


def _reductions(sizes_hw: np.ndarray, canvas_hw: tuple[int, int]) -> np.ndarray:
    """By how much each image can be made smaller while decoding and still be larger than it lies on the canvas."""
    fit = np.maximum(sizes_hw[:, 0] / canvas_hw[0], sizes_hw[:, 1] / canvas_hw[1])
    powers = np.floor(np.log2(np.maximum(fit, 1))).astype(np.int64)
    return 2 ** np.minimum(powers, 3)
