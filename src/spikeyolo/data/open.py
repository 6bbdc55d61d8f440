"""Opening a data set: the only place that asks whether a file describes images or recordings of an event camera."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import ConfigError, DataError
from ..events.recording import is_recording
from ..imaging.io import IMAGE_SUFFIXES
from ..reading import entries, file_kind
from ..strict import nearest
from .data_yaml import load_yaml
from .events.description import describe_recordings
from .events.event_data import EventData
from .images.description import VOC, describe_images, describe_json
from .images.image_data import ImageData
from .known import Named, named_set, set_names


def open_data(file: str | Path) -> ImageData | EventData:
    """Open the data set that a file describes, or a public one by its name; both kinds are used as a `DataSet`.

    Args:
        file: a YOLO data.yaml, the same with `train_json`, `val_json` or `test_json` naming COCO annotation files, a
            bare COCO JSON (to evaluate on), a data.yaml with a `format` (recordings), or a public set, as `NAME` or
            `NAME=FOLDER`; see `known`.

    Raises:
        ConfigError: an unknown or missing key, or a wrong value.
        DataError: no such file, a folder, a public set that is not there, or a file or folder that the description
            names and that does not exist.
    """
    if (named := named_set(file)) is not None:
        return _open_named(named)
    file = Path(file)
    if file_kind(file) == "folder":
        raise DataError(f"{file}: is a folder{_inside(file)}")
    if not file_kind(file):
        raise DataError(f"{file}: no such file; give a data.yaml or a COCO JSON{_perhaps(file)}")
    suffix = file.suffix.lower()
    if kind := _kind(file):
        raise DataError(f"{file}: is a single {kind}; give a data.yaml that names folders of them")
    if suffix == ".json":
        return ImageData(describe_json(file))
    return _described(file, load_yaml(file))


def _described(file: Path, content: dict[str, Any], base: Path | None = None) -> ImageData | EventData:
    if content.get("format", VOC) != VOC:
        return EventData(describe_recordings(file, content, base))
    return ImageData(describe_images(file, content, base))


def _open_named(named: Named) -> ImageData | EventData:
    """A public data set; its index is kept in its folder, as beside a data.yaml."""
    named.check()
    try:
        return _described(Path(named.word), dict(named.known.description), named.root / named.name)
    except DataError as error:
        raise DataError(f"{error}; its folder must hold {named.known.layout}") from error


def _perhaps(file: Path) -> str:
    """What to try in place of a word that looks like the name of a public data set."""
    if len(file.parts) > 1 or file.suffix:
        return ""
    near = nearest(file.name.partition("=")[0], set_names())
    return f"; did you mean {near}?" if near else f", or the name of a public set ({', '.join(set_names())})"


def open_images(file: str | Path) -> ImageData:
    """Open a data set of images, for what is about images alone; ConfigError if it holds recordings."""
    data = open_data(file)
    if isinstance(data, EventData):
        raise ConfigError(f"{file}: describes recordings; spikeyolo events info {file} looks at them")
    return data


def open_recordings(file: str | Path) -> EventData:
    """Open a data set of recordings, for what is about recordings alone; ConfigError if it holds images."""
    data = open_data(file)
    if isinstance(data, ImageData):
        raise ConfigError(f"{file}: describes images; spikeyolo data check {file} looks at them")
    return data


def _inside(folder: Path) -> str:
    """What to give in place of a folder."""
    there = entries(folder)
    described = [e for e in there if e.suffix.lower() in (".yaml", ".yml") and e.is_file()]
    described.sort(key=lambda entry: entry.stem != "data")
    if described:
        return f"; give {described[0]}"
    kinds = list(filter(None, map(_kind, there)))
    if "recording" in kinds:
        return " of recordings; write a data.yaml with 'format: prophesee', train, val and names, and give that"
    if kinds:
        return " of images; write a data.yaml with train, val and names, and give that"
    return " without a data.yaml; give the data.yaml or COCO JSON of a data set"


def _kind(path: Path) -> str:
    """What a single file is that belongs into a data set, by its name; "" if neither."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return "image"
    return "recording" if is_recording(path) else ""
