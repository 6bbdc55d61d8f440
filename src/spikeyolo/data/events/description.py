"""What an event data set's data.yaml says: class names, folders of recordings, and how they become frames."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from ...errors import ConfigError, DataError, quote
from ...events.event_input import EventInput
from ...reading import shown
from ..data_yaml import SPLITS, as_path, check_keys, check_split, class_names
from .formats import FORMATS, Described
from .frame_sources import RecordingSource, Source
from .labels import Pairing

ProtocolName = Literal["gen1", "1mpx", "1mpx-halved", "none"]
SHARED_KEYS = ("format", "path", *SPLITS, "names", "preparation", "protocol")
IDS = 256  # that a label may have


@dataclass(frozen=True)
class EventDescription:
    """An event data set as its file describes it.

    Attributes:
        file: the data.yaml.
        folders: of recordings, by split.
        names: class names.
        input: how recordings become frames, unless a run says otherwise.
        protocol: by which boxes are evaluated.
        source: how recordings are read.
        class_ids: class indices by ids of the label files, None if they are the same. Boxes of other ids are left out.
        base: the file beside which the index is kept: `file`, unless that ships with the package.
    """

    file: Path
    folders: Mapping[str, tuple[Path, ...]]
    names: tuple[str, ...]
    input: EventInput
    protocol: ProtocolName = "none"
    source: Source = field(default_factory=RecordingSource)
    class_ids: Mapping[int, int] | None = None
    base: Path | None = None

    def choose_input(self, given: str | None = None, **changes: Any) -> EventInput:
        """Return how recordings become frames.

        Args:
            given: the name of a preparation, in place of the data set's own.
            **changes: fields of it; None for those that stay.

        Raises:
            ConfigError: an unknown name, a value out of range, or frames that the source does not have.
        """
        return self.source.choose(self.input, given, changes)

    @property
    def classes(self) -> np.ndarray:
        """(256,) int64: the class index of each id of the label files, -1 where it has none."""
        found = np.full(IDS, -1)
        for number, index in (self.class_ids or {i: i for i in range(min(len(self.names), IDS))}).items():
            found[number] = index
        return found

    def pair(self, split: str) -> Pairing:
        """Return the recordings of a split, with their labels.

        Raises:
            ConfigError: the file names no such split.
            DataError: a folder that cannot be read, or two recordings of one name.
        """
        check_split(self.file, split, self.folders, "a folder of recordings")
        return Pairing.joined([self.source.pair(folder) for folder in self.folders[split]])


def describe_recordings(file: Path, content: dict[str, Any], base: Path | None = None) -> EventDescription:
    """Return the data set of a data.yaml with a `format`, one of `formats.FORMATS`.

    `path` is relative to the YAML's folder, the folders of the splits to `path`. A split is a folder, a list of
    them, or a pattern such as `train_*`.

    Args:
        file: the data.yaml.
        content: what it holds.
        base: the file to which paths are relative, where it is another one.

    Raises:
        ConfigError: an unknown or missing key, or a wrong value.
        DataError: a file or folder that does not exist.
    """
    form = content.get("format")
    if not isinstance(form, str) or form not in FORMATS:
        raise ConfigError(f"{file}: format: {quote(form)} is not one of {', '.join(FORMATS)}")
    check_keys(file, content, (*SHARED_KEYS, *FORMATS[form].keys))
    root = (base or file).parent / as_path(file, "path", content.get("path") or ".")
    given = {split: content[split] for split in SPLITS if content.get(split) is not None}
    folders = {split: _folders(file, root, split, value) for split, value in given.items()}
    if not folders:
        raise ConfigError(f"{file}: no recordings named; add 'train:' and 'val:' with folders of recordings")
    if content.get("names") is None:
        raise ConfigError(f"{file}: no 'names'; list the class names in the order of the label files' ids")
    protocol = content.get("protocol", "none")
    if protocol not in get_args(ProtocolName):
        raise ConfigError(f"{file}: protocol: {quote(protocol)} is not one of {', '.join(get_args(ProtocolName))}")
    names = class_names(file, content["names"])
    everywhere = [folder for those in folders.values() for folder in those]
    try:
        source, event_input = FORMATS[form].source(Described(file, content, everywhere, names))
        ids = _class_ids(content.get("class_ids"), names)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error
    return EventDescription(file, folders, names, event_input, protocol, source, ids, base)


def _folders(file: Path, root: Path, split: str, value: object) -> tuple[Path, ...]:
    """The folders that a split names."""
    found = list[Path]()
    for path in value if isinstance(value, list) else [value]:
        named = as_path(file, split, path)
        folder = root / named
        pattern = os.path.join(glob.escape(os.fspath(root)), named)
        there = [folder] if os.path.isdir(folder) else sorted(map(Path, glob.glob(pattern)))
        found += (there := [path for path in there if os.path.isdir(path)])
        if not there:
            raise DataError(
                f"{file}: {split}: no such folder {shown(folder)} (a relative path starts at {shown(root)})"
            )
    if not found:
        raise ConfigError(f"{file}: {split}: an empty list; name a folder of recordings")
    return tuple(found)


def _class_ids(given: object, names: tuple[str, ...]) -> dict[int, int] | None:
    """Class indices by ids of labels."""
    if given is None:
        return None
    if not isinstance(given, Mapping) or not given:
        raise ConfigError(f"class_ids: expected names of classes by ids of the label files, got {quote(given)}")
    for number, name in given.items():
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < IDS:
            raise ConfigError(f"class_ids: {quote(number)} is not an id of 0..{IDS - 1}")
        if name not in names:
            raise ConfigError(f"class_ids: {quote(name)} is not among the names ({', '.join(names)})")
    return {number: names.index(name) for number, name in given.items()}
