"""The layouts in which labelled recordings lie on disk; a data set of either is used in the same way."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ...errors import ConfigError, DataError, quote
from ...events.event_input import WINDOW, EventInput
from ...events.narrow import narrow
from ...events.recording import Recording, open_recording
from ...events.render import frames_of_window
from ...events.representations import RepresentationConfig
from ...events.types import Events
from ...events.windows import window_before
from .labels import Pairing, boxes_path, pair_recordings, read_boxes
from .rvt import FRAMES, LABELS, RvtSequence, open_rvt, pair_sequences, sequence_files

DEFAULT_TIMESTEPS = 2
Change = Callable[[Events], Events]


class OpenRecording(Protocol):
    """A recording from which frames are taken."""

    def frames(self, end_us: int, event_input: EventInput, augment: Change) -> np.ndarray:
        """Return the frames (T, C, H, W), oldest first, of the window that ends at an instant, typed as by `frames_of`.

        Args:
            end_us: the instant.
            event_input: what the frames are.
            augment: what happens to the single events, where there are any.
        """


@dataclass(frozen=True)
class LabelledRecording:
    """What an index takes from a recording.

    Attributes:
        duration_us: its length.
        sensor_size_hw: rows and columns.
        decoded_bytes: memory that it takes as long as it is open.
        boxes: (N,) BOX_DTYPE in pixels of the sensor, as the file has them.
    """

    duration_us: int
    sensor_size_hw: tuple[int, int]
    decoded_bytes: int
    boxes: np.ndarray


class Source(Protocol):
    """A layout of labelled recordings."""

    @property
    def expected(self) -> str:
        """What a folder must hold."""

    @property
    def depends_on(self) -> tuple[Any, ...]:
        """Plain values on which the index depends, apart from the files."""

    @property
    def made(self) -> EventInput | None:
        """Of what frames were made beforehand; None where they are rendered from events as they are needed."""

    def pair(self, folder: Path) -> Pairing:
        """Return the recordings of a folder, with their labels."""

    def files(self, paired: Pairing) -> list[Path]:
        """Return the files on which the index depends."""

    def read(self, path: Path, labels: Path) -> LabelledRecording:
        """Return what an index takes from a recording; DataError where it cannot be read."""

    def open(self, path: Path, sensor_size_hw: tuple[int, int]) -> OpenRecording:
        """Open a recording of that size, to take frames from it; DataError where it cannot be read."""

    def choose(self, own: EventInput, given: str | None, changes: Mapping[str, Any]) -> EventInput:
        """Return the data set's own input, or the one of that name, with those changes that are not None.

        Raises:
            ConfigError: an unknown name, a value out of range, or frames that the source does not have.
        """

    def check(self, event_input: EventInput) -> None:
        """Raise ConfigError for frames that the source does not have."""


@dataclass(frozen=True)
class RecordingSource:
    """Folders of recordings, `NAME_td.dat` or another format, with `NAME_bbox.npy` beside each, as Prophesee has them.

    Other layouts of recordings are subclasses, which say where events and labels are; frames are rendered from events
    as they are needed in all of them.

    Attributes:
        sensor_size_hw: of recordings that do not name it.
    """

    sensor_size_hw: tuple[int, int] | None = None
    made = None

    @property
    def expected(self) -> str:
        """What a folder must hold."""
        return "NAME_td.dat with NAME_bbox.npy beside it"

    @property
    def depends_on(self) -> tuple[Any, ...]:
        """The layout, and the size of the sensor that was given."""
        return (type(self).__name__, self.sensor_size_hw)

    def pair(self, folder: Path) -> Pairing:
        """See `Source`."""
        return pair_recordings(folder)

    def pair_of(self, file: Path) -> tuple[Path, Path]:
        """Return the recording that a file of events is, and where this layout has its labels, if there are any."""
        return file, boxes_path(file)

    def events_file(self, path: Path) -> Path:
        """Return the file of a recording's events."""
        return path

    def recording(self, path: Path, sensor_size_hw: tuple[int, int] | None = None) -> Recording:
        """Open the events of a recording; DataError where they cannot be read."""
        return open_recording(self.events_file(path), sensor_size_hw or self.sensor_size_hw)

    def boxes(self, labels: Path, recording: Recording) -> np.ndarray:
        """Return the boxes of a file of labels, BOX_DTYPE (N,), in the recording's time and in pixels of its sensor."""
        return read_boxes(labels)

    def files(self, paired: Pairing) -> list[Path]:
        """See `Source`."""
        of_pairs = [file for path, labels in paired.pairs for file in (self.events_file(path), labels)]
        return [*of_pairs, *map(self.events_file, paired.without_boxes), *paired.without_recording]

    def read(self, path: Path, labels: Path) -> LabelledRecording:
        """See `Source`."""
        recording = self.recording(path)
        size_hw, decoded_bytes = recording.sensor_size_hw, recording.decoded_bytes
        return LabelledRecording(recording.duration_us, size_hw, decoded_bytes, self.boxes(labels, recording))

    def open(self, path: Path, sensor_size_hw: tuple[int, int]) -> OpenRecording:
        """See `Source`."""
        return _Rendered(self.recording(path, sensor_size_hw))

    def choose(self, own: EventInput, given: str | None, changes: Mapping[str, Any]) -> EventInput:
        """See `Source`."""
        return EventInput.of(given or own, **changes)

    def check(self, event_input: EventInput) -> None:
        """See `Source`; from events all frames can be rendered."""


@dataclass(frozen=True, eq=False)
class _Rendered:
    """Frames rendered from events."""

    recording: Recording

    def frames(self, end_us: int, event_input: EventInput, augment: Change) -> np.ndarray:
        window = window_before(self.recording, end_us, event_input).changed(augment)
        return frames_of_window(window, self.recording.sensor_size_hw, event_input)


@dataclass(frozen=True)
class RvtSource:
    """Folders of RVT's sequences: frames that were made beforehand; see `rvt`.

    Attributes:
        name: of the representation: a folder of each sequence.
        made: the frames.
        file: what describes the data set, for errors.
    """

    name: str
    made: EventInput
    file: Path

    @classmethod
    def of(cls, file: Path, name: str, folders: Iterable[Path]) -> RvtSource:
        """Return the source of these folders; the first sequence says whether frames are halved.

        Raises:
            ConfigError: a name that does not tell what the frames are.
            DataError: a first sequence that cannot be read.
        """
        match = re.fullmatch(r"stacked_histogram_dt=(\d{1,9})_nbins=(\d{1,9})", name)
        if match is None:
            raise ConfigError(f"frames: {quote(name)} is not stacked_histogram_dt=<milliseconds>_nbins=<bins>")
        kind, step_us = RepresentationConfig("stacked_histogram", bins=int(match[2])), int(match[1]) * 1000
        first = next((path for folder in folders for path, _ in pair_sequences(folder, name).pairs), None)
        halved = first is not None and open_rvt(first, name).halved
        return cls(name, EventInput(kind, 1, step_us, downscale=2 if halved else 1), file)

    @property
    def step_us(self) -> int:
        """Length of a frame."""
        return self.made.equal_steps_us("frames")

    @property
    def expected(self) -> str:
        """What a folder must hold."""
        return f"SEQUENCE/{FRAMES}/{self.name} and SEQUENCE/{LABELS}"

    @property
    def depends_on(self) -> tuple[Any, ...]:
        """The name of the frames."""
        return ("rvt", self.name)

    def pair(self, folder: Path) -> Pairing:
        """See `Source`."""
        return pair_sequences(folder, self.name)

    def files(self, paired: Pairing) -> list[Path]:
        """See `Source`."""
        sequences = [*(path for path, _ in paired.pairs), *paired.without_boxes]
        return [*(file for path in sequences for file in sequence_files(path, self.name)), *paired.without_recording]

    def read(self, path: Path, labels: Path) -> LabelledRecording:
        """See `Source`."""
        sequence, factor = open_rvt(path, self.name), self.made.downscale
        if sequence.halved != (factor == 2):
            raise DataError(f"{path}: frames of another scale than those of the other sequences")
        if (channels := sequence.shape[1]) != self.made.channels:
            raise DataError(f"{path}: {channels} channels; {self.name} has {self.made.channels}")
        boxes = sequence.boxes.copy()
        for side in ("x", "y", "w", "h"):
            boxes[side] *= factor
        # Labels get the time of their frame, which is theirs up to rounding.
        boxes["t"] = np.repeat(sequence.end_us[sequence.label_frames], np.diff(sequence.first_boxes))
        size_hw = (sequence.shape[2] * factor, sequence.shape[3] * factor)
        return LabelledRecording(int(sequence.end_us[-1]), size_hw, 0, boxes)

    def open(self, path: Path, sensor_size_hw: tuple[int, int]) -> OpenRecording:
        """See `Source`."""
        return _Stored(open_rvt(path, self.name))

    def choose(self, own: EventInput, given: str | None, changes: Mapping[str, Any]) -> EventInput:
        """See `Source`; frames have their length, so that the window follows the number of timesteps."""
        changes = dict(changes)
        if not any(changes.get(name) is not None for name in WINDOW):
            changes["window_us"] = self.step_us * (changes.get("timesteps") or own.timesteps)
        found = EventInput.of(given or own, **changes)
        self.check(found)
        return found

    def check(self, event_input: EventInput) -> None:
        """See `Source`; only T and the order of timesteps can be chosen."""
        for name in ("window_events", "filters"):
            if getattr(event_input, name):
                raise ConfigError(
                    f"{name}: {self.file} holds frames of {self.step_us / 1000:g} ms, made beforehand; it needs the "
                    "recordings themselves"
                )
        timesteps = event_input.timesteps
        there = replace(self.made, timesteps=timesteps, window_us=timesteps * self.step_us, order=event_input.order)
        if event_input == there:
            return
        name = next(f.name for f in fields(there) if getattr(event_input, f.name) != getattr(there, f.name))
        raise ConfigError(
            f"{self.file}: the frames on disk were made with {name} {_shown(getattr(there, name))} for {timesteps} "
            f"timesteps, not {_shown(getattr(event_input, name))}; other frames need the recordings themselves"
        )


@dataclass(frozen=True, eq=False)
class _Stored:
    """Frames as they were made; there are no single events to augment."""

    sequence: RvtSequence

    def frames(self, end_us: int, event_input: EventInput, augment: Change) -> np.ndarray:
        return narrow(self.sequence.before(end_us, event_input.timesteps))


def _shown(value: Any) -> str:
    if isinstance(value, RepresentationConfig):
        return f"{value.name} of {value.bins} bins up to {value.cutoff}"
    return str(value)
