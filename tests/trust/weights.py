"""Files of weights as a stranger would make them: safetensors, published checkpoints and last.ckpt, changed by hand."""

from __future__ import annotations

import json
import os
import pickle
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tests.helpers.golden import GOLDEN
from tests.helpers.published import archive, read_inert, saved_again
from tests.helpers.runs import tiny_settings
from tests.trust.harness import small_model, write_users_folder

from spikeyolo.training.run import train
from spikeyolo.training.settings import read_settings

Prepare = Callable[[Path], None]

MODEL = "model.safetensors"

# ---- safetensors ----------------------------------------------------------------------------------------------------


def split(content: bytes) -> tuple[dict[str, Any], bytes]:
    """The header of a safetensors file, and its numbers."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def joined(header: dict[str, Any] | bytes, numbers: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + numbers


def header(change: Callable[[dict[str, Any]], object], more: bytes = b"") -> Prepare:
    """Change the header of model.safetensors, and add to its numbers."""

    def prepare(folder: Path) -> None:
        content, numbers = split((folder / MODEL).read_bytes())
        change(content)
        (folder / MODEL).write_bytes(joined(content, numbers + more))

    return prepare


def metadata(**changes: str | None) -> Prepare:
    """Replace parts of the metadata as they stand; None removes one."""

    def change(content: dict[str, Any]) -> None:
        kept = {**content["__metadata__"], **changes}
        content["__metadata__"] = {key: value for key, value in kept.items() if value is not None}

    return header(change)


def config(**changes: object) -> Prepare:
    """Replace fields of the network's config."""

    def change(content: dict[str, Any]) -> None:
        kept = json.loads(content["__metadata__"]["config"])
        content["__metadata__"]["config"] = json.dumps({**kept, **changes})

    return header(change)


def tensors(change: Callable[[dict[str, torch.Tensor]], object], file: str = MODEL) -> Prepare:
    """Change the tensors of a file."""

    def prepare(folder: Path) -> None:
        kept, found = split((folder / file).read_bytes())[0]["__metadata__"], load_file(folder / file)
        found = {name: value.clone() for name, value in found.items()}
        change(found)
        save_file(found, folder / file, kept)

    return prepare


def cast(name: str, dtype: torch.dtype) -> Prepare:
    return tensors(lambda found: found.update({name: found[name].to(dtype)}))


def put(name: str, value: float, file: str = MODEL) -> Prepare:
    """One number of a tensor becomes another."""
    return tensors(lambda found: found[name].view(-1)[:1].fill_(value), file)


def whole(content: bytes, name: str = MODEL) -> Prepare:
    """Other bytes in the place of a file."""
    return lambda folder: write(folder / name, content)


def write(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def cut(name: str, size: int) -> Prepare:
    """Only the first bytes of a file."""
    return lambda folder: write(folder / name, (folder / name).read_bytes()[:size])


def sparse(name: str, size: int, start: bytes = b"") -> Prepare:
    """A file that claims a size and has no blocks."""

    def prepare(folder: Path) -> None:
        write(folder / name, start)
        os.truncate(folder / name, size)

    return prepare


def special(name: str, kind: str) -> Prepare:
    """A pipe, a device, a folder or a link that leads nowhere, in the place of a file."""

    def prepare(folder: Path) -> None:
        path = folder / name
        path.unlink(missing_ok=True)
        match kind:
            case "pipe":
                os.mkfifo(path)
            case "device":
                path.symlink_to("/dev/zero")
            case "folder":
                path.mkdir()
            case "loop":
                path.symlink_to(name)

    return prepare


@cache
def integer_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        small_model().to_integer().save(Path(folder) / MODEL)
        return (Path(folder) / MODEL).read_bytes()


def integer(change: Prepare) -> Prepare:
    """The integer form of the model, then changed."""

    def prepare(folder: Path) -> None:
        write(folder / MODEL, integer_file())
        change(folder)

    return prepare


# ---- published checkpoints ------------------------------------------------------------------------------------------

OLD = "old.pt"
PUBLISHED = GOLDEN / "tiny" / "reference.pt"


def program(content: bytes, name: str = OLD) -> Prepare:
    """An archive around any pickle."""

    def prepare(folder: Path) -> None:
        archive(folder / name, content)

    return prepare


def published(change: Callable[[dict[str, Any], Any], object]) -> Prepare:
    """The published checkpoint, written again after a change of its content; `change` gets that, and its layers."""

    def prepare(folder: Path) -> None:
        content = read_inert(PUBLISHED)
        change(content, content["model"].get("_modules")["model"].get("_modules"))
        saved_again(content, folder / OLD)

    return prepare


def nested(levels: int) -> bytes:
    """Steps that make a tuple of two of a tuple of two ...: as many values as 2 to the power of the levels."""
    return b"N" + b"2\x86" * levels


def key_of(value: bytes) -> bytes:
    """A program of a dictionary with this value as its key."""
    return b"\x80\x02}" + value + b"Ns."


class Command:
    """What a pickle can run as it is read."""

    def __reduce__(self):
        return os.system, ("touch ran",)


EVIL = pickle.dumps({"model": Command()}, 2)

# ---- runs -----------------------------------------------------------------------------------------------------------

LAST = "run/last.ckpt"


@cache
def finished_run() -> dict[str, bytes]:
    """The files of a run of one epoch, on the folder of a user and from the model in it."""
    with tempfile.TemporaryDirectory() as made:
        folder = write_users_folder(Path(made) / "user")
        settings = replace(tiny_settings(folder / "data.yaml"), model=str(folder / MODEL), epochs=1, batch=2)
        run = train(replace(settings, augmentation=replace(settings.augmentation)), Path(made) / "run")
        return {name: (run.path / name).read_bytes() for name in ("config.yaml", "last.ckpt", "best.safetensors")}


def put_run(folder: Path) -> None:
    """The run, with an epoch to go, in the folder `run`."""
    (folder / "run").mkdir()
    for name, content in finished_run().items():
        (folder / "run" / name).write_bytes(content)
    settings = read_settings(folder / "run/config.yaml")
    here = replace(settings, epochs=2, data=str(folder / "data.yaml"), model=str(folder / MODEL))
    (folder / "run/config.yaml").write_text(here.to_yaml())


def last(change: Callable[[dict[str, Any]], object]) -> Prepare:
    """A run with a last.ckpt whose content is changed."""

    def prepare(folder: Path) -> None:
        put_run(folder)
        content = torch.load(folder / LAST, weights_only=False)  # our own; read in C, where the careful way is Python
        change(content)
        torch.save(content, folder / LAST)

    return prepare


def run_with(change: Prepare) -> Prepare:
    """A run, then a change of its files."""

    def prepare(folder: Path) -> None:
        put_run(folder)
        change(folder)

    return prepare
