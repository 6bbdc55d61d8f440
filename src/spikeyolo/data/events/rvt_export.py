"""Writing whole data sets in RVT's layout, for those who train by it: sequence by sequence, in several processes."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ConfigError, DataError
from ...events.event_input import EventInput
from ...events.recording import open_recording
from ...events.render import frames_of
from ...events.representations import RepresentationConfig
from .event_data import EventData
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
        if self.step_us < 1000 or self.step_us % 1000:
            raise ConfigError(f"step_us: {self.step_us} is not a whole number of milliseconds")
        if self.downscale not in (1, 2):
            raise ConfigError(f"downscale: {self.downscale}; RVT's layout knows 1 and 2")
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
    """

    folder: Path
    frames: int
    left_out: int


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
        DataError: recordings that cannot be read, or a folder that cannot be written.
    """
    if data.description.source.made is not None:
        raise ConfigError(f"{data.file}: describes RVT's frames, which are prepared already")
    index, rvt_format = data.split(split), rvt_format or RvtFormat()
    folder = out / split
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for remains in folder.glob(".*.partial"):
            shutil.rmtree(remains)
    except OSError as error:
        raise DataError(f"{folder}: cannot be written ({error.strerror})") from error
    work = [
        (recording, index.labels_of(number), index.sensor_size_hw, folder / sequence_name(recording), rvt_format)
        for number, recording in enumerate(index.recordings)
    ]
    waiting = [job for job in work if not job[3].exists()]
    done = len(work) - len(waiting)
    if progress is not None:
        progress(done, len(work))
    written = []
    for sequence in _exported(waiting, workers):
        written.append(sequence)
        done += 1
        if progress is not None:
            progress(done, len(work))
    return sorted(written, key=lambda sequence: sequence.folder)


def _exported(jobs: Sequence[tuple[Any, ...]], workers: int) -> Iterator[ExportedSequence]:
    """Write recordings and yield each as it is done, in so many processes; one is this process."""
    if workers <= 1 or len(jobs) <= 1:
        yield from (export_recording(*job) for job in jobs)
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        running = [pool.submit(export_recording, *job) for job in jobs]
        try:
            for future in as_completed(running):
                yield future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


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
    recording, event_input = open_recording(path, sensor_size_hw), rvt_format.event_input
    first = int(boxes["t"].min()) % rvt_format.step_us if len(boxes) else 0
    last = max(recording.duration_us, int(boxes["t"].max()) if len(boxes) else 0)
    end_us = np.arange(
        first or rvt_format.step_us, max(last, first or rvt_format.step_us) + 1, rvt_format.step_us, dtype=np.int64
    )
    kept, left_out = _at_ends(boxes, end_us)

    def frames() -> Iterator[np.ndarray]:
        for end in end_us.tolist():
            events = recording.window(end - rvt_format.step_us, end)
            yield frames_of(events, end, sensor_size_hw, event_input)[0].astype(np.uint8)

    write_rvt(folder, frames(), end_us, kept, rvt_format.name, halved=rvt_format.downscale == 2)
    return ExportedSequence(folder, len(end_us), left_out)


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
