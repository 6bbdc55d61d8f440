"""The index of a split on disk, images' and recordings' alike: used again as long as no file has changed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..errors import SpikeYOLOError
from ..files import cache_home, own_folder, whole_file
from ..processes import cores

FOLDER = ".spikeyolo_cache"
SPARE, LARGEST_RATIO = 2**26, 50  # of what an index takes in memory, in bytes, to its file; usual are 2 to 20
PART = 4096  # files that a thread looks at in one go
MOST_THREADS = 16

T = TypeVar("T")


@dataclass(frozen=True)
class IndexCache:
    """Where the index of one split is kept, and what it must have been made from.

    Attributes:
        places: files to look at, in this order: beside the description, and in the user's cache for folders that cannot
            be written.
        signature: of everything that the index depends on.
    """

    places: tuple[Path, Path]
    signature: str

    @classmethod
    def of(cls, description: Path, split: str, depends_on: Sequence[Any], files: Iterable[str | Path]) -> IndexCache:
        """Return the cache of a split.

        Args:
            description: the data.yaml or COCO JSON.
            split: its name.
            depends_on: plain values, such as the version of the scan and the names of classes.
            files: those that were scanned; their path, size and time of change (ns) count.
        """
        file = description.resolve()
        home = cache_home()
        places = (
            file.parent / FOLDER / f"{file.name}-{split}.npz",
            home / f"{hashlib.blake2b(os.fsencode(file), digest_size=8).hexdigest()}-{split}.npz",
        )
        digest = hashlib.blake2b(json.dumps(depends_on).encode(), digest_size=16)
        paths = [os.fspath(path) for path in files]
        parts = [paths[start : start + PART] for start in range(0, len(paths), PART)]
        with ThreadPoolExecutor(min(cores(), MOST_THREADS)) as pool:  # the system is waited for, not Python
            for state in pool.map(_state, parts):
                digest.update(state)
        return cls(places, digest.hexdigest())

    @property
    def file(self) -> Path | None:
        """Where an index is kept now, whatever it was made from; None where there is none."""
        return next((place for place in self.places if place.is_file()), None)

    def load(self, build: Callable[[dict[str, np.ndarray], dict[str, Any]], T]) -> T | None:
        """Return what `build` makes of the arrays and the plain values; None when there is no index that holds."""
        return next((found for place in self.places if (found := self._load_from(place, build)) is not None), None)

    def save(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Keep an index; where nothing can be written, this only costs the next start its time."""
        encoded = np.frombuffer(json.dumps({"signature": self.signature, **meta}).encode(), dtype=np.uint8)
        locked = _is_locked(self.places[0].parent.parent)
        any(_save_to(place, {"meta": encoded, **arrays}) for place in self.places[locked:])

    def _load_from(self, place: Path, build: Callable[[dict[str, np.ndarray], dict[str, Any]], T]) -> T | None:
        try:
            size = place.stat().st_size if place.is_file() else 0
            with place.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
                if sum(member.file_size for member in stored.zip.infolist()) > SPARE + LARGEST_RATIO * size:
                    return None
                meta = json.loads(stored["meta"].tobytes())
                if meta["signature"] != self.signature:
                    return None
                return build({name: stored[name] for name in stored.files if name != "meta"}, meta)
        except Exception:  # whatever is wrong with a cache, scanning again repairs it
            return None


def _save_to(place: Path, arrays: dict[str, Any]) -> bool:
    """Write a file; return whether that was possible. A link to elsewhere may be a stranger's, and is not followed."""
    try:
        own_folder(place.parent.parent, place.parent.name)
        with whole_file(place) as stream:
            np.savez_compressed(stream, **arrays)
    except (OSError, SpikeYOLOError):
        return False
    return True


def _is_locked(folder: Path) -> bool:
    """Whether nobody may write to a folder; the mode is asked because the superuser may write anywhere."""
    return not os.access(folder, os.W_OK) or not folder.stat().st_mode & 0o222


def _state(paths: Sequence[str]) -> bytes:
    """Path, size and time of change of each of these files; no path holds the NUL that ends each of the three."""
    return "".join(map(_stat, paths)).encode(errors="surrogatepass")  # a path need not be Unicode


def _stat(path: str) -> str:
    try:
        status = os.stat(path)
    except OSError:
        return f"{path}\0-1\0-1\0"
    return f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0"
