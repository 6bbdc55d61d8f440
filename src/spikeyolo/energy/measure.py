from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..data.events.dataset import EventDataset
from ..data.events.index import EventIndex
from ..data.images.dataset import ImageDataset
from ..data.images.index import Index
from ..data.loader import Loader
from ..data.sampler import EpochBatchSampler
from ..errors import ConfigError
from ..events import EventInput
from ..imaging.tensors import batch_images
from ..model.detector import SpikeYOLO
from ..model.inputs import chosen_input
from .counting import LayerCount, Tally, macs_of_forms, on_counts, operation_maps, tally


@dataclass(frozen=True)
class Example:
    """An image with where its spikes and additions are.

    Attributes:
        image: (H, W, 3) uint8 RGB, as the network sees it.
        spikes: (H / 4, W / 4) spikes of an image, all layers together.
        additions: (H / 4, W / 4) additions that they cause.
    """

    image: np.ndarray
    spikes: np.ndarray
    additions: np.ndarray


@dataclass(frozen=True)
class Measurement:
    """What a network does on a data set.

    Attributes:
        layers: in the order in which they run.
        images: how many were looked at.
        size_hw: rows and columns of an image.
        macs: multiply-accumulates of the same network as an ANN, by form; see `macs_of_forms`.
        parameters: weights and biases of the dense form.
        timesteps: T.
        max_count: D.
        examples: the first images.
    """

    layers: list[LayerCount]
    images: int
    size_hw: tuple[int, int]
    macs: dict[str, int]
    parameters: int
    timesteps: int
    max_count: int
    examples: list[Example]


Samples = ImageDataset | EventDataset


def _samples(model: SpikeYOLO, index: Index | EventIndex, imgsz: int) -> Samples:
    if isinstance(index, Index):
        return ImageDataset(index, imgsz)
    preparation = chosen_input(model, kind="recordings")
    assert isinstance(preparation, EventInput)
    return EventDataset(index, preparation)


def _batches(dataset: Samples, batch: int, workers: int, rank: int, processes: int) -> Iterator[Tensor]:
    sampler = EpochBatchSampler(len(dataset), batch, shuffle=False, num_replicas=processes, rank=rank)
    for loaded in Loader(dataset, sampler, workers=workers):
        yield loaded.images


def _scaled(images: Tensor) -> Tensor:
    return images.float() / 255 if images.dtype == torch.uint8 else images


def _part(network: SpikeYOLO, dataset: Samples, batch: int, threads: int, rank: int, processes: int) -> Tally:
    """What one of several processes counts."""
    torch.set_num_threads(threads)
    return tally(network, map(_scaled, _batches(dataset, batch, 0, rank, processes)))


def measure(
    model: SpikeYOLO,
    index: Index | EventIndex,
    imgsz: int,
    *,
    batch: int = 8,
    workers: int = 0,
    processes: int = 1,
    examples: int = 4,
    progress: Callable[[int], None] | None = None,
) -> Measurement:
    """Counts spikes and operations of a model on the images of an index.

    Args:
        model: in its trained form.
        index: the images, or labelled instants of recordings; each weighs the same.
        imgsz: side of the square that images are letter-boxed to.
        batch: images looked at together; does not change the result, like the next two.
        workers: processes that prepare images, when one process counts.
        processes: processes that count, on CPUs.
        examples: images that are kept with their maps.
        progress: told how many images are done (with one process).

    Raises:
        ConfigError: a model that is not in its trained form or has no spikes; several processes on a GPU; no images.
    """
    if model.form != "trainable":
        raise ConfigError(f"energy: needs the trained model, this file holds its {model.form} form")
    if not len(index):
        raise ConfigError("energy: the data set has no images")
    dataset, network = _samples(model, index, imgsz), on_counts(model)
    if processes == 1:
        total = Tally()
        for images in _batches(dataset, batch, workers, 0, 1):
            total.add(tally(network, [_scaled(images)]))
            if progress is not None:
                progress(total.images)
    else:
        total = _by_processes(network, dataset, batch, processes)
    shown = next(_batches(dataset, min(examples, len(index)), 0, 0, 1))
    size_hw = (shown.shape[-2], shown.shape[-1])
    spikes, additions = operation_maps(network, _scaled(shown))
    drawn = batch_images(shown, examples)
    return Measurement(
        layers=total.layers(),
        images=total.images,
        size_hw=size_hw,
        macs=macs_of_forms(model, size_hw),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        timesteps=model.config.timesteps,
        max_count=model.config.max_count,
        examples=[Example(p, s.numpy(), a.numpy()) for p, s, a in zip(drawn, spikes, additions, strict=True)],
    )


def _by_processes(network: SpikeYOLO, dataset: Samples, batch: int, processes: int) -> Tally:
    if network.device.type != "cpu":
        raise ConfigError("processes: only on CPUs; on a GPU use a larger batch")
    processes = min(processes, len(dataset))
    threads = max(1, torch.get_num_threads() // processes)
    total = Tally()
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        parts = [pool.submit(_part, network, dataset, batch, threads, rank, processes) for rank in range(processes)]
        for part in parts:
            total.add(part.result())
    return total
