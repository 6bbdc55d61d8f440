"""Writing whole data sets in RVT's layout, for those who train by it: sequence by sequence, in several processes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ConfigError, quote
from ...events.event_input import LIMITS, EventInput
from ...events.recording import Recording, open_recording
from ...events.render import frames_of
from ...events.representations import RepresentationConfig
from ...files import make_folder, own_folder
from ...processes import in_processes
from .event_data import EventData
from .frame_sources import RecordingSource
from .rvt import TOLERANCE_US, write_rvt


@dataclass(frozen=True)
class RvtFormat:
    """The frames of a data set in RVT's layout.

    Attributes:
        step_us: length of a frame's window in microseconds, and from one frame to the next.
        bins: steps of time within a frame; it has 2 * bins channels.
        cutoff: largest count.
        downscale: 2 halves the frames, as usual for 1 Mpx.

    Raises:
        ConfigError: a value out of range.
    """

    step_us: int = 50_000
    bins: int = 10
    cutoff: int = 10
    downscale: int = 1

    def __post_init__(self) -> None:
        if not 1000 <= self.step_us <= LIMITS["window_us"] or self.step_us % 1000:
            raise ConfigError(f"step_us: {quote(self.step_us)} is not a whole number of milliseconds, at most an hour")
        if self.downscale not in (1, 2):
            raise ConfigError(f"downscale: {quote(self.downscale)}; RVT's layout knows 1 and 2")
        self.event_input  # noqa: B018 - checks the others

    @property
    def name(self) -> str:
        """Return RVT's name of the representation."""
        return f"stacked_histogram_dt={self.step_us // 1000}_nbins={self.bins}"

    @property
    def event_input(self) -> EventInput:
        """Return how events become one frame."""
        kind = RepresentationConfig("stacked_histogram", bins=self.bins, cutoff=self.cutoff)
        return EventInput(kind, timesteps=1, window_us=self.step_us, downscale=self.downscale)


@dataclass(frozen=True)
class ExportedSequence:
    """One sequence that was written.

    Attributes:
        folder: where it is.
        frames: how many.
        left_out: labelled instants that no frame's window ends at, or where one window ends at several.
        findings: what was wrong with the recording, a line each.
    """

    folder: Path
    frames: int
    left_out: int
    findings: tuple[str, ...] = ()


def export_split(
    data: EventData,
    split: str,
    out: Path,
    rvt_format: RvtFormat | None = None,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> list[ExportedSequence]:
    """Write every recording of a split to `out / split / NAME`; those that are there already stay as they are.

    A sequence appears whole or not at all, so an interrupted export goes on where it stopped.

    Args:
        data: recordings.
        split: "train", "val" or "test".
        out: folder of the exported data set; one export at a time may write there.
        rvt_format: its frames.
        workers: processes.
        progress: called with sequences done and sequences in all.

    Returns:
        The sequences written now.

    Raises:
        ConfigError: no such split, or frames that are in RVT's layout already.
        DataError: recordings that cannot be read.
        WriteError: a folder cannot be written.
    """
    source = data.description.source
    if not isinstance(source, RecordingSource):
        raise ConfigError(f"{data.file}: describes RVT's frames, which are prepared already")
    index, rvt_format = data.split(split), rvt_format or RvtFormat()
    folder = own_folder(make_folder(out), split)
    size_hw = index.sensor_size_hw
    work = [
        (source.events_file(path), index.labels_of(number), size_hw, folder / sequence_name(path), rvt_format)
        for number, path in enumerate(index.recordings)
    ]
    waiting = [job for job in work if not job[3].exists()]
    done = len(work) - len(waiting)
    if progress is not None:
        progress(done, len(work))
    written = []
    for sequence in _exported(waiting, workers):
        written.append(sequence)
        for line in sequence.findings:
            warnings.warn(line, stacklevel=2)
        done += 1
        if progress is not None:
            progress(done, len(work))
    return sorted(written, key=lambda sequence: sequence.folder)


def _exported(jobs: Sequence[tuple[Any, ...]], workers: int) -> Iterator[ExportedSequence]:
    """Write recordings and yield each as it is done, in so many processes; one is this process."""
    if workers <= 1 or len(jobs) <= 1:
        return (export_recording(*job) for job in jobs)
    return in_processes(export_recording, jobs, min(workers, len(jobs)))


def sequence_name(recording: Path) -> str:
    """Return how RVT names the folder of a recording."""
    return recording.stem.removesuffix("_td")


def export_recording(
    path: Path, boxes: np.ndarray, sensor_size_hw: tuple[int, int], folder: Path, rvt_format: RvtFormat
) -> ExportedSequence:
    """Write one recording; see `write_rvt`.

    The windows follow each other from the first label backwards and forwards, so that labels lie at their ends.

    Raises:
        DataError: the recording cannot be read, the folder cannot be written.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        frames, left_out = _export(open_recording(path, sensor_size_hw), boxes, folder, rvt_format)
    return ExportedSequence(folder, frames, left_out, tuple(str(warning.message) for warning in caught))


def _export(recording: Recording, boxes: np.ndarray, folder: Path, rvt_format: RvtFormat) -> tuple[int, int]:
    """Write a recording; return how many frames it has, and labelled instants left out."""
    event_input, step_us = rvt_format.event_input, rvt_format.step_us
    first_us = (int(boxes["t"].min()) % step_us if len(boxes) else 0) or step_us
    last_us = max(recording.duration_us, int(boxes["t"].max()) if len(boxes) else 0, first_us)
    stretches = recording.steps(step_us, first_us, until_us=last_us)
    end_us = np.concatenate([np.arange(r.start, min(r.stop, last_us + 1), step_us, dtype=np.int64) for r in stretches])
    if still := (last_us - first_us) // step_us + 1 - len(end_us):
        warnings.warn(f"{recording.path}: {still} frames left out, where no event is for 10 s and longer", stacklevel=1)
    kept, left_out = _at_ends(boxes, end_us)

    def frames() -> Iterator[np.ndarray]:
        for end in end_us.tolist():
            events = recording.window(end - step_us, end)
            yield frames_of(events, end, recording.sensor_size_hw, event_input)[0].astype(np.uint8)

    write_rvt(folder, frames(), end_us, kept, rvt_format.name, halved=rvt_format.downscale == 2)
    return len(end_us), left_out


def _at_ends(boxes: np.ndarray, end_us: np.ndarray) -> tuple[np.ndarray, int]:
    """The boxes of the instant nearest to each window's end, if it is near enough; and how many instants were left."""
    instants = np.unique(boxes["t"])
    if not len(instants):
        return boxes, 0
    after = np.searchsorted(end_us, instants).clip(max=len(end_us) - 1)
    before = (after - 1).clip(min=0)
    nearest = np.where(np.abs(end_us[before] - instants) <= np.abs(end_us[after] - instants), before, after)
    distance = np.abs(end_us[nearest] - instants)
    best: dict[int, int] = {}
    for number in np.argsort(distance, kind="stable").tolist():
        if distance[number] <= TOLERANCE_US:
            best.setdefault(int(nearest[number]), int(instants[number]))
    chosen = np.isin(boxes["t"], list(best.values()))
    return boxes[chosen], len(instants) - len(best)
