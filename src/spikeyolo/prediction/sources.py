"""Where images come from: files, folders, globs, addresses, arrays, videos, cameras, recordings; a frame at a time."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..errors import DataError
from ..events import READERS, EventInput, is_recording
from ..events.live import STANDARD_INPUT
from ..imaging.given import as_rgb
from ..imaging.image_input import ImageInput
from ..imaging.io import IMAGE_SUFFIXES
from ..imaging.web import is_address, name_in
from ..paths import readable
from ..reading import file_kind, files_below
from ..text import cut_to_bytes, with_bytes_escaped

Kind = Literal["image", "video", "camera", "recording"]
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
DEFAULT_FPS, MAX_FPS = 25.0, 1000.0
LONGEST_NAME = 220
"""Bytes of a source's name; 255 are allowed for what is written about it: `NAME_0000012_345.jpg` and the like."""


@dataclass(frozen=True)
class Frame:
    """One image of a source.

    Attributes:
        source: what it is part of.
        index: its place in the source, from 0.
        size_hw: rows and columns.
        draw: gives the image; called when the image is first asked for, and once.
        t_us: of a recording, the time up to which events were seen.
    """

    source: Source
    index: int
    size_hw: tuple[int, int]
    draw: Callable[[], np.ndarray]
    t_us: int | None = None

    @cached_property
    def image(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        return self.draw()

    @classmethod
    def of(cls, image: np.ndarray, source: Source, index: int = 0) -> Frame:
        """Return the frame of an image that is there already."""
        return cls(source, index, (image.shape[0], image.shape[1]), lambda: image)


@dataclass(frozen=True)
class Source:
    """An image file, a video file, a camera or a recording.

    Attributes:
        path: as the user named it, or the file found in a folder.
        name: for the files written about it; no two sources of a run share one.
        kind: what it is.
        enlarged: each pixel is drawn as so many, along x and y: event cameras have few.
        step_us: of a recording, the time from one frame to the next.
        given: the image itself, where it is in memory: an array, one of PIL, or a tensor.
    """

    path: str
    name: str
    kind: Kind
    enlarged: int = 1
    step_us: int | None = None
    given: Any = field(default=None, repr=False, compare=False)

    @property
    def is_file(self) -> bool:
        """Whether it lies on this computer."""
        elsewhere = self.kind == "camera" or self.path == STANDARD_INPUT or is_address(self.path)
        return self.given is None and not elsewhere

    @property
    def can_be_read_again(self) -> bool:
        """Whether it is a still image whose pixels need not be kept."""
        return self.kind == "image" and self.is_file

    def read(self) -> np.ndarray:
        """Return the pixels of a still image, (H, W, 3) uint8 RGB.

        Raises:
            DataError: it cannot be read.
            ShapeError: an array or tensor that is no image.
        """
        return as_rgb(self.path if self.given is None else self.given)

    @property
    def moving(self) -> bool:
        """Whether several frames follow each other in time."""
        return self.kind != "image"

    @property
    def input_kind(self) -> str:
        """The kind of input that sees it."""
        return EventInput.kind if self.kind == "recording" else ImageInput.kind

    def frames(self) -> Iterator[Frame]:
        """Yield the frames of an image, video or camera, read one by one.

        Raises:
            DataError: it cannot be read.
        """
        if self.moving:
            yield from _video_frames(self)
        else:
            yield Frame.of(self.read(), self)

    @property
    def fps(self) -> float:
        """Frames a second: a recording's own pace, what a video says, and 25 where it says nothing sensible."""
        if self.step_us is not None:
            return min(1e6 / self.step_us, MAX_FPS)
        if not self.moving:
            return DEFAULT_FPS
        import cv2

        with _opened(self) as capture:
            fps = capture.get(cv2.CAP_PROP_FPS)
        return fps if 0 < fps < MAX_FPS else DEFAULT_FPS


def find_sources(paths: Sequence[Any]) -> list[Source]:
    """Return what files, folders, glob patterns, camera numbers and addresses stand for, in a fixed order.

    An address of the web that ends as image files do is an image, another one a stream. Images in memory are taken
    too: arrays, those of PIL, tensors (3, H, W), and those of a tensor (B, 3, H, W), each for itself. "-" is a
    recording on standard input.

    Raises:
        DataError: a path that is not there, that is nothing that can be looked at, or a folder without such files.
    """
    found: list[tuple[str, Kind]] = []
    in_memory: dict[int, Any] = {}
    for given in paths:
        if not isinstance(given, str | os.PathLike):
            for image in given if getattr(given, "ndim", 3) == 4 else [given]:
                found.append((f"image{len(in_memory)}", "image"))
                in_memory[len(found) - 1] = image
            continue
        path = os.fspath(given)
        if path == STANDARD_INPUT:
            found.append((path, "recording"))
        elif is_address(path) and Path(name_in(path)).suffix.lower() in IMAGE_SUFFIXES:
            found.append((path, "image"))
        elif (path.isdecimal() and len(path) <= 4) or "://" in path:
            found.append((path, "camera"))
        elif os.path.isdir(path):
            found += _of_kinds(map(Path, files_below(path)), f"{path}: nothing to look at in this folder ({_known()})")
        elif os.path.isfile(path):
            found += _of_kinds([Path(path)], f"{path}: nothing to look at ({_known()})")
        elif glob.has_magic(path):
            matches = map(Path, sorted(glob.glob(path, recursive=True)))
            found += _of_kinds(matches, f"{path}: nothing to look at matches this pattern ({_known()})")
        else:
            what = "is a pipe or device, not a file" if file_kind(path) else "no such file or folder"
            raise DataError(f"{path}: {what}")
    return [replace(source, given=in_memory.get(i)) for i, source in enumerate(_named(found))]


def kind_of(sources: Sequence[Source]) -> str | None:
    """Return what an input must be of to see these sources, "images" or "recordings"; None where both are there."""
    kinds = {source.input_kind for source in sources}
    return kinds.pop() if len(kinds) == 1 else None


def divided(sources: Sequence[Source], kind: str) -> tuple[list[Source], list[str]]:
    """Return the sources that an input of this kind sees, and a line for each kind of the others."""
    taken = [source for source in sources if source.input_kind == kind]
    others: dict[Kind, list[Source]] = {}
    for source in sources:
        if source.input_kind != kind:
            others.setdefault(source.kind, []).append(source)
    lines = [
        f"left out: {len(those)} {what}{'s' if len(those) > 1 else ''}, such as {those[0].path}; the model sees {kind}"
        for what, those in others.items()
    ]
    return taken, lines


def _known() -> str:
    kinds = {"images": IMAGE_SUFFIXES, "videos": VIDEO_SUFFIXES, "recordings": READERS}
    return "; ".join(f"{kind}: {', '.join(sorted(suffixes))}" for kind, suffixes in kinds.items())


def _of_kinds(paths: Iterable[Path], otherwise: str) -> list[tuple[str, Kind]]:
    found = [(str(path), kind) for path in paths if (kind := _kind(path)) is not None]
    if not found:
        raise DataError(otherwise)
    return found


def _kind(path: Path) -> Kind | None:
    suffix = path.suffix.lower()
    if os.path.isdir(path):  # False too where it may not be asked
        return None
    if suffix in IMAGE_SUFFIXES:
        return "image"
    if suffix in VIDEO_SUFFIXES:
        return "video"
    return "recording" if is_recording(path) else None


def _named(found: list[tuple[str, Kind]]) -> list[Source]:
    """Sources whose names are file names without ending, not too long; those that would share one are numbered."""
    sources, taken = [], set()
    for path, kind in found:
        stem = f"camera{path}" if path.isdecimal() else _stem(path) or "stream"
        stem = "stdin" if path == STANDARD_INPUT else stem
        # An image keeps its name, byte for byte, so that its labels are found; OpenCV writes videos, and knows Unicode.
        stem = cut_to_bytes(stem if kind == "image" else with_bytes_escaped(stem), LONGEST_NAME)
        name, number = stem, 2
        while name in taken:
            name, number = f"{stem}_{number}", number + 1
        taken.add(name)
        sources.append(Source(path, name, kind))
    return sources


def _stem(path: str) -> str:
    """The name of a file without its ending; of an address, without what no file name may hold."""
    return re.sub(r"[^\w.() -]", "_", Path(name_in(path)).stem) if is_address(path) else Path(path).stem


@contextmanager
def _opened(source: Source):  # type: ignore[no-untyped-def] # cv2.VideoCapture, whose import costs 0.1 s
    import cv2

    with readable(source.path) as path:
        capture = cv2.VideoCapture(int(path) if path.isdecimal() else path)
        try:
            if not capture.isOpened():
                what = "no camera of this number" if path.isdecimal() else "a video that OpenCV cannot open"
                raise DataError(f"{source.path}: {what}")
            yield capture
        finally:
            capture.release()


def _video_frames(source: Source) -> Iterator[Frame]:
    import cv2

    index = 0
    with _opened(source) as capture:
        while True:
            read, image = capture.read()
            if not read:
                break
            yield Frame.of(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), source, index)
            index += 1
    if index == 0:
        raise DataError(f"{source.path}: a video without a frame that can be read")
