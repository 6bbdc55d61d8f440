"""Data sets by name: descriptions that ship with the package, and where the folder of each is looked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..reading import shown
from ..strict import build
from ..text_files import read_yaml

SETS = Path(__file__).parent / "sets"
FOLDER_VARIABLE, DEFAULT_FOLDER = "SPIKEYOLO_DATA", "datasets"


@dataclass(frozen=True)
class KnownSet:
    """A public data set.

    Attributes:
        about: what it is, in a line.
        address: where it is available.
        disk: what it takes.
        layout: what its folder must hold.
        description: what a data.yaml in that folder would hold.
        terms: of its licence, in a few words.
        downloads: checksum (`md5:` or `sha256:`) of each archive by its address, where anyone may fetch them; unpacked
            into the set's folder they are its layout.
        gigabytes: that the archives have at most, and what is in them, too.
    """

    about: str
    address: str
    disk: str
    layout: str
    description: Mapping[str, Any]
    terms: str = "see there"
    downloads: Mapping[str, str] = field(default_factory=dict)
    gigabytes: float = 0


@dataclass(frozen=True)
class Named:
    """A data set as a user names it: `NAME`, or `NAME=FOLDER`.

    Attributes:
        name: of the set.
        root: its folder, as an absolute path.
    """

    name: str
    root: Path

    @property
    def word(self) -> str:
        """Return what means the same from any folder."""
        return f"{self.name}={self.root}"

    @property
    def known(self) -> KnownSet:
        """Return what the package knows of it."""
        return known_set(self.name)

    def check(self) -> None:
        """Raise DataError, which says where the set is available, unless its folder is there."""
        if not os.path.isdir(self.root):
            raise DataError(
                f"{self.name}: no such folder {shown(self.root)}; name it as {self.name}=FOLDER, or what holds it by "
                f"{FOLDER_VARIABLE}. Available from {self.known.address}; the folder must hold {self.known.layout}"
            )


def set_names() -> list[str]:
    """Return the names of all sets."""
    return sorted(file.stem for file in SETS.glob("*.yaml"))


def known_set(name: str) -> KnownSet:
    """Return the set of that name, one of `set_names`."""
    found: KnownSet = build(KnownSet, read_yaml(SETS / f"{name}.yaml"), name)
    return found


def named_set(given: str | os.PathLike[str]) -> Named | None:
    """Return the set that a user names; None for anything else, such as a file, which may be called like a set.

    The folder of `NAME` is looked for in the one that the environment variable SPIKEYOLO_DATA names, or in `datasets`.
    """
    text = os.fspath(given)
    name, has_folder, folder = text.partition("=")
    if name not in set_names() or os.path.isfile(text) or bool(has_folder) != bool(folder):
        return None
    root = folder or os.path.join(os.environ.get(FOLDER_VARIABLE) or DEFAULT_FOLDER, name)
    return Named(name, Path(os.path.abspath(root)))


def from_anywhere(given: str) -> str:
    """Return the text that means the same data from any folder: absolute paths in place of relative ones."""
    named = named_set(given)
    return str(Path(given).resolve()) if named is None else named.word
