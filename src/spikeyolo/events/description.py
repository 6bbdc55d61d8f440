"""What an event data set's data.yaml says: class names, folders of recordings, and how they become frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..data_yaml import as_path, check_keys, class_names, load_yaml
from ..errors import ConfigError, DataError
from .preparation import Preparation, preparation_of

FORMAT = "prophesee"
SPLITS = ("train", "val", "test")
PROTOCOLS = ("gen1", "1mpx", "1mpx-halved", "none")
KEYS = ("format", "path", *SPLITS, "names", "preparation", "protocol", "sensor_size_hw")


@dataclass(frozen=True)
class EventDescription:
    """An event data set as its file describes it.

    Attributes:
        file: the data.yaml.
        folders: of recordings, by split.
        names: class names; their place is the class id of the label files. Boxes of further ids are left out.
        preparation: how recordings become frames, unless a run says otherwise.
        protocol: by which boxes are evaluated: one of PROTOCOLS.
        sensor_size_hw: of recordings that do not tell.
    """

    file: Path
    folders: Mapping[str, Path]
    names: tuple[str, ...]
    preparation: Preparation
    protocol: str = "none"
    sensor_size_hw: tuple[int, int] | None = None

    def folder(self, split: str) -> Path:
        """The folder of a split.

        Raises:
            ConfigError: the file names none.
        """
        if split not in self.folders:
            has = ", ".join(self.folders)
            raise ConfigError(f"{self.file}: no split '{split}' (it has {has}); add '{split}:' with a folder")
        return self.folders[split]


def is_event_description(file: Path) -> bool:
    """Whether a data.yaml describes recordings; False for what cannot be read: the reader of pictures says why."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) if file.suffix.lower() in (".yaml", ".yml") else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return False
    return isinstance(content, dict) and "format" in content


def read_event_description(file: str | Path) -> EventDescription:
    """Reads a data.yaml with `format: prophesee`.

    `path` is relative to the YAML's folder, the folders of the splits to `path`.

    Raises:
        ConfigError: an unknown or missing key, or a wrong value.
        DataError: a file or folder that does not exist.
    """
    file = Path(file)
    if not file.is_file():
        raise DataError(f"{file}: no such file; give the data.yaml of an event data set")
    content = load_yaml(file)
    if content.get("format") != FORMAT:
        raise ConfigError(f"{file}: format: {content.get('format')!r}; recordings are described by 'format: {FORMAT}'")
    check_keys(file, content, KEYS)
    root = file.parent / as_path(file, "path", content.get("path") or ".")
    given = {split: content[split] for split in SPLITS if content.get(split) is not None}
    folders = {split: root / as_path(file, split, folder) for split, folder in given.items()}
    if not folders:
        raise ConfigError(f"{file}: no recordings named; add 'train:' and 'val:' with folders of recordings")
    for split, folder in folders.items():
        if not folder.is_dir():
            raise DataError(f"{file}: {split}: no such folder {folder} (a relative path starts at {root})")
    if content.get("names") is None:
        raise ConfigError(f"{file}: no 'names'; list the class names in the order of the label files' ids")
    protocol = content.get("protocol", "none")
    if protocol not in PROTOCOLS:
        raise ConfigError(f"{file}: protocol: {protocol!r} is not one of {', '.join(PROTOCOLS)}")
    try:
        preparation = preparation_of(content.get("preparation"))
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error
    names = class_names(file, content["names"])
    return EventDescription(file, folders, names, preparation, protocol, _size(file, content))


def _size(file: Path, content: Mapping[str, Any]) -> tuple[int, int] | None:
    size = content.get("sensor_size_hw")
    if size is None:
        return None
    if not isinstance(size, list) or len(size) != 2 or not all(isinstance(s, int) and s > 0 for s in size):
        raise ConfigError(f"{file}: sensor_size_hw: expected [rows, columns], got {size!r}")
    return size[0], size[1]
