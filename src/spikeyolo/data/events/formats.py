"""The layouts that a data.yaml may name as its `format`: what each may say, and how it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...errors import ConfigError, quote
from ...events.event_input import EventInput
from .dsec import DsecSource
from .frame_sources import DEFAULT_TIMESTEPS, RecordingSource, RvtSource, Source
from .pedro import FORMS, PedroSource
from .rvt import DEFAULT_NAME


@dataclass(frozen=True)
class Described:
    """What of a data.yaml decides how its recordings are read.

    Attributes:
        file: the data.yaml.
        content: what it holds.
        folders: of all splits.
        names: of classes.
    """

    file: Path
    content: Mapping[str, Any]
    folders: Iterable[Path]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Format:
    """A layout.

    Attributes:
        keys: that a data.yaml may have for it, beside those for all.
        source: gives how recordings are read, and what they become unless a run says otherwise; ConfigError for a value
            that is wrong.
    """

    keys: tuple[str, ...]
    source: Callable[[Described], tuple[Source, EventInput]]


def _prophesee(described: Described) -> tuple[Source, EventInput]:
    return RecordingSource(_size(described.content)), _own(described)


def _dsec(described: Described) -> tuple[Source, EventInput]:
    return DsecSource(), _own(described)


def _pedro(described: Described) -> tuple[Source, EventInput]:
    form = described.content.get("labels", "xml")
    if not isinstance(form, str) or form not in FORMS:
        raise ConfigError(f"labels: {quote(form)} is not one of {', '.join(FORMS)}")
    return PedroSource(_size(described.content), described.names, form), _own(described)


def _rvt(described: Described) -> tuple[Source, EventInput]:
    name = str(described.content.get("frames") or DEFAULT_NAME)
    source = RvtSource.of(described.file, name, described.folders)
    given = described.content.get("preparation")
    if given is not None and (not isinstance(given, Mapping) or given.keys() - {"timesteps"}):
        raise ConfigError("preparation: RVT's frames are prepared; only timesteps can be chosen")
    timesteps = dict(given or {}).get("timesteps", DEFAULT_TIMESTEPS)
    checked = replace(source.made, timesteps=timesteps)  # its window follows once timesteps is known to be a number
    return source, replace(checked, window_us=timesteps * source.made.window_us)


FORMATS = {
    "prophesee": Format(("sensor_size_hw", "class_ids"), _prophesee),
    "dsec": Format(("class_ids",), _dsec),
    "pedro": Format(("sensor_size_hw", "labels"), _pedro),
    "rvt": Format(("frames", "class_ids"), _rvt),
}


def layout_of(file: Path) -> tuple[RecordingSource, Path, Path]:
    """Return the layout that has labels for a file of events, the recording that it is there, and its labels.

    Without labels in any of them it is Prophesee's.
    """
    sources = (RecordingSource(), DsecSource(), *(PedroSource(names=("person",), form=form) for form in FORMS))
    for source in sources:
        path, labels = source.pair_of(file)
        if source.events_file(path) == file and labels.is_file():
            return source, path, labels
    return sources[0], *sources[0].pair_of(file)


def _own(described: Described) -> EventInput:
    return EventInput.of(described.content.get("preparation"))


def _size(content: Mapping[str, Any]) -> tuple[int, int] | None:
    size = content.get("sensor_size_hw")
    if size is None:
        return None
    if not isinstance(size, list) or len(size) != 2 or not all(isinstance(s, int) and s > 0 for s in size):
        raise ConfigError(f"sensor_size_hw: expected [rows, columns], got {quote(size)}")
    return size[0], size[1]
