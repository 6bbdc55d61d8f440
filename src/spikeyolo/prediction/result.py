"""What was found on one image, frame of a video, or step of a recording."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..imaging.draw import draw_boxes
from ..imaging.io import encode_png, write_rgb
from ..structures import Detections
from ..text import with_bytes_escaped
from .sources import Frame


@dataclass(frozen=True, eq=False, repr=False)
class FrameResult:
    """What was found on a frame. A notebook shows it drawn.

    Attributes:
        frame: what was looked at.
        detections: on the CPU, boxes in pixels of the frame, with names on board.
        track_ids: a number for each detection that stays with its object, where tracking is on.
        latency_ms: of a recording, time from events to boxes; see `events.Step`.
    """

    frame: Frame
    detections: Detections
    track_ids: tuple[int, ...] | None = None
    latency_ms: float | None = None

    @property
    def source(self) -> str:
        """The file, address or camera that it is of; "image0" and so on for what came without a name."""
        return self.frame.source.path

    @property
    def image(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB; of a recording, the events of the step, drawn."""
        return self.frame.image

    def __len__(self) -> int:
        return len(self.detections)

    def __iter__(self) -> Iterator[Detections]:
        return iter(self.detections)

    def __repr__(self) -> str:
        place = ""
        if self.frame.source.moving:
            place = f" frame {self.frame.index}" if self.frame.t_us is None else f" at {self.frame.t_us / 1e6:g} s"
        return f"FrameResult({with_bytes_escaped(self.source)}{place}: {self.detections!r})"

    def _repr_png_(self) -> bytes:
        return encode_png(self.plot())

    def plot(self) -> np.ndarray:
        """Return the frame with what was found on it, (H, W, 3) uint8 RGB; those of event cameras are enlarged."""
        times, found = self.frame.source.enlarged, self.detections
        image = self.image.repeat(times, axis=0).repeat(times, axis=1)
        return draw_boxes(image, found.boxes * times, found.labels, found.names or (), found.scores, self.track_ids)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `plot` into an image file; its ending says the format.

        Raises:
            WriteError: it cannot be written.
        """
        write_rgb(path, self.plot())

    def to_dict(self) -> dict[str, Any]:
        """Return plain values: an entry of `predictions.json`."""
        rows, columns = self.frame.size_hw
        found: list[dict[str, Any]] = self.detections.to_dict()["detections"]
        if self.track_ids is not None:
            found = [{**one, "track": number} for one, number in zip(found, self.track_ids, strict=True)]
        return {
            "source": with_bytes_escaped(self.source),
            "frame": self.frame.index,
            **({} if self.frame.t_us is None else {"t_us": self.frame.t_us}),
            "width": columns,
            "height": rows,
            "detections": found,
        }

    def without_pixels(self) -> FrameResult:
        """Return the same of an image file, which is read again when its pixels are asked for; others as they are.

        A list of many does not fill the memory then.
        """
        source = self.frame.source
        return replace(self, frame=replace(self.frame, draw=source.read)) if source.can_be_read_again else self
