"""Opening a data set: the only place that asks whether a file describes images or recordings of an event camera."""

from __future__ import annotations

from pathlib import Path

from ..errors import ConfigError, DataError
from ..events.recording import READERS
from ..imaging.io import IMAGE_SUFFIXES
from ..reading import entries, file_kind
from .data_yaml import load_yaml
from .events.description import describe_recordings
from .events.event_data import EventData
from .images.description import VOC, describe_images, describe_json
from .images.image_data import ImageData


def open_data(file: str | Path) -> ImageData | EventData:
    """Open the data set that a file describes; both kinds are used as a `DataSet`.

    Args:
        file: a YOLO data.yaml, the same with `train_json`, `val_json` or `test_json` naming COCO annotation files, a
            bare COCO JSON (to evaluate on), or a data.yaml with `format: prophesee` or `format: rvt` (recordings).

    Raises:
        ConfigError: an unknown or missing key, or a wrong value.
        DataError: no such file, a folder, or a file or folder that the description names and that does not exist.
    """
    file = Path(file)
    if file_kind(file) == "folder":
        raise DataError(f"{file}: is a folder{_inside(file)}")
    if not file_kind(file):
        raise DataError(f"{file}: no such file; give a data.yaml or a COCO JSON")
    suffix = file.suffix.lower()
    if suffix in IMAGE_SUFFIXES or suffix in READERS:
        raise DataError(f"{file}: is a single {_kind(suffix)}; give a data.yaml that names folders of them")
    if suffix == ".json":
        return ImageData(describe_json(file))
    content = load_yaml(file)
    if content.get("format", VOC) != VOC:
        return EventData(describe_recordings(file, content))
    return ImageData(describe_images(file, content))


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
    kinds = [_kind(entry.suffix.lower()) for entry in there if entry.suffix.lower() in {*IMAGE_SUFFIXES, *READERS}]
    if "recording" in kinds:
        return " of recordings; write a data.yaml with 'format: prophesee', train, val and names, and give that"
    if kinds:
        return " of images; write a data.yaml with train, val and names, and give that"
    return " without a data.yaml; give the data.yaml or COCO JSON of a data set"


def _kind(suffix: str) -> str:
    return "image" if suffix in IMAGE_SUFFIXES else "recording"
