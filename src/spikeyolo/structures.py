"""What flows between the rooms: Targets, Batch, Detections. Checked once, where they are made.

Shape letters: T timesteps, B images in a batch, C channels, H rows, W columns, N boxes.
All boxes are `xyxy`: left, top, right, bottom, in pixels, floating point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .checks import WHOLE_NUMBERS, changed, check_boxes, check_column, expect
from .detections import Detections
from .placement import REG_MAX, STRIDES, Placement

__all__ = ["REG_MAX", "STRIDES", "WHOLE_NUMBERS", "Batch", "Detections", "Placement", "StretchBatch", "Targets"]

STRETCH_TENSORS = ("images", "rows", "steps")


@dataclass(frozen=True)
class Targets:
    """The labelled boxes of a whole batch, one row a box, in any order.

    Attributes:
        image_index: (N,) int64, the image of the batch a box lies on.
        labels: (N,) int64 class indices.
        boxes: (N, 4) xyxy in pixels of the batch's images, with x1 < x2 and y1 < y2.
        num_images: images in the batch; those without boxes count too.
        host_boxes: the boxes as they were before they were moved to another device, so that nobody waits for that.

    Raises:
        ShapeError: on shapes that do not belong together, an index out of range, or a box not finite or without area.
    """

    image_index: Tensor
    labels: Tensor
    boxes: Tensor
    num_images: int
    host_boxes: Tensor | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_boxes("Targets", self.boxes)
        count = len(self.boxes)
        check_column("Targets", "image_index", self.image_index, count, integer=True)
        check_column("Targets", "labels", self.labels, count, integer=True)
        if count == 0:
            return
        low, high = int(self.image_index.min()), int(self.image_index.max())
        expect(
            low >= 0 and high < self.num_images,
            f"Targets.image_index: {low}..{high} is outside the batch of {self.num_images}",
        )
        expect(int(self.labels.min()) >= 0, "Targets.labels: a class index below 0")
        expect(bool(torch.isfinite(self.boxes).all()), "Targets.boxes: a coordinate that is not finite")
        expect(
            bool((self.boxes[:, 2:] > self.boxes[:, :2]).all()),
            "Targets.boxes: a box without area (x1 >= x2 or y1 >= y2)",
        )

    def __len__(self) -> int:
        return len(self.boxes)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Targets:
        """The same targets on another device."""
        return changed(
            self,
            host_boxes=self.boxes if self.boxes.device.type == "cpu" else self.host_boxes,
            image_index=self.image_index.to(device, non_blocking=non_blocking),
            labels=self.labels.to(device, non_blocking=non_blocking),
            boxes=self.boxes.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> Targets:
        """The same targets in page-locked memory."""
        return changed(
            self,
            image_index=self.image_index.pin_memory(),
            labels=self.labels.pin_memory(),
            boxes=self.boxes.pin_memory(),
        )

    @property
    def boxes_on_host(self) -> Tensor:
        """The boxes on the CPU."""
        if self.boxes.device.type == "cpu":
            return self.boxes
        return self.boxes.cpu() if self.host_boxes is None else self.host_boxes

    @classmethod
    def from_images(cls, labels: Sequence[Tensor], boxes: Sequence[Tensor]) -> Targets:
        """Joins per-image `labels` (N_i,) and `boxes` (N_i, 4); images without boxes hold empty tensors."""
        counts = torch.tensor([len(b) for b in boxes], dtype=torch.int64)
        image_index = torch.repeat_interleave(torch.arange(len(boxes)), counts)
        if not boxes:
            return cls(image_index, torch.zeros(0, dtype=torch.int64), torch.zeros(0, 4), 0)
        return cls(image_index, torch.cat(list(labels)), torch.cat(list(boxes)), len(boxes))


@dataclass(frozen=True)
class Batch:
    """What a loader yields: images or event frames, their boxes, and where each came from.

    Attributes:
        images: (B, C, H, W) images (RGB) or (T, B, C, H, W) event frames; uint8 0..255 stands for 0..1, event frames
            in int8 or int16 are what the representation gives, and so are those in floating point; images are 0..1.
        targets: boxes in pixels of `images`.
        placements: for each image, how it was put on the canvas.
        image_ids: for each image, the id its data set knows it by (COCO's integer, or a path).
    """

    images: Tensor
    targets: Targets
    placements: tuple[Placement, ...]
    image_ids: tuple[int | str, ...]

    def __post_init__(self) -> None:
        dtype, axes = self.images.dtype, self.images.ndim
        expect(
            axes in (4, 5)
            and (dtype == torch.uint8 or dtype.is_floating_point or (axes == 5 and dtype in WHOLE_NUMBERS)),
            "Batch.images: expected uint8 or floating point (B, C, H, W), or these, int8 or int16 (T, B, C, H, W), "
            f"got {dtype} {tuple(self.images.shape)}",
        )
        for name, count in (
            ("targets", self.targets.num_images),
            ("placements", len(self.placements)),
            ("image_ids", len(self.image_ids)),
        ):
            expect(count == self.batch_size, f"Batch.{name}: {count} beside {self.batch_size} images")

    @property
    def batch_size(self) -> int:
        """Images (or event samples) in the batch."""
        return self.images.shape[-4]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The same batch on another device."""
        return changed(
            self,
            images=self.images.to(device, non_blocking=non_blocking),
            targets=self.targets.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory; the DataLoader calls this."""
        return changed(self, images=self.images.pin_memory(), targets=self.targets.pin_memory())


@dataclass(frozen=True)
class StretchBatch:
    """Stretches of several recordings: rows of L timesteps, of which some are labelled. M of these in all.

    Attributes:
        images: (L, B, C, H, W) event frames, as of `Batch`.
        lanes: (B) numbers: a row goes on where the batch before left the row of the same number; nothing follows on -1.
        fresh: (B) for each row, whether it starts from rest instead.
        rows: (M,) int64, the row of each labelled timestep.
        steps: (M,) int64, the timestep.
        targets: boxes in pixels of `images`; what they call images are the labelled timesteps.
        placements: for each labelled timestep, how the sensor was put on the canvas.
        image_ids: (M) for each labelled timestep, the number its data set knows it by.
    """

    images: Tensor
    lanes: tuple[int, ...]
    fresh: tuple[bool, ...]
    rows: Tensor
    steps: Tensor
    targets: Targets
    placements: tuple[Placement, ...]
    image_ids: tuple[int | str, ...]

    def __post_init__(self) -> None:
        expect(self.images.ndim == 5, f"StretchBatch.images: expected (L, B, C, H, W), got {tuple(self.images.shape)}")
        length, count, labelled = self.images.shape[0], self.images.shape[1], len(self.rows)
        for name, found in (("lanes", len(self.lanes)), ("fresh", len(self.fresh))):
            expect(found == count, f"StretchBatch.{name}: {found} beside {count} rows")
        for name, found in (
            ("steps", len(self.steps)),
            ("targets", self.targets.num_images),
            ("placements", len(self.placements)),
            ("image_ids", len(self.image_ids)),
        ):
            expect(found == labelled, f"StretchBatch.{name}: {found} beside {labelled} labelled timesteps")
        for name, values, below in (("rows", self.rows, count), ("steps", self.steps, length)):
            inside = not labelled or 0 <= int(values.min()) <= int(values.max()) < below
            expect(inside, f"StretchBatch.{name}: outside 0..{below - 1}")

    @property
    def batch_size(self) -> int:
        """Rows."""
        return self.images.shape[1]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> StretchBatch:
        """The same batch on another device."""
        moved = {name: getattr(self, name).to(device, non_blocking=non_blocking) for name in STRETCH_TENSORS}
        return changed(self, **moved, targets=self.targets.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> StretchBatch:
        """The same batch in page-locked memory; the DataLoader calls this."""
        pinned = {name: getattr(self, name).pin_memory() for name in STRETCH_TENSORS}
        return changed(self, **pinned, targets=self.targets.pin_memory())

    def windows(self, timesteps: int) -> Batch:
        """The labelled timesteps as samples of their own, to look at: each with the last T frames up to it.

        Frames before the stretch hold nothing.
        """
        before = self.images.new_zeros((timesteps - 1, *self.images.shape[1:]))
        frames = torch.cat([before, self.images])
        offsets = torch.arange(timesteps, device=frames.device).unsqueeze(1)
        images = frames[self.steps + offsets, self.rows]  # (T, M, C, H, W)
        return Batch(images, self.targets, self.placements, self.image_ids)
