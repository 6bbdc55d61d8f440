"""Ordinary layers in a network that has time: the same for each timestep."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..errors import ShapeError


class OverTime(nn.Sequential):
    """Layers that know no time, run on every timestep: time and batch become one axis for them, and two again.

        network = nn.Sequential(OverTime(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)), ILIF(), OverTime(nn.MaxPool2d(2)))
        counts = network(frames)  # (T, B, 3, H, W) -> (T, B, 8, ...)

    A batch norm in it takes its statistics over all timesteps and images together. Neurons, which carry something from
    one timestep to the next, belong outside.

    Args:
        *layers: as for `torch.nn.Sequential`; state dicts are those of one.

    Shape:
        x: (T, B, ...) -> (T, B, ...)

    Raises:
        ShapeError: an input without both axes, or layers that give another number of images than they were given.
    """

    def forward(self, x: Tensor) -> Any:
        """Return what the layers make of each timestep."""
        if x.ndim < 3:
            raise ShapeError(f"OverTime: expected (T, B, ...), got {tuple(x.shape)}")
        timesteps, batch = x.shape[:2]
        found = super().forward(x.flatten(0, 1))
        if not isinstance(found, Tensor) or found.ndim == 0 or found.shape[0] != timesteps * batch:
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise ShapeError(f"OverTime: its layers made {shape} of {timesteps * batch} images; one each is needed")
        return found.unflatten(0, (timesteps, batch))
