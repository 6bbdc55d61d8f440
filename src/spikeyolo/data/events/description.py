"""What an event data set's data.yaml says: class names, folders of recordings, and how they become frames."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from ...errors import ConfigError, DataError
from ...events.event_input import EventInput
from ...events.representations import RepresentationConfig
from ..data_yaml import SPLITS, as_path, check_keys, check_split, class_names, load_yaml
from .rvt import DEFAULT_NAME, open_rvt, pair_sequences

PROPHESEE, RVT = "prophesee", "rvt"
PROTOCOLS = ("gen1", "1mpx", "1mpx-halved", "none")
SHARED_KEYS = ("format", "path", *SPLITS, "names", "preparation", "protocol")
KEYS = {PROPHESEE: (*SHARED_KEYS, "sensor_size_hw"), RVT: (*SHARED_KEYS, "frames")}


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
        frames: the name of RVT's frames where the folders hold those in place of recordings.
    """

    file: Path
    folders: Mapping[str, Path]
    names: tuple[str, ...]
    preparation: EventInput
    protocol: str = "none"
    sensor_size_hw: tuple[int, int] | None = None
    frames: str | None = None

    def prepared(self, given: str | None = None, **changes: Any) -> EventInput:
        """How recordings become frames, with those changes that are not None, as `preparation_of` makes them.

        RVT's frames have their length, so that the window follows the number of timesteps.

        Args:
            given: a preparation's name, in place of the data set's own.
            **changes: of the preparation.

        Raises:
            ConfigError: an unknown name, a value out of range, or one that the frames on disk do not have.
        """
        own = self.preparation
        if self.frames is not None and changes.get("window_us") is None:
            changes["window_us"] = own.window_us // own.timesteps * (changes.get("timesteps") or own.timesteps)
        found = EventInput.of(given or own, **changes)
        if self.frames is not None:
            check_frames(found, own, f"{self.file}: {self.frames}")
        return found

    def folder(self, split: str) -> Path:
        """The folder of a split.

        Raises:
            ConfigError: the file names none.
        """
        check_split(self.file, split, self.folders, "a folder of recordings")
        return self.folders[split]


def check_frames(wanted: EventInput, made: EventInput, what: str) -> None:
    """Raises ConfigError unless frames made on disk by one preparation serve for another one: T alone may differ."""
    step_us = made.window_us // made.timesteps
    changed = replace(made, timesteps=wanted.timesteps, window_us=wanted.timesteps * step_us, order=wanted.order)
    if wanted == changed:
        return
    name = next(f.name for f in fields(made) if getattr(wanted, f.name) != getattr(changed, f.name))
    raise ConfigError(
        f"{what}: prepared with {name} {_said(getattr(changed, name))} for {wanted.timesteps} timesteps, not "
        f"{_said(getattr(wanted, name))}; only recordings can be had in another way"
    )


def _said(value: Any) -> str:
    return (
        f"{value.name} of {value.bins} bins up to {value.cutoff}"
        if isinstance(value, RepresentationConfig)
        else str(value)
    )


def is_event_description(file: Path) -> bool:
    """Whether a data.yaml describes recordings; False for what cannot be read: the reader of images says why."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) if file.suffix.lower() in (".yaml", ".yml") else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return False
    return isinstance(content, dict) and "format" in content


def read_event_description(file: str | Path) -> EventDescription:
    """Reads a data.yaml with `format: prophesee` (folders of recordings) or `format: rvt` (of RVT's sequences).

    `path` is relative to the YAML's folder, the folders of the splits to `path`.

    Raises:
        ConfigError: an unknown or missing key, or a wrong value.
        DataError: a file or folder that does not exist.
    """
    file = Path(file)
    if not file.is_file():
        raise DataError(f"{file}: no such file; give the data.yaml of an event data set")
    content = load_yaml(file)
    form = content.get("format")
    if form not in KEYS:
        raise ConfigError(f"{file}: format: {form!r} is not one of {', '.join(KEYS)}")
    check_keys(file, content, KEYS[form])
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
    names = class_names(file, content["names"])
    frames = str(content.get("frames") or DEFAULT_NAME) if form == RVT else None
    try:
        chosen: Any = content.get("preparation")
        preparation = EventInput.of(chosen) if frames is None else _of_frames(folders, frames, chosen)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error
    return EventDescription(file, folders, names, preparation, protocol, _size(file, content), frames)


def _of_frames(folders: Mapping[str, Path], name: str, given: Any) -> EventInput:
    """What RVT's frames are, from their name and the first sequence; the data.yaml may only say how many are T."""
    match = re.fullmatch(r"stacked_histogram_dt=(\d+)_nbins=(\d+)", name)
    if match is None:
        raise ConfigError(f"frames: {name!r} is not stacked_histogram_dt=<milliseconds>_nbins=<bins>")
    if given is not None and (not isinstance(given, Mapping) or given.keys() - {"timesteps"}):
        raise ConfigError("preparation: RVT's frames are prepared; only timesteps can be chosen")
    timesteps = dict(given or {}).get("timesteps", 2)
    kind, step_us = RepresentationConfig("stacked_histogram", bins=int(match[2])), int(match[1]) * 1000
    first = next((path for folder in folders.values() for path, _ in pair_sequences(folder, name).pairs), None)
    halved = first is not None and open_rvt(first, name).halved
    made = EventInput(kind, 1, step_us, downscale=2 if halved else 1)
    return EventInput.of(made, timesteps=timesteps, window_us=timesteps * step_us)


def _size(file: Path, content: Mapping[str, Any]) -> tuple[int, int] | None:
    size = content.get("sensor_size_hw")
    if size is None:
        return None
    if not isinstance(size, list) or len(size) != 2 or not all(isinstance(s, int) and s > 0 for s in size):
        raise ConfigError(f"{file}: sensor_size_hw: expected [rows, columns], got {size!r}")
    return size[0], size[1]
