"""Chip packages that several tests share."""

import torch
from tests.helpers.networks import lively

from spikeyolo.exporting.configs import IntegerConfig
from spikeyolo.exporting.integer import write_integer

QUICK = IntegerConfig(check=False)


def written(folder, model, images, config=QUICK):
    folder.mkdir()
    seen, size_hw = model.input, tuple(images.shape[-2:])
    if seen is not None and seen.still and not any(side % 32 for side in size_hw):
        seen = seen.changed(size_hw)
    write_integer(model, folder, config, images, seen)
    return folder


def small_model():
    return lively("t-gen1", dtype=torch.float32, timesteps=2, num_classes=3)


def small_package(folder):
    """For images of 64 x 96, with golden values of the middle of the first; checked by itself."""
    torch.manual_seed(1)
    return written(folder, small_model(), torch.rand(2, 3, 64, 96), IntegerConfig(images=1, golden_size=64))
