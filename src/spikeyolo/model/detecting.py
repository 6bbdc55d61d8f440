"""What predicts and is evaluated: a `SpikeYOLO`, or an exported network in a runtime (`runtime.detector`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from ..detection.thresholds import Thresholds
from ..imaging.image_input import Image
from ..structures import Detections, Placement
from .inputs import Seeing

Outputs = Sequence[Tensor]
"""Logits of three levels; of an exported network, what its graph gives."""

State = Mapping[str, Any]
"""Membrane potentials by neuron; an empty one stands for the start of a stream."""


class Detecting(Seeing, Protocol):
    """A network with names and an input that finds objects.

    Images go through `prepare`, `look` and `detect`, which are timed one by one; `predict` does all of it for files.
    """

    names: tuple[str, ...]

    @property
    def timesteps(self) -> int:
        """T of a whole window."""

    @property
    def form(self) -> str:
        """How its convolutions are held; see `model.forms`."""

    @property
    def precision(self) -> str:
        """Of its numbers."""

    @property
    def engine(self) -> str:
        """What runs it, with its version."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    def check_carry(self) -> None:
        """Raise ConfigError unless its potentials can be carried from call to call."""

    def predict(
        self,
        images: Sequence[Image],
        conf: float = 0.25,
        iou: float = 0.7,
        max_det: int = 300,
        imgsz: int | tuple[int, int] | None = None,
    ) -> list[Detections]:
        """Find objects on images of any size; see `SpikeYOLO.predict`."""

    def prepare(self, images: Tensor) -> Any:
        """Return images (B, 3, H, W) or event frames (T, B, C, H, W) of a `Batch` as `look` takes them."""

    def look(self, prepared: Any, state: State | None = None) -> tuple[Outputs, State]:
        """Return what the network gives, and the state to go on from where one was given."""

    def detect(
        self,
        outputs: Outputs,
        thresholds: Thresholds,
        placements: Sequence[Placement],
        *,
        multi_label: bool = False,
    ) -> list[Detections]:
        """Return what was found on each image; logits may be the mean of several calls. See `postprocess`."""
