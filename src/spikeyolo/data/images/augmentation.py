"""What training does to images: which transforms, how often and how much."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from ...limits import check_range

if TYPE_CHECKING:  # the options of `train` come from here, and their help needs no torch
    from .transforms import HSV, HorizontalFlip, MixUp, Mosaic, RandomAffine, VerticalFlip


@dataclass(frozen=True)
class Augmentation:
    """What training does to its images; the defaults are the published recipe.

    Attributes:
        mosaic: probability of joining four images into one.
        close_mosaic: mosaic and mix-up are off for this many epochs at the end.
        mixup: probability of blending with a second image.
        degrees: largest turn either way, in degrees.
        translate: shifted by at most this share of the image.
        scale: scaled by 1 - scale .. 1 + scale.
        shear: largest shear either way, in degrees.
        perspective: largest term of perspective, per pixel.
        hflip: probability of mirroring left and right.
        vflip: probability of mirroring top and bottom.
        hue: gain of the hue, 1 - hue .. 1 + hue.
        saturation: gain of the saturation.
        value: gain of the value.
        min_side: a box that keeps fewer pixels in width or height is dropped.
        min_visible: a box that keeps less than this share of its area is dropped.

    Raises:
        ConfigError: a value outside its range.
    """

    mosaic: float = 1.0
    close_mosaic: int = 10
    mixup: float = 0.0
    degrees: float = 0.0
    translate: float = 0.1
    scale: float = 0.5
    shear: float = 0.0
    perspective: float = 0.0
    hflip: float = 0.5
    vflip: float = 0.0
    hue: float = 0.015
    saturation: float = 0.7
    value: float = 0.4
    min_side: float = 2.0
    min_visible: float = 0.1

    def __post_init__(self) -> None:
        tops = {
            "close_mosaic": 10**9,
            "degrees": 180,
            "shear": 89,
            "perspective": 0.01,
            "min_side": 10**9,
            "scale": 0.99,
        }
        for name in (field.name for field in fields(self)):
            check_range(f"augmentation.{name}", getattr(self, name), 0, tops.get(name, 1))

    @classmethod
    def none(cls) -> Augmentation:
        """Return settings by which nothing happens: images are letter-boxed, every box with an area is kept."""
        zero = dict.fromkeys((field.name for field in fields(cls)), 0)
        return cls(**zero)

    @property
    def is_none(self) -> bool:
        """Whether nothing happens to an image beyond the letter box."""
        limits = ("close_mosaic", "min_side", "min_visible")
        return not any(getattr(self, field.name) for field in fields(self) if field.name not in limits)

    def affine(self) -> RandomAffine:
        """Return the random affine of these settings."""
        from .transforms import RandomAffine

        names = ("degrees", "translate", "scale", "shear", "perspective", "min_side", "min_visible")
        return RandomAffine(**{name: getattr(self, name) for name in names})

    def joining(self, canvas_hw: tuple[int, int]) -> tuple[Mosaic, MixUp]:
        """Return the transforms that need other images too."""
        from .transforms import MixUp, Mosaic

        return Mosaic(canvas_hw, self.affine()), MixUp()

    def finishing(self) -> tuple[HSV, HorizontalFlip, VerticalFlip]:
        """Return the transforms that come last."""
        from .transforms import HSV, HorizontalFlip, VerticalFlip

        return HSV(self.hue, self.saturation, self.value), HorizontalFlip(self.hflip), VerticalFlip(self.vflip)
