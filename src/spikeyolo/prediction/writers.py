"""What is written about each frame: drawn images and videos, JSON, YOLO text, crops; nothing is kept in memory."""

from __future__ import annotations

import json
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

from ..errors import WriteError
from ..files import own_folder, whole_file, whole_path, write_whole
from ..imaging.io import write_rgb
from ..paths import writable
from ..text import folder_names
from .result import FrameResult
from .sources import Frame, Source

SPARE_BYTES = 2**16
LINE_ENDINGS = (".jsonl", ".ndjson")


class Writer(ABC):
    """Writes something about each frame; a context manager that finishes its files however the run ends."""

    @abstractmethod
    def write(self, result: FrameResult) -> None:
        """Take one frame; frames of a source come in order, source after source."""

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class DrawingWriter(Writer):
    """Frames with boxes drawn on them: OUT/NAME.jpg for an image, OUT/NAME.mp4 for a video."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._source: Source | None = None
        self._video = ExitStack()
        self._add: Callable[[np.ndarray], None] | None = None

    def write(self, result: FrameResult) -> None:
        frame, drawn = result.frame, result.plot()
        if not frame.source.moving:
            write_rgb(self.folder / f"{frame.source.name}.jpg", drawn)
            return
        if frame.source is not self._source:
            self._video.close()
            path = self.folder / f"{frame.source.name}.mp4"
            self._add = self._video.enter_context(video_file(path, frame.source.fps, drawn.shape[:2]))
            self._source = frame.source
        assert self._add is not None
        self._add(drawn)

    def __exit__(self, *_: object) -> None:
        self._video.close()  # what there is of a video is kept however the run ends


@contextmanager
def video_file(path: Path, fps: float, size_hw: tuple[int, ...]) -> Iterator[Callable[[np.ndarray], None]]:
    """Write an mp4 whole or not at all; yields a function that takes its frames, (H, W, 3) uint8 RGB.

    Raises:
        WriteError: it cannot be written.
    """
    import cv2

    frames = 0

    def add(image: np.ndarray) -> None:
        nonlocal frames
        frames += 1
        # OpenCV says nothing of a full disk: look now and then, and at what is there in the end.
        if frames % 32 == 0 and shutil.disk_usage(path.parent).free < SPARE_BYTES:
            raise WriteError(f"{path}: cannot be written (no space left on device); nothing was changed")
        video.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))

    with whole_path(path) as partial, writable(partial) as name:
        video = cv2.VideoWriter(name, cv2.VideoWriter.fourcc(*"mp4v"), fps, size_hw[::-1])
        if not video.isOpened():
            raise WriteError(f"{path}: cannot be written as a video")
        try:
            yield add
        finally:
            video.release()
        written = cv2.VideoCapture(name)
        there = int(written.get(cv2.CAP_PROP_FRAME_COUNT)) if written.isOpened() else 0
        written.release()
        if there < frames:
            raise WriteError(f"{path}: cannot be written ({there} of {frames} frames are there); is the disk full?")


class JsonWriter(Writer):
    """One JSON list with an object for each frame, written as the frames come and valid however the run ends."""

    def __init__(self, path: Path):
        self.path = path
        self._stack = ExitStack()
        self._file: BinaryIO | None = None
        self._separator = "[\n"

    def __enter__(self) -> Writer:
        self._file = self._stack.enter_context(whole_file(self.path))
        return self

    def write(self, result: FrameResult) -> None:
        assert self._file is not None
        entry = json.dumps(result.to_dict())
        try:
            self._file.write(f"{self._separator}{entry}".encode())
        except OSError:
            self._file = None
            with self._stack:  # what is half-written goes, and the error names the file
                raise
        self._separator = ",\n"

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            with self._stack:
                self._file.write(b"[]\n" if self._separator == "[\n" else b"\n]\n")


class LinesWriter(Writer):
    """A line of JSON for each frame, there as soon as it is found: for programs that go on with it at once.

    A line holds what an entry of `JsonWriter` does, and of a recording `latency_ms`. What is written stays however the
    run ends.

    Args:
        path: the file; None: standard output.
    """

    def __init__(self, path: Path | None):
        self.path = path
        self._stack = ExitStack()
        self._file: Any = None

    def __enter__(self) -> Writer:
        if self.path is None:
            self._file = sys.stdout
        else:
            with _naming(self.path):
                self._file = self._stack.enter_context(open(self.path, "w", encoding="utf-8"))
        return self

    def write(self, result: FrameResult) -> None:
        latency = {} if result.latency_ms is None else {"latency_ms": round(result.latency_ms, 3)}
        with nullcontext() if self.path is None else _naming(self.path):  # who closes a pipe has had enough
            print(json.dumps(result.to_dict() | latency), file=self._file, flush=True)

    def __exit__(self, *_: object) -> None:
        self._stack.close()


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(f"{path}: cannot be written ({error.strerror}); what was found before is there") from error


class TextWriter(Writer):
    """YOLO text, OUT/labels/NAME.txt (NAME_000012.txt for frame 12 of a video).

    A line a box: class, centre and size as shares of the image, score, and with tracking the track number. A frame
    without detections gets an empty file.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def write(self, result: FrameResult) -> None:
        rows, columns = result.frame.size_hw
        lines = []
        for i, (x1, y1, x2, y2) in enumerate(result.detections.boxes.tolist()):
            shares = ((x1 + x2) / 2 / columns, (y1 + y2) / 2 / rows, (x2 - x1) / columns, (y2 - y1) / rows)
            words = [str(int(result.detections.labels[i])), *(f"{share:.6f}" for share in shares)]
            words.append(f"{float(result.detections.scores[i]):.5f}")
            lines.append(" ".join(words + ([] if result.track_ids is None else [str(result.track_ids[i])])))
        content = "".join(f"{line}\n" for line in lines)
        write_whole(self.folder / f"{_frame_name(result.frame)}.txt", content.encode())


class CropWriter(Writer):
    """What each box shows, OUT/crops/CLASS/NAME_N.jpg."""

    def __init__(self, folder: Path, names: Sequence[str]):
        self.folder, self.folders = folder, folder_names(names)

    def write(self, result: FrameResult) -> None:
        for i, shown in enumerate(result.detections.crop(result.frame.image)):
            if shown.size == 0:  # the box lies beside the image
                continue
            folder = own_folder(self.folder, self.folders[int(result.detections.labels[i])])
            write_rgb(folder / f"{_frame_name(result.frame)}_{i}.jpg", shown)


def _frame_name(frame: Frame) -> str:
    return f"{frame.source.name}_{frame.index:06d}" if frame.source.moving else frame.source.name


class Writers(Writer):
    """Several writers as one."""

    def __init__(self, writers: Sequence[Writer]):
        self._writers = writers
        self._stack = ExitStack()

    def __enter__(self) -> Writer:
        for writer in self._writers:
            self._stack.enter_context(writer)
        return self

    def write(self, result: FrameResult) -> None:
        for writer in self._writers:
            writer.write(result)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
