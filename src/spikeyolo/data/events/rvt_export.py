"""Writing whole data sets in RVT's layout, for those who train by it: sequence by sequence, in several processes."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import ConfigError, DataError
from ...events.event_input import EventInput
from ...events.recording import open_recording
from ...events.render import frames_of
from ...events.representations import RepresentationConfig
from .description import EventDescription
from .index import load_event_index
from .rvt import TOLERANCE_US, write_rvt


@dataclass(frozen=True)
class RvtConfig:
    """What a prepared data set holds.

    Attributes:
        step_us: length of a frame's window, and from one frame to the next.
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
        self.preparation  # noqa: B018 - checks the others

    @property
    def name(self) -> str:
        """RVT's name of the representation."""
        return f"stacked_histogram_dt={self.step_us // 1000}_nbins={self.bins}"

    @property
    def preparation(self) -> EventInput:
        """Of one frame."""
        kind = RepresentationConfig("stacked_histogram", bins=self.bins, cutoff=self.cutoff)
        return EventInput(kind, timesteps=1, window_us=self.step_us, downscale=self.downscale)


@dataclass(frozen=True)
class Prepared:
    """One sequence.

    Attributes:
        folder: where it is.
        frames: how many.
        left_out: labelled instants that lie at the end of no frame's window, or for which another one stands.
    """

    folder: Path
    frames: int
    left_out: int


def prepare_split(
    description: EventDescription,
    split: str,
    out: Path,
    config: RvtConfig | None = None,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> list[Prepared]:
    """Writes every recording of a split to `out / split / NAME`; those that are there already stay as they are.

    A sequence appears whole or not at all, so a preparation that was interrupted goes on where it stopped.

    Args:
        description: of the data set.
        split: "train", "val" or "test".
        out: folder of the prepared data set; one preparation at a time may write there.
        config: what it holds.
        workers: processes.
        progress: told sequences done and sequences in all.

    Returns:
        The sequences written now.

    Raises:
        ConfigError: no such split.
        DataError: recordings that cannot be read, or a folder that cannot be written.
    """
    index, config = load_event_index(description, split), config or RvtConfig()
    folder = out / split
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for remains in folder.glob(".*.partial"):
            shutil.rmtree(remains)
    except OSError as error:
        raise DataError(f"{folder}: cannot be written ({error.strerror})") from error
    work = [
        (recording, index.labels_of(number), index.sensor_size_hw, folder / sequence_name(recording), config)
        for number, recording in enumerate(index.recordings)
    ]
    waiting = [job for job in work if not job[3].exists()]
    done = len(work) - len(waiting)
    if progress is not None:
        progress(done, len(work))
    written = []
    with ProcessPoolExecutor(max(workers, 1), multiprocessing.get_context("spawn")) as pool:
        running = [pool.submit(prepare_recording, *job) for job in waiting]
        try:
            for future in as_completed(running):
                written.append(future.result())
                done += 1
                if progress is not None:
                    progress(done, len(work))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return sorted(written, key=lambda prepared: prepared.folder)


def sequence_name(recording: Path) -> str:
    """How RVT names the folder of a recording."""
    return recording.stem.removesuffix("_td")


def prepare_recording(
    path: Path, boxes: np.ndarray, sensor_size_hw: tuple[int, int], folder: Path, config: RvtConfig
) -> Prepared:
    """Writes one recording; see `write_rvt`.

    The windows follow each other from the first label backwards and forwards, so that labels lie at their ends.

    Raises:
        DataError: the recording cannot be read, the folder cannot be written.
    """
    recording, preparation = open_recording(path, sensor_size_hw), config.preparation
    first = int(boxes["t"].min()) % config.step_us if len(boxes) else 0
    last = max(recording.duration_us, int(boxes["t"].max()) if len(boxes) else 0)
    end_us = np.arange(first or config.step_us, max(last, first or config.step_us) + 1, config.step_us, dtype=np.int64)
    kept, left_out = _at_ends(boxes, end_us)

    def frames() -> Iterator[np.ndarray]:
        for end in end_us.tolist():
            events = recording.window(end - config.step_us, end)
            yield frames_of(events, end, sensor_size_hw, preparation)[0].astype(np.uint8)

    write_rvt(folder, frames(), end_us, kept, config.name, halved=config.downscale == 2)
    return Prepared(folder, len(end_us), left_out)


def _at_ends(boxes: np.ndarray, end_us: np.ndarray) -> tuple[np.ndarray, int]:
    """The boxes of the instant nearest to each window's end, if it is near enough; and how many instants were left."""
    instants = np.unique(boxes["t"])
    if not len(instants):
        return boxes, 0
    after = np.searchsorted(end_us, instants).clip(max=len(end_us) - 1)
    before = (after - 1).clip(min=0)
    place = np.where(np.abs(end_us[before] - instants) <= np.abs(end_us[after] - instants), before, after)
    distance = np.abs(end_us[place] - instants)
    best: dict[int, int] = {}
    for number in np.argsort(distance, kind="stable").tolist():
        if distance[number] <= TOLERANCE_US:
            best.setdefault(int(place[number]), int(instants[number]))
    chosen = np.isin(boxes["t"], list(best.values()))
    return boxes[chosen], len(instants) - len(best)
