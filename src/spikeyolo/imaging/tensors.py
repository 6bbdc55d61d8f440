"""Tensors the network takes, and images of tensors to look at."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..checks import WHOLE_NUMBERS
from ..devices import divided
from ..errors import ShapeError


def as_input(images: Tensor, device: torch.device | str, dtype: torch.dtype) -> Tensor:
    """Return images or event frames as a network takes them.

    Args:
        images: (B, 3, H, W) images or (T, B, C, H, W) event frames; uint8 0..255, or floating point: 0..1 for images,
            what the representation gives for event frames, which may be whole numbers in int8 or int16, too.
        device: of the network.
        dtype: of the network.

    Returns:
        The same shape, floating point; uint8 is divided by 255 and nothing else is; images lie in channels-last order,
        the fastest for convolutions. The type changes on the device, so that bytes travel there.

    Raises:
        ShapeError: floating point images outside 0..1, or of another type.
    """
    images = images.to(device, non_blocking=True)
    if images.dtype == torch.uint8:
        images = divided(images.to(torch.promote_types(dtype, torch.float32)), 255)  # in half precision less is left
    elif images.ndim == 5 and images.dtype in WHOLE_NUMBERS:
        images = images.to(torch.float32)  # exact; what the network's type rounds, it rounds from here
    elif not images.is_floating_point():
        raise ShapeError(f"images: expected uint8 0..255 or floating point 0..1, got {images.dtype}")
    elif images.ndim == 4 and images.numel() and (float(images.min()) < 0 or float(images.max()) > 1):
        low, high = float(images.min()), float(images.max())
        raise ShapeError(f"images: floating point images must lie in 0..1, got {low:g}..{high:g}; divide by 255")
    images = images.to(dtype)
    return images.contiguous(memory_format=torch.channels_last) if images.ndim == 4 else images


def frames_image(frames: Tensor) -> np.ndarray:
    """Event frames (T, C, H, W) as one image (H, W, 3) uint8 RGB to look at.

    Grey values (uint8): the last frame. Else the sum over T: the first half of the channels (darker events) in blue,
    the second (brighter) in red, on white; of a single channel, what is below 0 in blue and above in red.
    """
    if frames.dtype == torch.uint8:
        return np.ascontiguousarray(frames[-1].expand(3, -1, -1).permute(1, 2, 0).numpy())
    total = frames.float().sum(0)
    if len(total) == 1:
        dark, bright = -total[0], total[0]
    else:
        half = len(total) // 2
        dark, bright = total[:half].abs().sum(0), total[half:].abs().sum(0)
    red, blue = (torch.exp(-side.clamp(min=0) / 2) for side in (dark, bright))
    return (torch.stack([red, torch.minimum(red, blue), blue], dim=-1) * 255).round().byte().numpy()


def batch_images(images: Tensor, count: int) -> list[np.ndarray]:
    """The first of a batch, each (H, W, 3) uint8 RGB.

    Args:
        images: images (B, 3, H, W), uint8 or 0..1, or event frames (T, B, C, H, W).
        count: images at most.
    """
    if images.ndim == 5:
        return [frames_image(frames) for frames in images[:, :count].cpu().unbind(1)]
    chosen = images[:count].cpu()
    pixels = chosen if chosen.dtype == torch.uint8 else (chosen * 255).round().to(torch.uint8)
    return [np.ascontiguousarray(image.permute(1, 2, 0).numpy()) for image in pixels]
