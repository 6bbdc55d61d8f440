"""The folder of a run: what lies where, and writing it so that a kill or a full disk loses nothing."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch

from ..errors import CheckpointError, ConfigError, SpikeYOLOError, WriteError
from ..files import write_whole
from ..paths import is_unicode
from ..structures import Batch
from .settings import MACHINE, TrainSettings, read_settings

DEFAULT = Path("runs/train")

log = logging.getLogger("spikeyolo")


@dataclass(frozen=True)
class RunFolder:
    """Where the files of a run are.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The settings."""
        return self.path / "config.yaml"

    @property
    def results(self) -> Path:
        """A row for each epoch."""
        return self.path / "results.csv"

    @property
    def best(self) -> Path:
        """The averaged weights of the best epoch."""
        return self.path / "best.safetensors"

    @property
    def last(self) -> Path:
        """Everything needed to resume."""
        return self.path / "last.ckpt"

    def prepare(self, settings: TrainSettings) -> None:
        """Make the folder, write the settings, and remove what an interrupted write left.

        Raises:
            ConfigError: the folder cannot be made or written to.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_whole(self.config, settings.to_yaml().encode())
        except (OSError, WriteError) as error:
            raise ConfigError(f"out: {self.path} cannot be written ({error})") from error
        for remains in self.path.glob(f".{self.last.name}.*"):
            remains.unlink(missing_ok=True)


def new_folder(out: Path | None) -> RunFolder:
    """Return the folder given, or the first of runs/train, runs/train-2, ... that is free.

    Raises:
        ConfigError: the folder given already holds a run, or has a name that is no Unicode.
    """
    if out is not None:
        if not is_unicode(str(out)):
            raise ConfigError(f"out: {out} holds bytes that are no UTF-8, which TensorBoard cannot write; name another")
        if (out / "config.yaml").exists():
            raise ConfigError(f"out: {out} already holds a run; go on with --resume {out}, or name another folder")
        return RunFolder(out)
    number = 1
    while (path := DEFAULT if number == 1 else DEFAULT.with_name(f"{DEFAULT.name}-{number}")).exists():
        number += 1
    return RunFolder(path)


def resumed_settings(run: Path, options: TrainSettings, given: Collection[str] | None = None) -> TrainSettings:
    """Return the settings of a run, with the options that are given anew.

    Args:
        run: folder of the run.
        options: what was asked for now.
        given: names of those options that were really given; None: those that differ from their defaults.

    Raises:
        ConfigError: no run there, or an option that would make another training of it.
    """
    if not (run / "config.yaml").is_file():
        raise ConfigError(f"resume: {run} is no folder of a run (it has no config.yaml)")
    kept, plain = read_settings(run / "config.yaml"), TrainSettings()
    if given is None:
        given = [f.name for f in fields(options) if getattr(options, f.name) != getattr(plain, f.name)]
    changes = {name: getattr(options, name) for name in given if getattr(options, name) != getattr(kept, name)}
    for name, value in changes.items():
        longer = name == "epochs" and value > kept.epochs
        same_data = name == "data" and Path(value).resolve() == Path(kept.data)
        if name not in MACHINE and not longer and not same_data:
            raise ConfigError(
                f"resume: {name} is {getattr(kept, name)} in {run} and cannot become {value}; "
                f"a new run can start from its weights: --model {run / 'best.safetensors'}"
            )
    changes.pop("data", None)
    return replace(kept, **changes)


def finished_epochs(last: Path) -> int:
    """Return how many epochs a run has finished, by its checkpoint; 0 without one.

    Raises:
        CheckpointError: the file is damaged, or no checkpoint of a run.
    """
    if not last.exists():
        return 0
    try:
        return len(torch.load(last, map_location="cpu", weights_only=True, mmap=True)["history"]["rows"])
    except Exception as error:  # torch raises many kinds for damaged files
        raise CheckpointError(f"{last}: cannot be read ({type(error).__name__}: {error})") from error


def write_or_warn(what: str, write: Callable[[], object]) -> bool:
    """Write a file of a run; where that fails, by a full disk say, the run goes on and the old file stays.

    Returns:
        Whether it was written.
    """
    try:
        write()
    except (OSError, SpikeYOLOError) as error:
        log.warning("%s was not saved, training goes on: %s", what, error)
        return False
    return True


def to_bytes(content: object) -> bytes:
    """Return what torch.save writes."""
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def save_batch(folder: Path, rank: int, batch: Batch) -> Path:
    """Keep a batch, to look into why it failed: plain tensors under the names of Batch and Targets."""
    file = folder / (f"failed_batch_{rank}.pt" if rank else "failed_batch.pt")
    targets = batch.targets
    content = {
        "images": batch.images.cpu(),
        "image_ids": list(batch.image_ids),
        "image_index": targets.image_index.cpu(),
        "labels": targets.labels.cpu(),
        "boxes": targets.boxes.cpu(),
    }
    write_or_warn(str(file), lambda: write_whole(file, to_bytes(content)))
    return file
