"""An exported network where a model is asked for: prediction and evaluation take it as they take a `SpikeYOLO`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..detection.thresholds import Thresholds
from ..errors import ConfigError
from ..imaging.image_input import Image
from ..model.detecting import Outputs, State
from ..model.inputs import Input
from ..structures import Detections, Placement
from .decode import Detections as ArrayDetections
from .inferencer import Inferencer
from .session import OUTPUTS, Session


class ExportedDetector:
    """An exported network as `model.detecting.Detecting`: tensors in and out, whatever runs it.

        validate(ExportedDetector("model.onnx"), open_data("data.yaml").split("val"))

    Args:
        path: model.onnx, a folder of OpenVINO's files, or a package for chips; or a session that is open already.
        device: see `Inferencer`.
        threads: see `Inferencer`.
        provider: see `Inferencer`.

    Attributes:
        inferencer: what runs it.

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
        self.inferencer = Inferencer(path, device, threads, provider)
        self.names, self.engine = self.inferencer.names, self.inferencer.engine
        self.timesteps = self.inferencer.timesteps
        self.form, self.precision = self.inferencer.artefact.form, self.inferencer.artefact.precision
        self.device = torch.device("cpu")  # where its inputs and outputs are
        self._outputs = OUTPUTS[self.inferencer.artefact.outputs]

    @property
    def input(self) -> Input:
        """What it sees."""
        return self.inferencer.input

    def check_input(self, input: Input) -> None:
        """Raise ConfigError unless the network takes what an input gives."""
        self.inferencer.check_input(input)

    def check_carry(self) -> None:
        """Raise ConfigError unless its potentials can be carried from call to call."""
        source, artefact = self.inferencer.source, self.inferencer.artefact
        if not self.inferencer.session.keeps_state:
            raise ConfigError(f"carry: {source} keeps no membrane potentials; export it with --streaming")
        if artefact.outputs != "logits" and self.timesteps > 1:
            raise ConfigError(f"carry: boxes are read off mean logits; export {source} with --outputs logits")

    def predict(
        self,
        images: Image | Sequence[Image],
        conf: float = 0.25,
        iou: float = 0.7,
        max_det: int = 300,
        imgsz: int | tuple[int, int] | None = None,
    ) -> list[Detections]:
        """Find objects on images; see `Inferencer.predict`."""
        return self._as_tensors(self.inferencer.predict(images, conf, iou, max_det, imgsz))

    def prepare(self, images: Tensor) -> np.ndarray:
        """Return images or frames as an array."""
        prepared: np.ndarray = images.numpy()
        return prepared

    def look(self, prepared: Any, state: State | None = None) -> tuple[Outputs, State]:
        """Return what the network gives, in the order of `spikeyolo.artefact`."""
        found, new_state = self.inferencer.run(prepared, state)
        return tuple(torch.from_numpy(found[name]) for name in self._outputs), new_state

    def detect(
        self,
        outputs: Outputs,
        thresholds: Thresholds,
        placements: Sequence[Placement],
        *,
        multi_label: bool = False,
    ) -> list[Detections]:
        """Return what was found on each image."""
        if multi_label and self.inferencer.artefact.outputs == "detections":
            warnings.warn(
                f"{self.inferencer.source}: drops boxes inside, with thresholds fixed when it was exported; what it "
                "dropped does not count",
                stacklevel=2,
            )
        named = {name: value.numpy() for name, value in zip(self._outputs, outputs, strict=True)}
        return self._as_tensors(self.inferencer.detections(named, thresholds, placements, multi_label=multi_label))

    def _as_tensors(self, found: Sequence[ArrayDetections]) -> list[Detections]:
        return [
            Detections(torch.from_numpy(d.boxes), torch.from_numpy(d.scores), torch.from_numpy(d.labels), self.names)
            for d in found
        ]
