"""Images to measure what was written on: given ones, or generated."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

import numpy as np
import torch
from torch import Tensor

from ..errors import ConfigError
from ..events import EventInput
from ..imaging.image_input import Image, ImageInput
from ..model.inputs import Input
from ..synthetic.scene import random_scene

GENERATED = 3
EVENTS_A_PIXEL = 0.1
"""Of a generated window; a moving camera makes some 0.05 to 0.5."""


@singledispatch
def sample_inputs(seen: Input, size_hw: tuple[int, int], files: Sequence[str], timesteps: int) -> Tensor:
    """Return (N, 3, H, W) uint8 images, or (T, N, C, H, W) event frames.

    Args:
        seen: what the network sees.
        size_hw: rows and columns of the frames.
        files: images; some are generated if there are none. Windows of events are always generated.
        timesteps: T.

    Raises:
        DataError: a file that is not a readable image.
        ConfigError: files for a network of events.
    """
    raise TypeError(f"{type(seen).__name__} is no input of a network")


@sample_inputs.register
def _(seen: ImageInput, size_hw: tuple[int, int], files: Sequence[str], timesteps: int) -> Tensor:
    rng = np.random.default_rng(0)
    given: Sequence[Image] = files or [random_scene(rng, size_hw).image for _ in range(GENERATED)]
    return torch.from_numpy(seen.load(given)[0])


@sample_inputs.register
def _(seen: EventInput, size_hw: tuple[int, int], files: Sequence[str], timesteps: int) -> Tensor:
    if files:
        raise ConfigError("samples: for networks of images; windows of events are generated")
    rng = np.random.default_rng(0)
    shape = timesteps, GENERATED, seen.channels, *size_hw
    if seen.is_grey:
        grey = rng.choice(np.array([0, 127, 255], np.uint8), (timesteps, GENERATED, 1, *size_hw), p=[0.05, 0.9, 0.05])
        return torch.from_numpy(np.broadcast_to(grey, shape).copy())
    return torch.from_numpy(rng.poisson(EVENTS_A_PIXEL, shape).astype(np.float32))
