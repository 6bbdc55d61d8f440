"""What a network of images sees: a square or rectangular canvas on which images are letter-boxed. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from ..errors import ConfigError, quote
from ..limits import MAX_SIDE, check_range
from ..placement import STRIDES, Placement
from ..strict import build
from .given import Image, as_rgb
from .letterbox import letterbox

__all__ = ["Image", "ImageInput"]


@dataclass(frozen=True)
class ImageInput:
    """Images of any size, scaled to fit a canvas and centred on grey.

    Attributes:
        size_hw: rows and columns of the canvas, multiples of 32 up to 8192.

    Raises:
        ConfigError: a side that is not a multiple of 32, or too large.
    """

    kind: ClassVar[str] = "images"
    still: ClassVar[bool] = True
    """A batch is (B, C, H, W), each image shown as often as the network has timesteps; else it is (T, B, C, H, W)."""
    in_bytes: ClassVar[bool] = True
    """It gives uint8, of which 255 stands for 1."""

    size_hw: tuple[int, int] = (640, 640)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size_hw", tuple(self.size_hw))
        sides = self.size_hw
        if len(sides) != 2 or any(type(side) is not int or side < STRIDES[-1] or side % STRIDES[-1] for side in sides):
            shown = sides[0] if len(sides) == 2 and sides[0] == sides[1] else sides
            raise ConfigError(f"imgsz: {quote(shown)} is not a multiple of {STRIDES[-1]}")
        check_range("imgsz", max(sides), STRIDES[-1], MAX_SIDE)

    def __str__(self) -> str:
        return f"images of {self.size_hw[0]} x {self.size_hw[1]} pixels"

    @classmethod
    def of(cls, imgsz: int | Sequence[int]) -> ImageInput:
        """Return a square canvas for one number, or one of these rows and columns."""
        return cls((imgsz, imgsz) if isinstance(imgsz, int) else tuple(imgsz))  # type: ignore[arg-type]

    def load(self, images: Sequence[Image]) -> tuple[np.ndarray, list[Placement]]:
        """Read and letter-box images.

        Returns:
            (B, 3, H, W) uint8 RGB, and where each image lies on its canvas.

        Raises:
            DataError: a file that is not a readable image.
            ShapeError: an array or tensor of another shape or type; see `given.as_rgb`.
        """
        canvases, placements = [], []
        for image in images:
            canvas, placement = letterbox(as_rgb(image), self.size_hw)
            canvases.append(canvas)
            placements.append(placement)
        if not canvases:
            return np.zeros((0, 3, *self.size_hw), np.uint8), []
        return np.stack(canvases).transpose(0, 3, 1, 2), placements

    def canvas_hw(self, sensor_size_hw: tuple[int, int] | None) -> tuple[int, int]:
        """Rows and columns of what the network sees."""
        return self.size_hw

    def changed(self, imgsz: int | Sequence[int] | None = None, **changes: Any) -> ImageInput:
        """Return the input with what a user wants changed; ConfigError for what images do not have."""
        for name in (name for name, value in changes.items() if value is not None):
            raise ConfigError(f"{name}: for recordings of event cameras, these are images")
        return self if imgsz is None else ImageInput.of(imgsz)

    def with_timesteps(self, timesteps: int) -> ImageInput:
        """Return itself: an image is shown as often as the network says."""
        return self

    def check_fits(self, in_channels: int, timesteps: int) -> None:
        """Raise ConfigError unless a network takes what this gives."""
        if in_channels != 3:
            raise ConfigError(f"input: images have 3 channels, the network has in_channels={in_channels}")

    @property
    def network_fields(self) -> dict[str, Any]:
        """Fields of a `NetworkConfig` that sees this."""
        return {"in_channels": 3, "input_levels": 255}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, kept with the weights."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ImageInput:
        """Return the input with these values; the inverse of `to_dict`."""
        return build(cls, values, "input")
