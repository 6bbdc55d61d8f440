"""`--batch auto`: the largest batch that fits into the memory of the GPUs, found by steps on generated images."""

from __future__ import annotations

import copy
import gc
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from ..imaging.tensors import as_input
from ..model.detector import SpikeYOLO
from ..structures import Targets
from ..terminal import say
from .aids.aid import TrainingAid
from .datamodule import DetectionDataModule
from .devices import Devices, is_first_process
from .loss import batch_loss
from .optimization import Schedule, make_optimizer
from .settings import AUTO, TrainSettings

MARGIN = 0.1
"""Share of the free memory that is left over: batches differ in boxes, and memory is not given back in one piece."""

BOXES = 100
"""In a generated image."""

FOUND = "SPIKEYOLO_BATCH"
"""By this name in the environment the first process tells those that it starts afterwards."""

MEND = "take a smaller --imgsz or --model, --precision bf16, or --recompute, which need less"

OUT_OF_MEMORY = ("out of memory", "ALLOC_FAILED")
"""How CUDA's libraries say it."""

DTYPES = {"32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def largest_batch(fits: Callable[[int], bool], most: int) -> int:
    """Return the largest number of images, 1..most, that fits.

    It doubles until one does not fit, and then halves what is between: `fits` is asked at most 2 log2(most) + 2 times,
    never twice for a number, and never for more than twice of what fits.

    Args:
        fits: whether a number does; if so, every smaller one does.
        most: that is wanted, at least 1.

    Raises:
        ConfigError: not even 1 fits.
    """
    if not fits(1):
        raise ConfigError(f"batch: not even one image fits into the GPU's memory; {MEND}")
    fitting, beyond = 1, most + 1
    while fitting < most and beyond > most:
        number = min(2 * fitting, most)
        if fits(number):
            fitting = number
        else:
            beyond = number
    while beyond - fitting > 1:
        middle = (fitting + beyond) // 2
        if fits(middle):
            fitting = middle
        else:
            beyond = middle
    return fitting


def with_batch(
    settings: TrainSettings,
    devices: Devices,
    network: SpikeYOLO,
    aids: Sequence[TrainingAid],
    samples: DetectionDataModule,
) -> TrainSettings:
    """Return settings with a number for `batch`, which samples get, too; a line says how "auto" became one.

    Every GPU is tried, and all get what the one with the least room takes. More than `nominal_batch` is not tried: so
    many images has a step of the optimiser, and for these the learning rate is.

    Args:
        settings: of the training.
        devices: that it runs on.
        network: to train, on the CPU; it stays as it is.
        aids: what adds to its loss; the same.
        samples: to train on, read in the first process.

    Raises:
        ConfigError: not even one image fits.
    """
    if settings.batch != AUTO:
        return settings
    if is_first_process():
        batch, line = _search(settings, devices, network, aids, samples)
        os.environ[FOUND] = str(batch)
        say(line)
    samples.settings = replace(settings, batch=int(os.environ[FOUND]))
    return samples.settings


def _search(
    settings: TrainSettings,
    devices: Devices,
    network: SpikeYOLO,
    aids: Sequence[TrainingAid],
    samples: DetectionDataModule,
) -> tuple[int, str]:
    """The number of images over all processes, and the line that says why."""
    assert isinstance(devices.devices, list)
    (sample,) = samples.first_batches(1, 1)
    wanted, there = settings.nominal_batch, len(samples.train_index)
    each = most = max(1, min(wanted, there) // devices.processes)
    for number in devices.devices:
        trial = Trial(settings, network, aids, sample.images, torch.device("cuda", number), devices.several)
        each = largest_batch(trial.fits, each)
    batch = each * devices.processes
    why = f"as many as fit into {1 - MARGIN:.0%} of the GPU's free memory"
    if each == most:
        more = f"--nominal-batch, the images of a step, is {wanted}" if wanted <= there else f"there are {there}"
        why = f"which fit; no more are tried, as {more}"
    share = f" ({each} on each of {devices.processes} GPUs)" if devices.several else ""
    return batch, f"batch auto: {batch} images{share}, {why}"


@dataclass(frozen=True)
class Trial:
    """Steps of a training on one GPU, by copies of its network.

    Attributes:
        settings: of the training.
        network: to train; it stays as it is, like aids.
        aids: what adds to the loss.
        sample: one sample as the loader gives it, (1, C, H, W) or (T, 1, C, H, W): its size counts, not what it shows.
        device: to compute on.
        several: whether gradients are shared with other processes, which keeps them twice.
    """

    settings: TrainSettings
    network: SpikeYOLO
    aids: Sequence[TrainingAid]
    sample: Tensor
    device: torch.device
    several: bool = False

    def fits(self, images: int) -> bool:
        """Whether steps with so many images leave the margin of the GPU's memory."""
        free, total = torch.cuda.mem_get_info(self.device)
        held = torch.cuda.memory_reserved(self.device)  # by this process, such as a teacher
        torch.cuda.set_per_process_memory_fraction((held + (1 - MARGIN) * free) / total, self.device)
        try:
            return runs(lambda: self.steps(images))
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, self.device)
            gc.collect()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)

    def steps(self, images: int) -> None:
        """Take two steps with so many images; in the second the optimiser has its averages.

        Spikes are counted, and nothing is compiled, as in some batches of every training: these need most.
        """
        settings = replace(self.settings, batch=images)
        network, aids = copy.deepcopy((self.network, list(self.aids)))
        modules = nn.ModuleList([network, *aids]).to(self.device).train()
        # The averages that are validated, and gradients once more.
        held = [torch.empty_like(weight) for weight in modules.parameters() for _ in range(1 + self.several)]
        optimizer = make_optimizer(modules, settings)
        prepared = as_input(noise(self.sample, images, self.device), self.device, network.dtype)
        targets = many_boxes(prepared, network.config.num_classes).to(self.device)
        position, dtype = Schedule(settings, 1).at(settings.epochs - 1, 0), DTYPES[settings.precision]
        for _ in range(2):
            with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
                loss = batch_loss(network, aids, prepared, targets, position, settings, watched=True)
            loss.total.backward()
            optimizer.step()
            optimizer.zero_grad()
        del held


def runs(work: Callable[[], None]) -> bool:
    """Whether work does not run out of a GPU's memory; other errors are raised."""
    try:
        work()
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in OUT_OF_MEMORY):
            return False
        raise
    return True


def noise(sample: Tensor, images: int, device: torch.device) -> Tensor:
    """Return so many images of noise, in the size and type of a batch (..., 1, C, H, W)."""
    shape = *sample.shape[:-4], images, *sample.shape[-3:]
    if not sample.is_floating_point():
        return torch.randint(0, torch.iinfo(sample.dtype).max + 1, shape, dtype=sample.dtype, device=device)
    return torch.rand(shape, dtype=sample.dtype, device=device)


def many_boxes(images: Tensor, classes: int) -> Targets:
    """Return `BOXES` boxes for each image of a batch (..., B, C, H, W), on the CPU, a tenth to a half as large."""
    *_, batch, _, rows, columns = images.shape
    count = BOXES * batch
    sides, room = torch.tensor([columns, rows]), torch.rand(count, 2)
    size = sides * torch.empty(count, 2).uniform_(0.1, 0.5)
    corners = room * (sides - size)
    index = torch.arange(batch).repeat_interleave(BOXES)
    return Targets(index, torch.randint(0, classes, (count,)), torch.cat([corners, corners + size], 1), batch)
