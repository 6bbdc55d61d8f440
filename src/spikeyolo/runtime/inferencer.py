"""Exported networks that find objects on images and event frames, without torch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import numpy as np

from ..artefact import BOXES, DETECTIONS, LOGITS
from ..detection.thresholds import Thresholds
from ..errors import ConfigError, ShapeError
from ..imaging.image_input import Image, ImageInput
from ..limits import MAX_WORKERS, check_range
from ..model.inputs import Input, chosen_input
from ..placement import Placement
from .decode import Detections, decode, found_on, on_originals
from .session import Session, State, said_number
from .sessions import open_session

Outputs = Mapping[str, np.ndarray]
"""What a network gives, by the names of `spikeyolo.artefact`."""


class Inferencer:
    """A network that `spikeyolo export` wrote, ready to predict.

        from spikeyolo.runtime import Inferencer
        found = Inferencer("model.onnx").predict(["a.jpg", "b.jpg"], conf=0.4)
        print(found[0].boxes, found[0].scores, found[0].labels)

    Any number of threads may use one at once.

    Args:
        path: model.onnx, a folder of OpenVINO's files, or a package for chips; or a session that is open already.
        device: what computes: cpu; cuda for ONNX files; another that OpenVINO finds.
        threads: that one run takes; None: as many as there are cores.
        provider: of ONNX Runtime, by name, in place of that of the device.

    Attributes:
        names: class names.
        input: what it sees: an `ImageInput` or an `EventInput`.
        artefact: all that the file says of the network.
        source: the file or folder.
        engine: what runs it, with its version.
        timesteps: T of a whole window.

    Raises:
        CheckpointError: no such file, damaged, edited, or of another program.
        ConfigError: an option that does not apply, or no such device.
        MissingPackage: the engine is not installed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | Session,
        device: str = "cpu",
        threads: int | None = None,
        provider: str | None = None,
    ) -> None:
        if threads is not None:
            check_range("threads", threads, 1, MAX_WORKERS)
        self.session = open_session(path, device, threads, provider) if isinstance(path, str | os.PathLike) else path
        self.artefact, self.input = self.session.artefact, self.session.input
        self.names, self.source, self.engine = self.artefact.names, self.session.source, self.session.engine
        self.timesteps = said_number(self.artefact, "timesteps", self.source)

    def __repr__(self) -> str:
        return f"Inferencer({self.source!r}, {self.engine}, {self.artefact.form} form in {self.artefact.precision})"

    def predict(
        self,
        images: Image | Sequence[Image],
        conf: float = 0.25,
        iou: float = 0.7,
        max_det: int = 300,
        imgsz: int | tuple[int, int] | None = None,
    ) -> list[Detections]:
        """Find objects on images.

        Args:
            images: a path, an (H, W, 3) uint8 RGB array, or a list of these, of any size.
            conf: least score of a detection.
            iou: overlap over which the weaker of two boxes of a class is dropped; of a network that drops them itself
                it was said when it was exported.
            max_det: most detections of an image.
            imgsz: rows and columns of the canvas that images are letter-boxed to (one number: square), of a network
                whose size is free.

        Returns:
            For each image its detections, best first, boxes in pixels of the image given.

        Raises:
            DataError: a file that is not a readable image.
            ShapeError: an array of another shape or type.
            ConfigError: a threshold or imgsz out of range or not that of the network, or a network of events.
        """
        thresholds = Thresholds(conf, iou, max_det)
        several = isinstance(images, Sequence) and not isinstance(images, str)
        canvas = cast(ImageInput, chosen_input(self, imgsz, kind=ImageInput.kind))
        loaded, placements = canvas.load(images if several else [images])
        if not placements:
            return []
        return self.detections(self.run(loaded)[0], thresholds, placements)

    def check_input(self, input: Input) -> None:
        """Raise ConfigError unless the network takes what an input gives."""
        input.check_fits(self.input.network_fields["in_channels"], self.timesteps)
        size = self.artefact.size_hw
        if input.still and size not in (None, input.canvas_hw(None)):
            raise ConfigError(f"imgsz: {self._fixed()}")

    def _fixed(self) -> str:
        rows, columns = self.artefact.size_hw or (0, 0)
        return f"{self.source} takes {rows} x {columns} pixels, fixed when it was exported; export it for another size"

    def run(self, images: np.ndarray, state: State | None = None) -> tuple[Outputs, State]:
        """Return what the network gives for images or frames of any number.

        Where its batch is fixed they are given to it in parts.

        Args:
            images: (B, 3, H, W) images, or (T, B, C, H, W) event frames; uint8 0..255, or floating point: 0..1 for
                images, what the representation gives for frames; counts may be int8 or int16, too.
            state: membrane potentials that the call before returned, or an empty mapping at the start of a stream;
                None: from rest, as long as the network was trained on.

        Returns:
            The outputs by name, and the state to give to the next call; empty without one.

        Raises:
            ShapeError: images of another shape or type.
            ConfigError: a size that the network does not take, or a state for one that keeps none.
        """
        self._check_images(images, streaming=state is not None)
        prepared = self.session.prepare(images)
        if state is not None:
            return self._step(prepared, state)
        parts = []
        for part, count in self._parts(prepared):
            parts.append(self._counted(self._from_rest(part), count))
        return self._joined(parts), {}

    def _check_images(self, images: np.ndarray, streaming: bool) -> None:
        channels, ranks = self.input.network_fields["in_channels"], self.session.ranks
        axes = " or ".join("(B, C, H, W)" if rank == 4 else "(T, B, C, H, W)" for rank in ranks)
        if images.ndim not in ranks or images.shape[-3] != channels or 0 in images.shape:
            raise ShapeError(f"images: expected {axes} with C = {channels}, got {images.shape}")
        counts = not self.input.in_bytes and images.dtype in (np.int8, np.int16)
        if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating) and not counts:
            raise ShapeError(f"images: expected uint8 0..255 or floating point, got {images.dtype}")
        if images.ndim == 5 and not streaming and len(images) != self.timesteps:
            raise ShapeError(f"images: T = {len(images)}, the network has timesteps={self.timesteps}")
        rows, columns = images.shape[-2:]
        largest = max(self.artefact.strides)
        if self.artefact.size_hw not in (None, (rows, columns)):
            raise ConfigError(f"images: {rows} x {columns} pixels; {self._fixed()}")
        if rows % largest or columns % largest:
            raise ShapeError(f"images: rows and columns must be multiples of {largest}, got {rows} x {columns}")

    def _step(self, images: np.ndarray, state: State) -> tuple[Outputs, State]:
        """One run of a stream."""
        if not self.session.keeps_state:
            raise ConfigError(f"carry: {self.source} keeps no membrane potentials; export it with --streaming")
        batch = self.artefact.batch
        if images.shape[-4] != (batch or images.shape[-4]):
            raise ShapeError(f"images: B = {images.shape[-4]}, {self.source} streams {batch} at once")
        return self.session.run(images, state)

    def _parts(self, images: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
        """As many images as the network takes at once, the last filled up; and how many of them count."""
        total = images.shape[-4]
        batch = self.artefact.batch or total
        for start in range(0, total, batch):
            part = images[..., start : start + batch, :, :, :]
            count = part.shape[-4]
            if count < batch:
                part = np.concatenate([part, part[..., -1:, :, :, :].repeat(batch - count, axis=-4)], axis=-4)
            yield part, count

    def _from_rest(self, images: np.ndarray) -> Outputs:
        """A whole window; a network that takes a timestep at a time is shown one after the other."""
        if not self.artefact.streaming:
            return self.session.run(images)[0]
        if self.timesteps > 1 and self.artefact.outputs != "logits":
            raise ConfigError(
                f"{self.source} gives boxes of single timesteps, which have no mean; export it with --outputs logits"
            )
        state: State = {}
        total: dict[str, np.ndarray] = {}
        for t in range(self.timesteps):
            found, state = self.session.run(images if images.ndim == 4 else images[t : t + 1], state)
            total = {name: value + total[name] if total else value for name, value in found.items()}
        return {name: value / self.timesteps if self.timesteps > 1 else value for name, value in total.items()}

    def _counted(self, outputs: Outputs, count: int) -> Outputs:
        """What belongs to the first images."""
        if self.artefact.outputs != "detections":
            return {name: value[:count] for name, value in outputs.items()}
        belongs = outputs["image_index"] < count
        return {name: value[belongs] for name, value in outputs.items()}

    def _joined(self, parts: Sequence[Outputs]) -> Outputs:
        if len(parts) == 1:
            return parts[0]
        if self.artefact.outputs == "detections":
            batch = self.artefact.batch or 0
            parts = [{**part, "image_index": part["image_index"] + i * batch} for i, part in enumerate(parts)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def detections(
        self,
        outputs: Outputs,
        thresholds: Thresholds,
        placements: Sequence[Placement],
        *,
        multi_label: bool = False,
    ) -> list[Detections]:
        """Return what was found on each image, best first.

        Args:
            outputs: from `run`; logits may be the mean of several.
            thresholds: which detections are kept. A network that suppresses itself has dropped others before.
            placements: how each image lies on its canvas.
            multi_label: a box may count for each of its classes, as in evaluation; else for its best one.
        """
        if self.artefact.outputs == "detections":
            boxes, scores, labels, index = (outputs[name] for name in DETECTIONS)
            found = []
            for i in range(len(placements)):
                (kept,) = ((index == i) & (scores > thresholds.conf)).nonzero()
                kept = kept[: thresholds.max_det]
                found.append(Detections(boxes[kept], scores[kept], labels[kept].astype(np.int64)))
            return on_originals(found, placements)
        if self.artefact.outputs == "logits":
            boxes, scores = decode([outputs[name] for name in LOGITS], self.artefact.strides)
        else:
            boxes, scores = (outputs[name] for name in BOXES)
        return found_on(boxes, scores, thresholds, placements, multi_label=multi_label)
