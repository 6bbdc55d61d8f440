"""Loading batches: a DataLoader that can continue within an epoch."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader

from ..errors import DataError, SpikeYOLOError
from ..interruption import shielded
from ..processes import WORKER_DIED
from .sampler import EpochBatchSampler

HEEDS_PARENT = hasattr(signal, "sigwaitinfo")
"""Whether a process can know who sends it a signal."""


class BatchDataset(Protocol):
    """What a Loader reads: samples by (epoch, number), and how they become a batch."""

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any) -> Any: ...

    @staticmethod
    def collate(samples: Sequence[Any]) -> Any: ...  # noqa: D102


class Loader(DataLoader[Any]):
    """A DataLoader of `Batch`es, or `StretchBatch`es, that knows how far the epoch is, and can continue there.

    `state_dict` holds the epoch and the batches handed out, whatever the workers have prepared beyond; it is the
    protocol by which Lightning saves and restores loaders. A whole pass moves on to the next epoch by itself.

    Args:
        dataset: the images, or the windows of recordings.
        sampler: the batches.
        workers: processes that prepare batches; 0 for none.
        pin_memory: page-locked memory, for a faster way to a GPU.
    """

    def __init__(
        self, dataset: BatchDataset, sampler: EpochBatchSampler, *, workers: int = 0, pin_memory: bool = False
    ) -> None:
        self.epoch_sampler = sampler
        self.handed_out = 0
        super().__init__(
            dataset,  # type: ignore[arg-type] # a Dataset by what it does
            batch_sampler=sampler,
            num_workers=workers,
            collate_fn=dataset.collate,
            pin_memory=pin_memory,
            persistent_workers=workers > 0,
            worker_init_fn=prepare_worker,
            generator=torch.Generator(),  # its own: else each pass would draw from the network's randomness
        )

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        sampler = self.epoch_sampler
        epoch, self.handed_out = sampler.epoch, sampler.start
        for batch in _plain_errors(self._started()):
            sampler.start = 0  # what a later pass over this epoch begins with
            self.handed_out += 1
            yield batch
        if sampler.epoch == epoch:
            sampler.set_epoch(epoch + 1)
        self.handed_out = 0

    def _started(self) -> Iterator[Any]:
        """The batches, with workers that go on while this process ends what it does when all are told to stop."""
        on_end_of_child = signal.getsignal(signal.SIGCHLD) if hasattr(signal, "SIGCHLD") else None
        spared = () if HEEDS_PARENT else (signal.SIGTERM,)
        with shielded(*spared):
            batches = super().__iter__()
        if on_end_of_child is not None and threading.current_thread() is threading.main_thread():
            # torch would raise a worker's death anywhere in this process; here it comes where the batch is waited for.
            signal.signal(signal.SIGCHLD, on_end_of_child)
        return batches

    def state_dict(self) -> dict[str, Any]:
        """Return where to continue: epoch and batches handed out."""
        return {"epoch": self.epoch_sampler.epoch, "start": self.handed_out}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next pass continue where the state was taken."""
        self.epoch_sampler.load_state_dict(state)
        self.handed_out = self.epoch_sampler.start


def _plain_errors(batches: Iterator[Any]) -> Iterator[Any]:
    """A worker's error comes with its traceback as text; the user gets the one line it ends with."""
    try:
        yield from batches
    except SpikeYOLOError as error:
        if not str(error).startswith("Caught "):
            raise
        kind = type(error)
        raise kind(str(error).strip().splitlines()[-1].split(f"{kind.__name__}: ", 1)[-1]) from error
    except RuntimeError as error:
        if str(error).startswith("DataLoader worker"):
            raise DataError(WORKER_DIED) from error
        if "shared memory" in str(error):
            raise DataError("shared memory (/dev/shm) is full; give fewer --workers or a smaller --batch") from error
        raise


def prepare_worker(_: int) -> None:
    """One thread a worker: they are many already. OpenCV's own pool would also hang after a fork."""
    import cv2

    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    if HEEDS_PARENT:
        threading.Thread(target=_heed_parent, daemon=True).start()


def _heed_parent() -> None:
    """Worker: end by the SIGTERM of the parent alone; a scheduler's goes to all, and the parent needs batches still."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():  # it is blocked, see Loader
        pass
    os._exit(0)
