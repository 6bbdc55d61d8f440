"""A generated video of moving shapes, to try `predict` on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import ConfigError, DataError
from .scene import Difficulty, Scene, Shape, background, paint, random_shape, take_photo, visible_boxes, visible_owner

# What the OpenCV wheel writes and reads back without the system's own codecs (H.264 is not among them).
CODECS = {".mp4": "mp4v", ".avi": "MJPG"}


def _bounced(position: float, low: float, high: float) -> float:
    """A position on a line folded back into low..high, as a ball between two walls moves."""
    span = max(high - low, 1e-9)
    along = (position - low) % (2 * span)
    return low + min(along, 2 * span - along)


def _at(shape: Shape, velocity: np.ndarray, frame: int, size_hw: tuple[int, int]) -> Shape:
    """The shape after `frame` steps of velocity (3,): pixels along x and y, radians."""
    x, y = (
        _bounced(start + speed * frame, min(shape.radius, side / 2), max(side - shape.radius, side / 2))
        for start, speed, side in zip(shape.centre_xy, velocity[:2], (size_hw[1], size_hw[0]), strict=True)
    )
    return shape.moved(x, y, shape.angle + float(velocity[2]) * frame)


def moving_scenes(
    frames: int,
    size_hw: tuple[int, int] = (256, 256),
    shapes: int = 5,
    seed: int = 0,
    difficulty: Difficulty | None = None,
) -> Iterator[Scene]:
    """Draw shapes that drift, turn and bounce off the borders before a still background; later shapes are nearer.

    Shapes cover each other by the occlusion rule of the images: one that would hide too much of another is not
    drawn for as long. Memory does not grow with the number of frames.
    """
    difficulty = difficulty or Difficulty()
    rng = np.random.default_rng([seed, len(CODECS)])
    ground = background(rng, size_hw, difficulty)
    mean = ground.mean(axis=(0, 1))
    actors = [random_shape(rng, size_hw, difficulty, mean) for _ in range(shapes)]
    speeds = rng.uniform(-0.015, 0.015, size=(shapes, 2)) * min(size_hw)
    velocities = np.concatenate([speeds, rng.uniform(-0.08, 0.08, size=(shapes, 1))], axis=1)
    camera_seed = int(rng.integers(2**31))
    for frame in range(frames):
        moved = [_at(shape, velocity, frame, size_hw) for shape, velocity in zip(actors, velocities, strict=True)]
        owner, drawn = visible_owner(moved, size_hw)
        # The same camera for the whole video: only the noise differs from frame to frame, which the encoder smooths.
        camera = np.random.default_rng(camera_seed)
        image = take_photo(camera, paint(ground, owner, drawn), difficulty)
        labels = np.array([shape.label for shape in drawn], dtype=np.int64)
        yield Scene(image, owner, visible_boxes(owner, len(drawn)), labels)


def write_video(
    path: str | os.PathLike[str],
    frames: int = 100,
    size_hw: tuple[int, int] = (256, 256),
    fps: float = 25.0,
    shapes: int = 5,
    seed: int = 0,
) -> Path:
    """Write a video of moving shapes.

    Args:
        path: ends in `.mp4` (MPEG-4) or `.avi` (Motion JPEG).
        frames: how many, at least 1.
        size_hw: rows and columns, both even.
        fps: frames a second.
        shapes: how many move.
        seed: where all randomness comes from.

    Raises:
        ConfigError: another ending, or a size or count that no video can have.
        DataError: the file cannot be written.
    """
    import cv2

    path = Path(path)
    if path.suffix.lower() not in CODECS:
        raise ConfigError(f"{path}: a video ends in {' or '.join(CODECS)}")
    if frames < 1 or fps <= 0 or size_hw[0] % 2 or size_hw[1] % 2 or min(size_hw) < 32:
        raise ConfigError(f"{path}: {frames} frames of {size_hw} at {fps} a second; sizes are even and at least 32")
    # The ending decides the container, so it stays on the name that is written first.
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    writer = cv2.VideoWriter(
        str(partial), cv2.VideoWriter.fourcc(*CODECS[path.suffix.lower()]), fps, (size_hw[1], size_hw[0])
    )
    if not writer.isOpened():
        raise DataError(f"{path}: cannot be written as a video")
    try:
        for scene in moving_scenes(frames, size_hw, shapes, seed):
            writer.write(np.ascontiguousarray(scene.image[..., ::-1]))
    finally:
        writer.release()
    partial.replace(path)
    return path
