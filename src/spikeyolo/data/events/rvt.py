"""The folders that RVT prepares: frames of a recording in HDF5, and labels beside them.

    SEQUENCE/event_representations_v2/NAME/event_representations.h5          `data` (N, C, H, W)
                                           timestamps_us.npy                 (N,) end of each frame's window
                                           objframe_idx_2_repr_idx.npy       (M,) frame of each labelled instant
    SEQUENCE/labels_v2/labels.npz                                            `labels` (boxes), and
                                                                             `objframe_idx_2_label_idx` (M,) first box
                       timestamps_us.npy                                     (M,) time of each labelled instant

1 Mpx is halved: `event_representations_ds2_nearest.h5`, with labels in pixels of the full sensor. The published Gen1
folders give (start, end) of each window in place of its end. Source of the layout: https://github.com/uzh-rpg/RVT,
README and issue 22; nothing of its code is here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...errors import DataError
from ...events.event_file import LATEST_US, checked_size
from ...events.hdf5_reading import dataset, open_hdf5
from ...events.numpy_files import load_numpy
from ...events.recording import RVT_FRAMES
from ...events.representations import check_memory
from ...files import whole_folder
from ...optional import optional_module
from ...reading import entries, naming
from .labels import Pairing, boxes_from

DEFAULT_NAME = "stacked_histogram_dt=50_nbins=10"
FRAMES, LABELS = "event_representations_v2", "labels_v2"
FULL, HALVED = RVT_FRAMES
TOLERANCE_US = 1000  # between a label and the end of its frame's window: the times of labels are rounded


@dataclass(frozen=True, eq=False)
class RvtSequence:
    """A prepared recording; made by `open_rvt`. Pickling keeps the path: the file of frames is opened for each reading.

    Attributes:
        path: the folder of the sequence.
        file: the HDF5 file of its frames.
        shape: (N, C, H, W) of all frames.
        end_us: (N,) int64 end of each frame's window.
        boxes: BOX_DTYPE, in pixels of the frames, in the order of time.
        label_frames: (M,) int64 index of the frame of each labelled instant, rising.
        first_boxes: (M + 1,) int64: the boxes of instant m are `boxes[first_boxes[m] : first_boxes[m + 1]]`.
    """

    path: Path
    file: Path
    shape: tuple[int, int, int, int]
    end_us: np.ndarray = field(repr=False)
    boxes: np.ndarray = field(repr=False)
    label_frames: np.ndarray = field(repr=False)
    first_boxes: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def halved(self) -> bool:
        """Return whether frames and boxes are half the sensor's size."""
        return self.file.name == HALVED

    def before(self, end_us: int, count: int) -> np.ndarray:
        """Return (count, C, H, W), the last frames up to the one that ends at an instant; empty before the first.

        Raises:
            DataError: no frame ends there.
        """
        stop = int(np.searchsorted(self.end_us, end_us)) + 1
        if stop > len(self) or self.end_us[stop - 1] != end_us:
            raise DataError(f"{self.path}: no frame ends at {end_us} us")
        check_memory((count, *self.shape[1:]))
        found = self.frames(max(stop - count, 0), stop)
        missing = [(count - len(found), 0), (0, 0), (0, 0), (0, 0)]
        return np.pad(found, missing) if len(found) < count else found

    def frames(self, start: int, stop: int) -> np.ndarray:
        """Return frames start to stop, exclusive: (stop - start, C, H, W) in the file's dtype."""
        with open_hdf5(self.file) as content, naming(self.file, "frames cannot be read"):
            return content["data"][start:stop]


def open_rvt(path: str | os.PathLike[str], name: str = DEFAULT_NAME) -> RvtSequence:
    """Open the folder of one sequence.

    Args:
        path: the folder that holds `event_representations_v2` and `labels_v2`.
        name: which representation.

    Raises:
        DataError: a file that is missing, is not what it should be, or does not fit the others.
    """
    path = Path(path)
    folder, labels = path / FRAMES / name, path / LABELS
    file = next((folder / name for name in (FULL, HALVED) if os.path.isfile(folder / name)), None)
    if file is None:
        raise DataError(f"{folder}: holds neither {FULL} nor {HALVED}")
    with open_hdf5(file) as h5:
        frames = dataset(file, h5, "data", 4, "iuf")
        if frames is None:
            raise DataError(f"{file}: no frames 'data' (N, C, H, W)")
        shape = frames.shape
    checked_size(file, shape[2:], None)
    times, label_frames = (_integers(folder / name) for name in ("timestamps_us.npy", "objframe_idx_2_repr_idx.npy"))
    end_us = times[:, 1] if times.ndim == 2 and times.shape[1] == 2 else times
    content = load_numpy(labels / "labels.npz")
    if not isinstance(content, dict) or not {"labels", "objframe_idx_2_label_idx"} <= content.keys():
        raise DataError(f"{labels / 'labels.npz'}: no 'labels' and 'objframe_idx_2_label_idx'")
    boxes = boxes_from(labels / "labels.npz", content["labels"])
    first = np.append(_as_int64(labels / "labels.npz", content["objframe_idx_2_label_idx"]), len(boxes))
    _check(path, shape[0], end_us, label_frames, first)
    if file.name == HALVED:
        for side in ("x", "y", "w", "h"):
            boxes[side] /= 2
    return RvtSequence(path, file, shape, end_us, boxes, label_frames, first)


def pair_sequences(folder: str | os.PathLike[str], name: str = DEFAULT_NAME) -> Pairing:
    """Pair the sequences of a folder, those that hold frames of that name, with their files of labels.

    Raises:
        DataError: no such folder.
    """
    folder = Path(folder)
    if not os.path.isdir(folder):
        raise DataError(f"{folder}: no such folder; give one with RVT's sequences")
    labels = {path: path / LABELS / "labels.npz" for path in entries(folder) if os.path.isdir(path)}
    frames = {path for path in labels if os.path.isdir(path / FRAMES / name)}
    return Pairing(
        tuple((path, file) for path, file in labels.items() if path in frames and os.path.isfile(file)),
        tuple(path for path, file in labels.items() if path in frames and not os.path.isfile(file)),
        tuple(file for path, file in labels.items() if path not in frames and os.path.isfile(file)),
    )


def sequence_files(path: Path, name: str = DEFAULT_NAME) -> list[Path]:
    """Return the files of a sequence."""
    return sorted(file for folder in (path / FRAMES / name, path / LABELS) for file in folder.glob("*"))


def write_rvt(
    path: str | os.PathLike[str],
    frames: Iterable[np.ndarray],
    end_us: np.ndarray,
    boxes: np.ndarray,
    name: str = DEFAULT_NAME,
    halved: bool = False,
) -> None:
    """Write the folder of one sequence, compressed, frame by frame; it is there whole or not at all.

    Args:
        path: the folder to make.
        frames: (C, H, W) each, uint8.
        end_us: (N,) end of each frame's window, rising.
        boxes: BOX_DTYPE, in pixels of the full sensor; each must lie within 1 ms of the end of a window.
        name: which representation.
        halved: the frames are half the sensor's size.

    Raises:
        DataError: the folder exists; a box without a frame; not a frame for each time.
        WriteError: it cannot be written.
    """
    path = Path(path)
    if path.exists():
        raise DataError(f"{path}: exists; remove it to write it again")
    boxes = boxes[np.argsort(boxes["t"], kind="stable")]
    end_us = np.asarray(end_us, np.int64)
    instants, first = np.unique(boxes["t"], return_index=True)
    label_frames = _nearest(path, end_us, instants)
    with whole_folder(path) as partial:
        folder, labels = partial / FRAMES / name, partial / LABELS
        folder.mkdir(parents=True)
        labels.mkdir()
        count = _write_frames(path, folder / (HALVED if halved else FULL), frames)
        _check(path, count, end_us, label_frames, np.append(first, len(boxes)))
        np.save(folder / "timestamps_us.npy", end_us)
        np.save(folder / "objframe_idx_2_repr_idx.npy", label_frames)
        np.save(labels / "timestamps_us.npy", instants)
        np.savez(labels / "labels.npz", labels=boxes, objframe_idx_2_label_idx=first)


def _nearest(path: Path, end_us: np.ndarray, instants: np.ndarray) -> np.ndarray:
    """(M,) index of the window that ends nearest to each instant."""
    if not len(instants):
        return np.zeros(0, np.int64)
    if not len(end_us):
        raise DataError(f"{path}: not written: labels without frames")
    after = np.searchsorted(end_us, instants).clip(1, max(len(end_us) - 1, 1))
    near = np.stack([after - 1, np.minimum(after, len(end_us) - 1)])
    away = np.abs(end_us[near] - instants)
    if (away.min(0) > TOLERANCE_US).any():
        worst = int(away.min(0).argmax())
        raise DataError(f"{path}: not written: no frame ends at the label at {instants[worst]} us")
    return near[away.argmin(0), np.arange(len(instants))]


def _write_frames(path: Path, file: Path, frames: Iterable[np.ndarray]) -> int:
    """Write the frames one by one and return how many there were."""
    h5py, compression = optional_module("h5py", "events"), optional_module("hdf5plugin", "events")
    compression, count = compression.Blosc(cname="zstd", clevel=1), 0
    with h5py.File(file, "w") as content:
        data = None
        for frame in frames:
            if data is None:
                chunk = (1, *frame.shape)
                data = content.create_dataset(
                    "data", (0, *frame.shape), np.uint8, chunks=chunk, maxshape=(None, *frame.shape), **compression
                )
            if frame.shape != data.shape[1:] or frame.dtype != np.uint8:
                raise DataError(f"{path}: not written: frame {count} is {frame.dtype} {frame.shape}")
            data.resize(count + 1, axis=0)
            data[count] = frame
            count += 1
        if data is None:
            raise DataError(f"{path}: not written: no frames")
    return count


def _check(path: Path, count: int, end_us: np.ndarray, label_frames: np.ndarray, first: np.ndarray) -> None:
    """Raises DataError unless the files of a sequence fit each other."""
    wrong = ""
    if not count:
        wrong = "no frames"
    elif end_us.shape != (count,) or (np.diff(end_us) <= 0).any() or not 0 <= end_us[0] <= end_us[-1] < LATEST_US:
        wrong = f"{count} frames, but {end_us.size} times, or times that do not rise from 0 on"
    elif label_frames.ndim != 1 or len(label_frames) != len(first) - 1:
        wrong = f"{label_frames.size} frames of labels, but {len(first) - 1} labelled instants"
    elif len(label_frames) and (label_frames.min() < 0 or label_frames.max() >= count):
        wrong = f"a label at frame {label_frames.max() if label_frames.min() >= 0 else label_frames.min()} of {count}"
    elif (np.diff(label_frames) <= 0).any() or (np.diff(first) < 0).any() or first[0] != 0:
        wrong = "labelled instants that are not in order"
    if wrong:
        raise DataError(f"{path}: not a prepared sequence: {wrong}")


def _integers(file: Path) -> np.ndarray:
    return _as_int64(file, load_numpy(file))


def _as_int64(file: Path, content: object) -> np.ndarray:
    if not isinstance(content, np.ndarray) or content.dtype.kind not in "iu":
        raise DataError(f"{file}: not an array of integers")
    return content.astype(np.int64)
