"""Generated recordings of an event camera, in Prophesee's layout: a folder a split of `*_td.dat` and `*_bbox.npy`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import yaml

from ..data.events.labels import write_boxes
from ..errors import ConfigError
from ..events import EventInput, Events, RepresentationConfig, write_dat
from ..events.event_input import Order
from .event_camera import CameraConfig, EventCamera, film
from .event_scene import EVENT_CLASSES, EventDifficulty, EventScene, random_event_scene
from .folder import GeneratedData

EVENT_SPLITS = ("train", "val", "test")
# A change of the drawing or of the camera that changes recordings raises this, so that an older folder is made again.
VERSION = 2

EVENT_INPUT = EventInput(RepresentationConfig("stacked_histogram", bins=5), timesteps=2, window_us=100_000)
"""In two timesteps of 50 ms a wheel turns a quarter of what makes it look the same again, in steps of 10 ms."""


@dataclass(frozen=True)
class RecordingsConfig:
    """What to generate. The i-th recording of a split does not depend on the counts.

    Attributes:
        seed: where all randomness comes from, at least 0.
        train: recordings to train on.
        val: recordings to choose by.
        test: recordings to report.
        size_hw: rows and columns of the sensor.
        duration_us: length of each recording.
        label_every_us: from one labelled instant to the next; the first is so long after the start.
        images_hz: images a second that the camera model sees; it interpolates between them.
        classes: some of EVENT_CLASSES, by class id. The two wheels, or the two disks, are told apart by the order of
            time alone.
        difficulty: how hard the recordings are.
        camera: the camera.

    Raises:
        ConfigError: a value out of range.
    """

    seed: int = 0
    train: int = 40
    val: int = 10
    test: int = 10
    size_hw: tuple[int, int] = (128, 128)
    duration_us: int = 2_000_000
    label_every_us: int = 50_000
    images_hz: float = 250.0
    classes: tuple[str, ...] = EVENT_CLASSES[:4]
    difficulty: EventDifficulty = field(default_factory=EventDifficulty)
    camera: CameraConfig = field(default_factory=CameraConfig)

    def __post_init__(self) -> None:
        lowest = {"seed": 0, "train": 1, "val": 1, "test": 1, "duration_us": 1, "label_every_us": 1, "images_hz": 1}
        for name, value in lowest.items():
            if getattr(self, name) < value:
                raise ConfigError(f"{name}: {getattr(self, name)} is below {value}")
        if min(self.size_hw) < 32:
            raise ConfigError(f"size_hw: {self.size_hw} has a side below 32")
        if not self.classes or len(set(self.classes)) < len(self.classes) or not set(self.classes) <= {*EVENT_CLASSES}:
            raise ConfigError(f"classes: {self.classes}; choose from {', '.join(EVENT_CLASSES)}, each once")


def recording_scene(config: RecordingsConfig, split: str, index: int) -> EventScene:
    """Return what the camera looks at in one recording."""
    rng = np.random.default_rng([config.seed, EVENT_SPLITS.index(split), index, 0])
    return random_event_scene(rng, config.size_hw, config.difficulty, config.classes)


def event_recording(config: RecordingsConfig, split: str, index: int) -> tuple[Iterator[Events], np.ndarray]:
    """Return one recording: its events, in small steps, and its labels, BOX_DTYPE (N,)."""
    scene = recording_scene(config, split, index)
    camera_rng = np.random.default_rng([config.seed, EVENT_SPLITS.index(split), index, 1])
    camera = EventCamera(config.size_hw, config.camera, camera_rng)
    count = int(config.duration_us * 1e-6 * config.images_hz) + 1
    times = np.linspace(0, config.duration_us, max(count, 2)).round().astype(np.int64).tolist()
    labelled = range(config.label_every_us, config.duration_us + 1, config.label_every_us)
    return film(((t, scene.image(t)) for t in times), camera), scene.boxes(labelled)


def recordings_complete(root: str | os.PathLike[str], config: RecordingsConfig) -> bool:
    """Return whether the folder holds these very recordings with no file missing."""
    return _data_set(config).is_complete(Path(root))


def write_recordings(
    folder: str | os.PathLike[str],
    config: RecordingsConfig | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the data set, unless the folder already holds it whole; see `GeneratedData.write_all`.

    Args:
        folder: the folder to make.
        config: what to generate.
        progress: called with recordings done and recordings in all.

    Returns:
        The path of `data.yaml`.

    Raises:
        DataError: `folder` exists and was not made by this generator.
        WriteError: it cannot be written.
    """
    return _data_set(config or RecordingsConfig()).write_all(Path(folder), progress)


def _data_set(config: RecordingsConfig) -> GeneratedData:
    names = "".join(f"  {index}: {name}\n" for index, name in enumerate(config.classes))
    splits = "".join(f"{split}: {split}\n" for split in EVENT_SPLITS)
    text = f"# Generated recordings of an event camera\nformat: prophesee\npath: .\n{splits}names:\n{names}"
    write = partial(_write_recording, config)
    description = text + _as_yaml(EVENT_INPUT)
    return GeneratedData("spikeyolo recordings", VERSION, config, EVENT_SPLITS, _files, write, description)


def _files(root: Path, split: str, index: int) -> tuple[Path, Path]:
    return root / split / f"{index:04d}_td.dat", root / split / f"{index:04d}_bbox.npy"


def _write_recording(config: RecordingsConfig, root: Path, split: str, index: int) -> None:
    events, boxes = event_recording(config, split, index)
    events_file, boxes_file = _files(root, split, index)
    write_dat(events_file, events, config.size_hw)
    write_boxes(boxes_file, boxes)


def write_reordered(data: Path, order: Order) -> Path:
    """Write a second description of generated recordings, by which the timesteps come in another order."""
    file = data.with_name(f"data-{order}.yaml")
    file.write_text(data.read_text().partition("preparation:")[0] + _as_yaml(replace(EVENT_INPUT, order=order)))
    return file


def _as_yaml(event_input: EventInput) -> str:
    return yaml.safe_dump({"preparation": event_input.to_dict()}, sort_keys=False)
