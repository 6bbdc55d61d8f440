"""The folder of a run: what lies where, and writing it so that a kill or a full disk loses nothing."""

from __future__ import annotations

import io
import logging
import shlex
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import torch

from ..data.known import from_anywhere
from ..errors import ConfigError, SpikeYOLOError, WriteError
from ..files import numbered, occupant, remains, write_whole
from ..locks import NAME, locked
from ..paths import is_unicode
from ..structures import Batch, StretchBatch
from ..weights.shipped import lasting_name
from .settings import MACHINE, TrainSettings, read_settings

DEFAULT = Path("runs/train")

log = logging.getLogger("spikeyolo")


@dataclass(frozen=True)
class RunFolder:
    """Where the files of a run are.

    Attributes:
        path: the folder.
        unsaved: files whose newest state could not be written, and why.
        again: options that a command that goes on with the run must give again.
    """

    path: Path
    unsaved: dict[Path, str] = field(default_factory=dict, compare=False, repr=False)
    again: str = ""

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

    @property
    def data_record(self) -> Path:
        """What it has been trained on."""
        return self.path / "data.json"

    @property
    def teacher_record(self) -> Path:
        """Which file it learns from, where it has a teacher."""
        return self.path / "teacher.json"

    @property
    def resume_command(self) -> str:
        """What goes on with it."""
        return f"spikeyolo train --resume {shlex.quote(str(self.path))}{self.again}"

    def prepare(self, settings: TrainSettings) -> None:
        """Write the settings, and remove what an interrupted write left.

        Raises:
            ConfigError: the folder cannot be written to.
        """
        try:
            write_whole(self.config, settings.to_yaml().encode())
        except (OSError, WriteError) as error:
            raise ConfigError(f"out: {self.path} cannot be written ({error})") from error
        for unfinished in remains(self.last):
            unfinished.unlink(missing_ok=True)

    def write_or_warn(self, file: Path, write: Callable[[], object]) -> bool:
        """Write a file of the run; where that fails, by a full disk say, the run goes on and the old file stays.

        Returns:
            Whether it was written.
        """
        try:
            write()
        except (OSError, SpikeYOLOError) as error:
            self.unsaved[file] = str(error)
            log.warning("%s was not saved, training goes on: %s", file.name, error)
            return False
        self.unsaved.pop(file, None)
        return True

    def check_saved(self) -> None:
        """Raise WriteError if what the training was for is not on the disk."""
        missing = [file for file in (self.best, self.last, self.results) if file in self.unsaved]
        if missing:
            raise WriteError(
                f"{' and '.join(file.name for file in missing)} could not be saved ({self.unsaved[missing[0]]}); "
                f"make room, then go on from the last checkpoint: {self.resume_command}"
            )


def check_free(out: Path) -> None:
    """Look whether a new run may be written to a folder: it is new, or holds nothing but hidden files.

    Raises:
        ConfigError: it may not; nothing was changed.
        WriteError: it is no folder.
    """
    if not is_unicode(str(out)):
        raise ConfigError(
            f"out: {out} holds bytes that are no UTF-8, which TensorBoard cannot write; name another folder"
        )
    there = occupant(out)
    if there is None:
        return
    if (out / NAME).exists():
        with locked(out):  # says who is at work there
            pass
    if (out / "config.yaml").exists():
        raise ConfigError(f"out: {out} already holds a run; go on with --resume {out}, or name another folder")
    raise ConfigError(f"out: {out} holds {there} already; name a new or empty folder, nothing was changed")


@contextmanager
def new_folder(out: Path | None) -> Iterator[RunFolder]:
    """Yield the folder given, or the first of runs/train, runs/train-2, ... that is free, made and locked.

    Raises:
        ConfigError: the folder given is not free, see `check_free`, or another training is at work in it.
        WriteError: it cannot be made.
    """
    path = numbered(DEFAULT) if out is None else out
    with locked(path):
        check_free(path)
        yield RunFolder(path)


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
        same_data = name == "data" and from_anywhere(value) == kept.data
        moved = name == "teacher" and None not in (value, kept.teacher)  # its content is compared with the record
        if name not in MACHINE and not longer and not same_data and not moved:
            raise ConfigError(
                f"resume: {name} is {getattr(kept, name)} in {run} and cannot become {value}; "
                f"a new run can start from its weights: --model {run / 'best.safetensors'}"
            )
    changes.pop("data", None)
    if "teacher" in changes:
        changes["teacher"] = lasting_name(changes["teacher"])
    return replace(kept, **changes)


def to_bytes(content: object) -> bytes:
    """Return what torch.save writes."""
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def save_batch(folder: RunFolder, rank: int, batch: Batch | StretchBatch) -> Path:
    """Keep a batch, to look into why it failed: plain tensors under the names of its class and Targets."""
    file = folder.path / (f"failed_batch_{rank}.pt" if rank else "failed_batch.pt")
    targets = batch.targets
    content = {
        "images": batch.images.cpu(),
        "image_ids": list(batch.image_ids),
        "image_index": targets.image_index.cpu(),
        "labels": targets.labels.cpu(),
        "boxes": targets.boxes.cpu(),
    }
    if isinstance(batch, StretchBatch):
        content |= {"rows": batch.rows.cpu(), "steps": batch.steps.cpu()}
    folder.write_or_warn(file, lambda: write_whole(file, to_bytes(content)))
    return file
