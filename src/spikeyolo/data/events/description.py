"""What an event data set's data.yaml says: class names, folders of recordings, and how they become frames."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from ...errors import ConfigError, DataError, quote
from ...events.event_input import EventInput
from ...reading import shown
from ..data_yaml import SPLITS, as_path, check_keys, check_split, class_names
from .frame_sources import DEFAULT_TIMESTEPS, RecordingSource, RvtSource, Source
from .rvt import DEFAULT_NAME

ProtocolName = Literal["gen1", "1mpx", "1mpx-halved", "none"]
PROPHESEE, RVT = "prophesee", "rvt"
SHARED_KEYS = ("format", "path", *SPLITS, "names", "preparation", "protocol")
KEYS = {PROPHESEE: (*SHARED_KEYS, "sensor_size_hw"), RVT: (*SHARED_KEYS, "frames")}


@dataclass(frozen=True)
class EventDescription:
    """An event data set as its file describes it.

    Attributes:
        file: the data.yaml.
        folders: of recordings, by split.
        names: class names; their place is the class id of the label files. Boxes of further ids are left out.
        input: how recordings become frames, unless a run says otherwise.
        protocol: by which boxes are evaluated.
        source: how recordings are read.
    """

    file: Path
    folders: Mapping[str, Path]
    names: tuple[str, ...]
    input: EventInput
    protocol: ProtocolName = "none"
    source: Source = field(default_factory=RecordingSource)

    def choose_input(self, given: str | None = None, **changes: Any) -> EventInput:
        """Return how recordings become frames.

        Args:
            given: the name of a preparation, in place of the data set's own.
            **changes: fields of it; None for those that stay.

        Raises:
            ConfigError: an unknown name, a value out of range, or frames that the source does not have.
        """
        return self.source.choose(self.input, given, changes)

    def folder(self, split: str) -> Path:
        """Return the folder of a split.

        Raises:
            ConfigError: the file names none.
        """
        check_split(self.file, split, self.folders, "a folder of recordings")
        return self.folders[split]


def describe_recordings(file: Path, content: dict[str, Any]) -> EventDescription:
    """Return the data set of a data.yaml with `format: prophesee` (recordings) or `format: rvt` (RVT's sequences).

    `path` is relative to the YAML's folder, the folders of the splits to `path`.

    Args:
        file: the data.yaml.
        content: what it holds.

    Raises:
        ConfigError: an unknown or missing key, or a wrong value.
        DataError: a file or folder that does not exist.
    """
    form = content.get("format")
    if not isinstance(form, str) or form not in KEYS:
        raise ConfigError(f"{file}: format: {quote(form)} is not one of {', '.join(KEYS)}")
    check_keys(file, content, KEYS[form])
    root = file.parent / as_path(file, "path", content.get("path") or ".")
    given = {split: content[split] for split in SPLITS if content.get(split) is not None}
    folders = {split: root / as_path(file, split, folder) for split, folder in given.items()}
    if not folders:
        raise ConfigError(f"{file}: no recordings named; add 'train:' and 'val:' with folders of recordings")
    for split, folder in folders.items():
        if not os.path.isdir(folder):
            raise DataError(
                f"{file}: {split}: no such folder {shown(folder)} (a relative path starts at {shown(root)})"
            )
    if content.get("names") is None:
        raise ConfigError(f"{file}: no 'names'; list the class names in the order of the label files' ids")
    protocol = content.get("protocol", "none")
    if protocol not in get_args(ProtocolName):
        raise ConfigError(f"{file}: protocol: {quote(protocol)} is not one of {', '.join(get_args(ProtocolName))}")
    names = class_names(file, content["names"])
    chosen: Any = content.get("preparation")
    source: Source
    try:
        if form == RVT:
            source = RvtSource.of(file, str(content.get("frames") or DEFAULT_NAME), folders.values())
            event_input = _of_frames(source.made, chosen)
        else:
            source, event_input = RecordingSource(_size(content)), EventInput.of(chosen)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error
    return EventDescription(file, folders, names, event_input, protocol, source)


def _of_frames(made: EventInput, given: Any) -> EventInput:
    """The input of frames on disk; the data.yaml may only say how many of them a sample has."""
    if given is not None and (not isinstance(given, Mapping) or given.keys() - {"timesteps"}):
        raise ConfigError("preparation: RVT's frames are prepared; only timesteps can be chosen")
    timesteps = dict(given or {}).get("timesteps", DEFAULT_TIMESTEPS)
    checked = replace(made, timesteps=timesteps)  # its window follows once timesteps is known to be a number
    return replace(checked, window_us=timesteps * made.window_us)


def _size(content: Mapping[str, Any]) -> tuple[int, int] | None:
    size = content.get("sensor_size_hw")
    if size is None:
        return None
    if not isinstance(size, list) or len(size) != 2 or not all(isinstance(s, int) and s > 0 for s in size):
        raise ConfigError(f"sensor_size_hw: expected [rows, columns], got {quote(size)}")
    return size[0], size[1]
