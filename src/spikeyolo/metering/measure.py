"""Operations, spikes and energy of a trained model, counted on a whole data set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from ..data.loader import BatchDataset, Loader
from ..data.sampler import EpochBatchSampler
from ..errors import ConfigError
from ..imaging.tensors import as_input, batch_images
from ..limits import MAX_BATCH, MAX_WORKERS, check_range
from ..model.detector import SpikeYOLO
from ..model.forms.audit import Audit
from ..model.forms.form import Form
from ..model.forms.spike_driven import run_on_slots
from ..model.forms.verify import verify_spike_driven
from ..model.inputs import chosen_input
from ..processes import in_processes
from .counting import Tally, macs_of_forms, operation_maps, tally
from .following import TimestepCount, by_timestep, follow, followed_layers
from .layer_count import LayerCount

if TYPE_CHECKING:
    from ..data.data_set import Index


@dataclass(frozen=True)
class Example:
    """An image, or window of a recording, with where its spikes and additions are.

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
        images: how many images, or windows of recordings, were looked at.
        unit: what one of them is called.
        size_hw: rows and columns of one.
        macs: multiply-accumulates of the same network as an ANN, by form; see `macs_of_forms`.
        parameters: weights and biases of the dense form, which is the one counted.
        trained_parameters: of the network as trained, whose convolutions are factored.
        timesteps: T.
        max_count: D.
        examples: the first images.
        audit: the proof that spikes and additions suffice, where asked for.
        by_timestep: what each timestep does; of recordings that were followed, each of the first since rest, and the
            later ones.
        carried: recordings were followed with potentials carried: `images` are timesteps, a window is T of them.
    """

    layers: list[LayerCount]
    images: int
    unit: Literal["image", "window"]
    size_hw: tuple[int, int]
    macs: dict[str, int]
    parameters: int
    trained_parameters: int
    timesteps: int
    max_count: int
    examples: list[Example]
    audit: Audit | None = None
    by_timestep: tuple[TimestepCount, ...] = ()
    carried: bool = False

    @property
    def mean_of(self) -> str:
        """What the figures are a mean of."""
        if self.carried:
            return f"{self.images} timesteps, potentials carried"
        return f"{self.images} {self.unit}{'' if self.images == 1 else 's'}"


def measure(
    model: SpikeYOLO,
    index: Index,
    imgsz: int | None = None,
    *,
    batch: int = 8,
    workers: int = 0,
    processes: int = 1,
    examples: int = 4,
    verify: bool = False,
    carry: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Measurement:
    """Count the spikes and operations of a model on the images of an index.

    Args:
        model: in its trained form.
        index: the images, or labelled instants of recordings; each weighs the same.
        imgsz: side of the square that images are letter-boxed to, in place of what the model says.
        batch: images looked at together; does not change the result, like the next two.
        workers: processes that prepare images, when one process counts.
        processes: processes that count, on CPUs.
        examples: images that are kept with their maps.
        verify: first prove that the network runs on spikes and additions alone.
        carry: follow recordings from start to end, potentials carried on, as `predict --carry` does; no examples then.
        progress: called with the number of images (or timesteps) done, and of all (with one process).

    Raises:
        ConfigError: a model that is not in its trained form or has no spikes; data of another kind than it sees;
            several processes on a GPU; a number out of range; no images.
        VerificationError: a product that is not an addition of spikes.
    """
    _check(model, index, batch, workers, processes, carry)
    seen = chosen_input(model, imgsz)
    dataset, network = index.dataset(seen), model.to_spike_driven()
    audit = verify_spike_driven(network) if verify else None
    run_on_slots(network, on_slots=False)  # on counts: the same spikes, sooner
    if carry:
        total = follow(network, index, seen, batch, workers, progress)
    elif processes == 1:
        total = _here(network, dataset, batch, workers, progress)
    else:
        total = _by_processes(network, dataset, batch, processes)
    shown = next(_loaded(dataset, min(examples, len(index))))
    size_hw = (shown.shape[-2], shown.shape[-1])
    return Measurement(
        layers=followed_layers(total, model.config.timesteps) if carry else total.layers(),
        images=sum(step.samples for step in by_timestep(total)) if carry else total.images,
        unit="window" if shown.ndim == 5 else "image",
        size_hw=size_hw,
        macs=macs_of_forms(model, size_hw),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        trained_parameters=sum(parameter.numel() for parameter in model.parameters()),
        timesteps=model.config.timesteps,
        max_count=model.config.max_count,
        examples=[] if carry else _examples(network, shown, examples),
        audit=audit,
        by_timestep=tuple(by_timestep(total)),
        carried=carry,
    )


def _examples(network: SpikeYOLO, shown: Tensor, count: int) -> list[Example]:
    spikes, additions = operation_maps(network, as_input(shown, network.device, network.dtype))
    drawn = batch_images(shown, count)
    return [Example(p, s.numpy(), a.numpy()) for p, s, a in zip(drawn, spikes, additions, strict=True)]


def _check(model: SpikeYOLO, index: Index, batch: int, workers: int, processes: int, carry: bool) -> None:
    check_range("batch", batch, 1, MAX_BATCH)
    check_range("workers", workers, 0, MAX_WORKERS)
    check_range("processes", processes, 1, MAX_WORKERS)
    if model.form != Form.TRAINABLE:
        raise ConfigError(f"energy: needs the trained model, this file holds its {model.form} form")
    if not len(index):
        raise ConfigError("energy: the data set has no images")
    if carry and processes > 1:
        raise ConfigError("processes: recordings are followed by one; a larger --batch follows more of them at once")


def _loaded(
    dataset: BatchDataset, batch: int, workers: int = 0, rank: int = 0, processes: int = 1, *, pin_memory: bool = False
) -> Iterator[Tensor]:
    """Images as the data set gives them, those of one of several processes."""
    sampler = EpochBatchSampler(len(dataset), batch, shuffle=False, num_replicas=processes, rank=rank)
    for loaded in Loader(dataset, sampler, workers=workers, pin_memory=pin_memory):
        yield loaded.images


def _batches(network: SpikeYOLO, dataset: BatchDataset, batch: int, *where: int) -> Iterator[Tensor]:
    """The same as the network takes them."""
    for images in _loaded(dataset, batch, *where, pin_memory=network.device.type == "cuda"):
        yield as_input(images, network.device, network.dtype)


def _here(
    network: SpikeYOLO,
    dataset: BatchDataset,
    batch: int,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> Tally:
    total = Tally()
    for images in _batches(network, dataset, batch, workers):
        total.add(tally(network, [images]))
        if progress is not None:
            progress(total.images, len(dataset))
    return total


def _by_processes(network: SpikeYOLO, dataset: BatchDataset, batch: int, processes: int) -> Tally:
    if network.device.type != "cpu":
        raise ConfigError("processes: only on CPUs; on a GPU use a larger batch")
    processes = min(processes, len(dataset))
    threads = max(1, torch.get_num_threads() // processes)
    total = Tally()
    jobs = [(network, dataset, batch, threads, rank, processes) for rank in range(processes)]
    for _, part in sorted(in_processes(_part, jobs, processes), key=itemgetter(0)):
        total.add(part)
    return total


def _part(
    network: SpikeYOLO, dataset: BatchDataset, batch: int, threads: int, rank: int, processes: int
) -> tuple[int, Tally]:
    """What one of several processes counts, with its number: sums are always made in the same order."""
    torch.set_num_threads(threads)
    return rank, tally(network, _batches(network, dataset, batch, 0, rank, processes))
