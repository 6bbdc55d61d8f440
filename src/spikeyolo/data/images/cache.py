"""Decoded images in memory that the workers of a loader share."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch

from ...errors import ConfigError

SHARED_MEMORY = Path("/dev/shm")  # where Linux keeps what processes share; often only 64 MB in a container


class ImageCache:
    """Decoded images in memory that all workers share, filled as they are first needed, within a bound.

    Images have a place by their order until the bound is reached; the others are decoded every time. A worker writes
    an image before it marks it as present, and two that write the same image write the same bytes: no lock.

    Args:
        sizes_hw: (P, 2) rows and columns of the decoded images.
        megabytes: the bound (10^6 bytes).

    Raises:
        ConfigError: there is not that much shared memory.
    """

    def __init__(self, sizes_hw: np.ndarray, megabytes: float) -> None:
        ends = np.cumsum(np.prod(sizes_hw.astype(np.int64), axis=1) * 3)
        self.sizes_hw = sizes_hw
        self.count = int(np.searchsorted(ends, megabytes * 1e6, side="right"))
        self.starts = np.concatenate([[0], ends])[: self.count + 1]
        size = int(self.starts[-1])
        if SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free < size:
            free = shutil.disk_usage(SHARED_MEMORY).free // 10**6
            raise ConfigError(f"cache_mb: {megabytes:g} MB, but shared memory has {free} MB free; lower it or set 0")
        self.pixels = torch.empty(size, dtype=torch.uint8).share_memory_()
        self.present = torch.zeros(self.count, dtype=torch.uint8).share_memory_()

    def get(self, image: int) -> np.ndarray | None:
        """Return the image (H, W, 3), not to be written to, or None."""
        if image >= self.count or not self.present[image]:
            return None
        view = self._view(image)
        view.flags.writeable = False
        return view

    def put(self, image: int, pixels: np.ndarray) -> None:
        """Keep an image if it has a place and the announced size."""
        if image < self.count and pixels.shape[:2] == tuple(self.sizes_hw[image]):
            self._view(image)[:] = pixels
            self.present[image] = 1

    def _view(self, image: int) -> np.ndarray:
        start, end = self.starts[image : image + 2]
        return self.pixels.numpy()[start:end].reshape(*self.sizes_hw[image], 3)
