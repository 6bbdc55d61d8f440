"""What is written about each frame: drawn images and videos, JSON, YOLO text, crops; nothing is kept in memory."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from ..errors import DataError
from ..imaging.draw import draw_boxes
from ..imaging.io import write_rgb
from ..structures import Detections
from .sources import Clip, Frame


@dataclass(frozen=True)
class Found:
    """What was found on a frame.

    Attributes:
        frame: the frame.
        detections: on the CPU, boxes in pixels of the frame.
        track_ids: a number for each detection that stays with its object, where tracking is on.
    """

    frame: Frame
    detections: Detections
    track_ids: tuple[int, ...] | None = None


class Writer(ABC):
    """Writes something about each frame; a context manager that finishes its files however the run ends."""

    @abstractmethod
    def write(self, found: Found) -> None:
        """Takes one frame; frames of a clip come in order, clip after clip."""

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class DrawingWriter(Writer):
    """Frames with boxes drawn on them: OUT/NAME.jpg for an image, OUT/NAME.mp4 for a video."""

    def __init__(self, folder: Path, names: Sequence[str]):
        self.folder, self.names = folder, names
        self._clip: Clip | None = None
        self._video: Any = None

    def write(self, found: Found) -> None:
        frame, detections, times = found.frame, found.detections, found.frame.clip.enlarged
        image = frame.image.repeat(times, axis=0).repeat(times, axis=1)
        boxes = detections.boxes * times
        drawn = draw_boxes(image, boxes, detections.labels, self.names, detections.scores, found.track_ids)
        if not frame.clip.moving:
            write_rgb(self.folder / f"{frame.clip.name}.jpg", drawn)
            return
        if frame.clip is not self._clip:
            self._finish()
            self._clip, self._video = frame.clip, _open_video(self.folder / f"{frame.clip.name}.mp4", frame.clip, drawn)
        self._video.write(np.ascontiguousarray(drawn[..., ::-1]))

    def _finish(self) -> None:
        if self._video is not None:
            self._video.release()
            self._video = None

    def __exit__(self, *_: object) -> None:
        self._finish()


def _open_video(path: Path, clip: Clip, drawn: np.ndarray) -> Any:
    import cv2

    rows, columns = drawn.shape[:2]
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), clip.fps, (columns, rows))
    if not video.isOpened():
        raise DataError(f"{path}: cannot be written as a video")
    return video


class JsonWriter(Writer):
    """One JSON list with an object for each frame, written as the frames come and valid however the run ends."""

    def __init__(self, path: Path, names: Sequence[str]):
        self.path, self.names = path, names
        self._file: IO[str] | None = None
        self._separator = "[\n"

    def __enter__(self) -> Writer:
        try:
            self._file = self.path.open("w", encoding="utf-8")
        except OSError as error:
            raise DataError(f"{self.path}: cannot be written ({error.strerror})") from error
        return self

    def write(self, found: Found) -> None:
        assert self._file is not None
        rows, columns = found.frame.image.shape[:2]
        entry = {
            "source": found.frame.clip.source,
            "frame": found.frame.index,
            **({} if found.frame.t_us is None else {"t_us": found.frame.t_us}),
            "width": columns,
            "height": rows,
            "detections": [self._entry(found, i) for i in range(len(found.detections))],
        }
        self._file.write(self._separator + json.dumps(entry))
        self._separator = ",\n"

    def _entry(self, found: Found, i: int) -> dict[str, object]:
        label = int(found.detections.labels[i])
        return {
            "box": [round(float(v), 2) for v in found.detections.boxes[i]],
            "score": round(float(found.detections.scores[i]), 5),
            "label": label,
            "name": self.names[label],
            **({} if found.track_ids is None else {"track": found.track_ids[i]}),
        }

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.write("[]\n" if self._separator == "[\n" else "\n]\n")
            self._file.close()


class TextWriter(Writer):
    """YOLO text, OUT/labels/NAME.txt (NAME_000012.txt for frame 12 of a video).

    A line a box: class, centre and size as shares of the image, score, and with tracking the track number. A frame
    without detections gets an empty file.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def write(self, found: Found) -> None:
        rows, columns = found.frame.image.shape[:2]
        lines = []
        for i, (x1, y1, x2, y2) in enumerate(found.detections.boxes.tolist()):
            shares = ((x1 + x2) / 2 / columns, (y1 + y2) / 2 / rows, (x2 - x1) / columns, (y2 - y1) / rows)
            words = [str(int(found.detections.labels[i])), *(f"{share:.6f}" for share in shares)]
            words.append(f"{float(found.detections.scores[i]):.5f}")
            lines.append(" ".join(words + ([] if found.track_ids is None else [str(found.track_ids[i])])))
        path = self.folder / f"{_frame_name(found.frame)}.txt"
        try:
            path.write_text("".join(f"{line}\n" for line in lines))
        except OSError as error:
            raise DataError(f"{path}: cannot be written ({error.strerror})") from error


class CropWriter(Writer):
    """What each box shows, OUT/crops/CLASS/NAME_N.jpg."""

    def __init__(self, folder: Path, names: Sequence[str]):
        self.folder, self.names = folder, names

    def write(self, found: Found) -> None:
        image = found.frame.image
        rows, columns = image.shape[:2]
        for i, (x1, y1, x2, y2) in enumerate(found.detections.boxes.tolist()):
            left, top = max(int(x1), 0), max(int(y1), 0)
            right, bottom = min(int(np.ceil(x2)), columns), min(int(np.ceil(y2)), rows)
            if left >= right or top >= bottom:
                continue
            # A class name may hold what a file name may not.
            safe = "".join(
                c if c.isalnum() or c in "-_ ." else "_" for c in self.names[int(found.detections.labels[i])]
            )
            folder = self.folder / (safe.strip(". ") or "_")
            folder.mkdir(exist_ok=True)
            write_rgb(folder / f"{_frame_name(found.frame)}_{i}.jpg", image[top:bottom, left:right])


def _frame_name(frame: Frame) -> str:
    return f"{frame.clip.name}_{frame.index:06d}" if frame.clip.moving else frame.clip.name


class Writers(Writer):
    """Several writers as one."""

    def __init__(self, writers: Sequence[Writer]):
        self._writers = writers
        self._stack = ExitStack()

    def __enter__(self) -> Writer:
        for writer in self._writers:
            self._stack.enter_context(writer)
        return self

    def write(self, found: Found) -> None:
        for writer in self._writers:
            writer.write(found)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
