"""Where images come from: files, folders, globs, videos and cameras, one frame at a time."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..imaging.io import read_rgb

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")


@dataclass(frozen=True)
class Frame:
    """One image to look at.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        clip: what it is part of.
        index: its place in the clip, from 0.
        t_us: of a recording, the time up to which events were seen.
    """

    image: np.ndarray
    clip: Clip
    index: int
    t_us: int | None = None


@dataclass(frozen=True)
class Clip:
    """An image file, a video file or a camera.

    Attributes:
        source: as the user named it, or the file found in a folder.
        name: for the files written about it; no two clips of a run share one.
        moving: a video or camera, of which several frames follow each other in time.
        enlarged: each pixel is drawn as so many, along x and y: event cameras have few.
    """

    source: str
    name: str
    moving: bool
    enlarged: int = 1

    def frames(self) -> Iterator[Frame]:
        """Its frames, read one by one.

        Raises:
            DataError: it cannot be read.
        """
        if self.moving:
            yield from _video_frames(self)
        else:
            yield Frame(read_rgb(self.source), self, 0)

    @property
    def fps(self) -> float:
        """Frames a second that a video says it has; 25 where it says nothing sensible."""
        if not self.moving:
            return 25.0
        capture = _open(self)
        try:
            import cv2

            fps = capture.get(cv2.CAP_PROP_FPS)
        finally:
            capture.release()
        return fps if 0 < fps < 1000 else 25.0


def find_clips(sources: Sequence[str | os.PathLike[str]]) -> list[Clip]:
    """The clips that files, folders, glob patterns, camera numbers and stream addresses stand for, in a fixed order.

    Raises:
        DataError: a source that is not there, that is neither image nor video, or a folder without either.
    """
    found: list[tuple[str, bool]] = []
    for source in (os.fspath(source) for source in sources):
        if source.isdecimal() or "://" in source:
            found.append((source, True))
        elif os.path.isdir(source):
            inside = [str(path) for path in sorted(Path(source).rglob("*")) if _kind(path) is not None]
            if not inside:
                raise DataError(f"{source}: no images or videos in this folder ({', '.join(IMAGES + VIDEOS)})")
            found += [(path, _kind(Path(path)) == "video") for path in inside]
        elif os.path.isfile(source):
            kind = _kind(Path(source))
            if kind is None:
                raise DataError(f"{source}: neither an image ({', '.join(IMAGES)}) nor a video ({', '.join(VIDEOS)})")
            found.append((source, kind == "video"))
        elif glob.has_magic(source):
            matches = [path for path in sorted(glob.glob(source, recursive=True)) if _kind(Path(path)) is not None]
            if not matches:
                raise DataError(f"{source}: no image or video matches this pattern")
            found += [(path, _kind(Path(path)) == "video") for path in matches]
        else:
            raise DataError(f"{source}: no such file or folder")
    return _named(found)


def _kind(path: Path) -> str | None:
    suffix = path.suffix.lower()
    return "image" if suffix in IMAGES else "video" if suffix in VIDEOS else None


def _named(found: list[tuple[str, bool]]) -> list[Clip]:
    """Clips whose names are file names without ending; those that would share one are numbered."""
    clips, taken = [], set()
    for source, moving in found:
        stem = f"camera{source}" if source.isdecimal() else Path(source).stem or "stream"
        name, number = stem, 2
        while name in taken:
            name, number = f"{stem}_{number}", number + 1
        taken.add(name)
        clips.append(Clip(source, name, moving))
    return clips


def _open(clip: Clip):  # type: ignore[no-untyped-def] # cv2.VideoCapture, whose import costs 0.1 s
    import cv2

    capture = cv2.VideoCapture(int(clip.source) if clip.source.isdecimal() else clip.source)
    if not capture.isOpened():
        what = "no camera of this number" if clip.source.isdecimal() else "a video that OpenCV cannot open"
        raise DataError(f"{clip.source}: {what}")
    return capture


def _video_frames(clip: Clip) -> Iterator[Frame]:
    import cv2

    capture = _open(clip)
    try:
        index = 0
        while True:
            read, image = capture.read()
            if not read:
                break
            yield Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), clip, index)
            index += 1
    finally:
        capture.release()
    if index == 0:
        raise DataError(f"{clip.source}: a video without a frame that can be read")
