"""A generated image data set in YOLO layout: `data.yaml`, `images/{train,val}`, `labels/{train,val}`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError
from .folder import is_generated, record_of, replace_folder
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
        for name, least in (("seed", 0), ("train", 1), ("val", 1), ("size", 32)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name}: {getattr(self, name)} is below {least}")


def shapes_scene(config: ShapesConfig, split: str, index: int) -> Scene:
    """The scene of one image of the data set."""
    rng = np.random.default_rng([config.seed, SPLITS.index(split), index])
    return random_scene(rng, (config.size, config.size), config.difficulty)


def yolo_lines(boxes: np.ndarray, labels: np.ndarray, size_hw: tuple[int, int]) -> str:
    """Boxes (N, 4) xyxy in pixels as lines of `class cx cy width height`, shares of the image's sides."""
    sides = np.array([size_hw[1], size_hw[0]], dtype=np.float64)
    centres, spans = (boxes[:, :2] + boxes[:, 2:]) / 2 / sides, (boxes[:, 2:] - boxes[:, :2]) / sides
    rows = zip(labels.tolist(), centres.tolist(), spans.tolist(), strict=True)
    return "".join(f"{label} {x:.6f} {y:.6f} {w:.6f} {h:.6f}\n" for label, (x, y), (w, h) in rows)


def _record(config: ShapesConfig) -> dict[str, Any]:
    return record_of("spikeyolo shapes", VERSION, config)


def is_complete(root: str | os.PathLike[str], config: ShapesConfig) -> bool:
    """Whether the folder holds this very data set with no file missing."""
    root = Path(root)
    if not is_generated(root, _record(config), same_settings=True):
        return False
    for split in SPLITS:
        names = {f"{index:06d}" for index in range(getattr(config, split))}
        for kind, suffix in (("images", ".jpg"), ("labels", ".txt")):
            if {path.stem for path in (root / kind / split).glob(f"*{suffix}")} != names:
                return False
    return (root / "data.yaml").is_file()


def _write_image(root: Path, split: str, index: int, scene: Scene) -> None:
    import cv2

    bgr = np.ascontiguousarray(scene.image[..., ::-1])
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    (root / "images" / split / f"{index:06d}.jpg").write_bytes(encoded.tobytes())
    size_hw = (scene.image.shape[0], scene.image.shape[1])
    (root / "labels" / split / f"{index:06d}.txt").write_text(yolo_lines(scene.boxes, scene.labels, size_hw))


def _data_yaml() -> str:
    names = "".join(f"  {index}: {name}\n" for index, name in enumerate(CLASS_NAMES))
    return f"# Generated images of shapes\npath: .\ntrain: images/train\nval: images/val\nnames:\n{names}"


def write_shapes(
    root: str | os.PathLike[str],
    config: ShapesConfig | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Writes the data set, unless the folder already holds it whole.

    All is written to a folder beside `root` which is renamed at the end, so `root` is never seen half-written; what a
    killed run has left is cleared. A folder of this generator with other settings or with files missing is made again;
    any other folder that is not empty is left alone. For one process at a time.

    Args:
        root: the folder to make.
        config: what to generate.
        progress: called with images done and images in all.

    Returns:
        The path of `data.yaml`.

    Raises:
        DataError: `root` exists and was not made by this generator, or cannot be written.
    """
    root, config = Path(root), config or ShapesConfig()
    if is_complete(root, config):
        return root / "data.yaml"
    replace_folder(root, _record(config), lambda partial: _write_all(partial, config, progress))
    return root / "data.yaml"


def _write_all(root: Path, config: ShapesConfig, progress: Callable[[int, int], None] | None) -> None:
    total, done = config.train + config.val, 0
    for split in SPLITS:
        (root / "images" / split).mkdir(parents=True)
        (root / "labels" / split).mkdir(parents=True)
        for index in range(getattr(config, split)):
            _write_image(root, split, index, shapes_scene(config, split, index))
            done += 1
            if progress is not None:
                progress(done, total)
    (root / "data.yaml").write_text(_data_yaml())
