"""A generated image data set in YOLO layout: `data.yaml`, `images/{train,val}`, `labels/{train,val}`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from ..errors import ConfigError
from .folder import GeneratedData
from .scene import CLASS_NAMES, Difficulty, Scene, random_scene

SPLITS = ("train", "val")
# A change of the drawing that changes images raises this, so that an older folder is made again.
VERSION = 2
_JPEG_QUALITY = 92


@dataclass(frozen=True)
class ShapesConfig:
    """What to generate. The i-th image of a split depends on seed, size and difficulty only, not on the counts.

    Attributes:
        seed: where all randomness comes from, at least 0.
        train: images to train on.
        val: images to evaluate on.
        size: rows and columns of each image, in pixels.
        difficulty: how hard the images are.

    Raises:
        ConfigError: a value out of range.
    """

    seed: int = 0
    train: int = 1600
    val: int = 200
    size: int = 128
    difficulty: Difficulty = field(default_factory=Difficulty)

    def __post_init__(self) -> None:
        for name, lowest in (("seed", 0), ("train", 1), ("val", 1), ("size", 32)):
            if getattr(self, name) < lowest:
                raise ConfigError(f"{name}: {getattr(self, name)} is below {lowest}")


def shapes_scene(config: ShapesConfig, split: str, index: int) -> Scene:
    """Return the scene of one image of the data set."""
    rng = np.random.default_rng([config.seed, SPLITS.index(split), index])
    return random_scene(rng, (config.size, config.size), config.difficulty)


def yolo_lines(boxes: np.ndarray, labels: np.ndarray, size_hw: tuple[int, int]) -> str:
    """Return boxes (N, 4) xyxy in pixels as lines of `class cx cy width height`, shares of the image's sides."""
    sides = np.array([size_hw[1], size_hw[0]], dtype=np.float64)
    centres, spans = (boxes[:, :2] + boxes[:, 2:]) / 2 / sides, (boxes[:, 2:] - boxes[:, :2]) / sides
    rows = zip(labels.tolist(), centres.tolist(), spans.tolist(), strict=True)
    return "".join(f"{label} {x:.6f} {y:.6f} {w:.6f} {h:.6f}\n" for label, (x, y), (w, h) in rows)


def shapes_complete(root: str | os.PathLike[str], config: ShapesConfig) -> bool:
    """Return whether the folder holds this very data set with no file missing."""
    return _data_set(config).is_complete(Path(root))


def write_shapes(
    root: str | os.PathLike[str],
    config: ShapesConfig | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the data set, unless the folder already holds it whole; see `GeneratedData.write_all`.

    Args:
        root: the folder to make.
        config: what to generate.
        progress: called with images done and images in all.

    Returns:
        The path of `data.yaml`.

    Raises:
        DataError: `root` exists and was not made by this generator.
        WriteError: it cannot be written.
    """
    return _data_set(config or ShapesConfig()).write_all(Path(root), progress)


def _data_set(config: ShapesConfig) -> GeneratedData:
    names = "".join(f"  {index}: {name}\n" for index, name in enumerate(CLASS_NAMES))
    description = f"# Generated images of shapes\npath: .\ntrain: images/train\nval: images/val\nnames:\n{names}"
    write = partial(_write_image, config)
    return GeneratedData("spikeyolo shapes", VERSION, config, SPLITS, _files, write, description)


def _files(root: Path, split: str, index: int) -> tuple[Path, Path]:
    return root / "images" / split / f"{index:06d}.jpg", root / "labels" / split / f"{index:06d}.txt"


def _write_image(config: ShapesConfig, root: Path, split: str, index: int) -> None:
    import cv2

    scene = shapes_scene(config, split, index)
    image_file, label_file = _files(root, split, index)
    bgr = np.ascontiguousarray(scene.image[..., ::-1])
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    image_file.write_bytes(encoded.tobytes())
    size_hw = (scene.image.shape[0], scene.image.shape[1])
    label_file.write_text(yolo_lines(scene.boxes, scene.labels, size_hw))
