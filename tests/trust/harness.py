"""Cases of hostile and broken input: a folder of a user's, a command, and what it must say; nothing else may happen.

A row is a `Case` in the list CASES of a file `cases_*.py` beside this one. See `run` for what is checked of each.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from tests.helpers.event_datasets import write_data_set
from tests.helpers.images import write_image

from spikeyolo import SpikeYOLO
from spikeyolo.cli.main import main
from spikeyolo.events.event_input import EventInput
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.model.presets import NetworkConfig

LONGEST_LINE = 700
CLASSES = ["cat", "dog", "bird"]


def nothing(folder: Path) -> None:
    """Leave the user's folder as it is."""


@dataclass(frozen=True)
class Case:
    """One row.

    Attributes:
        name: says what is tried.
        command: the words after `spikeyolo`, as in a shell; the user's folder is the working directory.
        says: each must stand in the last line on standard error (of a command that succeeds: in what it prints).
        prepare: changes the user's folder first.
        code: the exit code.
        replaces: names of what the command may replace, because the user asks for it.
    """

    name: str
    command: str
    says: str | tuple[str, ...]
    prepare: Callable[[Path], None] = nothing
    code: int = 1
    replaces: tuple[str, ...] = ()


def small_model(**changes) -> SpikeYOLO:
    torch.manual_seed(0)
    config = NetworkConfig(width=0.0625, repeats=(1, 1, 1, 1), num_classes=len(CLASSES))
    return SpikeYOLO(config, names=CLASSES, input=ImageInput.of(64), **changes)


def write_users_folder(folder: Path) -> Path:
    """Write what a user has: models, images with labels, recordings with boxes, and what is nobody's business.

    model.safetensors  model-events.safetensors  photo.jpg  notes.txt  data.yaml  coco.json
    images/train|val/*.jpg  labels/train|val/*.txt  events/events.yaml  events/train|val|test/*_td.dat, *_bbox.npy
    """
    for split, count in (("train", 3), ("val", 2)):
        for number in range(count):
            name = f"{split}{number}"
            write_image(folder / f"images/{split}/{name}.jpg", 48, 64, value=40 * number + 60)
            label = folder / f"labels/{split}/{name}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text(f"{number} 0.5 0.5 0.4 0.4\n")
    (folder / "data.yaml").write_text(f"train: images/train\nval: images/val\nnames: [{', '.join(CLASSES)}]\n")
    (folder / "coco.json").write_text(
        '{"images": [{"id": 1, "file_name": "images/val/val0.jpg", "width": 64, "height": 48},'
        ' {"id": 2, "file_name": "images/val/val1.jpg", "width": 64, "height": 48}],'
        ' "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [4, 5, 20, 21], "area": 420,'
        ' "iscrowd": 0}],'
        ' "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}, {"id": 3, "name": "bird"}]}'
    )
    write_data_set(folder / "events").rename(folder / "events" / "events.yaml")
    write_image(folder / "photo.jpg", 48, 64)
    (folder / "notes.txt").write_text("what the user wrote\n")
    small_model().save(folder / "model.safetensors")
    config = NetworkConfig(width=0.0625, repeats=(1, 1, 1, 1), num_classes=2, timesteps=2, neuron="gen1")
    torch.manual_seed(0)
    events = SpikeYOLO(config, names=["car", "person"], input=EventInput.of("gen1-published"))
    events.save(folder / "model-events.safetensors")
    return folder


def files_in(folder: Path) -> dict[str, str]:
    """What each file, link and special file below a folder holds, links not followed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = os.fsdecode(os.fsencode(path.relative_to(folder)))
        if path.is_symlink():
            found[name] = f"-> {os.readlink(path)}"
        elif path.is_file():
            status = path.stat()
            small = status.st_size < 2**24 and os.access(path, os.R_OK)
            content = hashlib.sha1(path.read_bytes()).hexdigest() if small else f"{status.st_mtime_ns}"
            found[name] = f"{status.st_size} {content}"
        elif not path.is_dir():
            found[name] = "special"
    return found


class Watch:
    """What Python does that no input may make it do: imports out of the user's folder, programs, writes elsewhere."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.allowed: tuple[str, ...] = ()
        self.seen: list[str] = []
        self._installed = False

    @contextmanager
    def over(self, folder: Path, *allowed: Path) -> Iterator[list[str]]:
        """Watch while the block runs; yields what was seen."""
        if not self._installed:
            sys.addaudithook(self._hook)  # for good: Python has no way to remove one
            self._installed = True
        roots = [f"{path.resolve()}{os.sep}" for path in (folder, *allowed)]
        self.folder, self.allowed, self.seen = folder.resolve(), (*roots, "/dev/"), []
        writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        try:
            yield self.seen
        finally:
            self.folder, sys.dont_write_bytecode = None, writes

    def _hook(self, event: str, args: tuple) -> None:
        if self.folder is None:
            return
        if event == "open":
            path, mode, flags = args
            writing = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
            if isinstance(path, str | bytes) and (writing or (mode and set(mode) & set("wax+"))):
                self._write(event, path)
        elif event in ("os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod", "shutil.rmtree"):
            self._write(event, args[0])
        elif event in ("os.rename", "os.link", "os.symlink", "shutil.move"):
            self._write(event, args[1])
        elif event == "exec" and getattr(args[0], "co_filename", "").startswith(str(self.folder)):
            self.seen.append(f"ran {args[0].co_filename}")
        elif event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.startfile"):
            self.seen.append(f"{event} {args[0]!r}")
        elif event == "import" and args[1] and str(args[1]).startswith(str(self.folder)):
            self.seen.append(f"imported {args[1]}")

    def _write(self, event: str, path: object) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return
        # The file itself may be a link, which is replaced and not followed; its folder is followed.
        where = os.path.abspath(os.fsdecode(path))
        where = os.path.join(os.path.realpath(os.path.dirname(where)), os.path.basename(where))
        if not f"{where}{os.sep}".startswith(self.allowed):
            self.seen.append(f"{event} {where}")


WATCH = Watch()


def run(
    case: Case, template: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    """Run a case; check what it says, its exit code, and that nothing was imported, run, changed or put elsewhere."""
    shutil.copytree(template, folder, symlinks=True)
    cache = folder.with_name("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(folder)
    case.prepare(folder)
    before = files_in(folder)
    capfd.readouterr()
    with warnings.catch_warnings(), WATCH.over(folder, cache) as seen:
        warnings.simplefilter("default")
        code = main(shlex.split(case.command))
    out, err = capfd.readouterr()
    lines = err.splitlines()
    assert code == case.code, (code, out[-500:], err[-3000:])
    said = "\n".join([out, err]) if code == 0 else (lines or [""])[-1]
    for word in (case.says,) if isinstance(case.says, str) else case.says:
        assert word in said, said[-3000:]
    for line in lines:
        assert line.startswith("spikeyolo: "), err[-3000:]
        assert len(line) <= LONGEST_LINE, (len(line), line[:300])
        assert line.isprintable(), repr(line)
    assert len(lines) == 1 or all(line.startswith("spikeyolo: warning: ") for line in lines[:-1]), err[-3000:]
    assert not seen
    after = files_in(folder)
    kept = before.keys() - set(case.replaces)
    assert {name: after.get(name) for name in kept} == {name: before[name] for name in kept}
