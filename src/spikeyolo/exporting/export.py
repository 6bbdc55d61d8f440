"""From weights to a file or folder for another runtime, written whole and measured."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import ConfigError, DataError
from ..files import gone_if_empty, new_file, new_folder, whole_folder
from ..option_help import described
from .registry import Format, chosen, find_format


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: the file or folder.
        format: its name.
        size: bytes, of all files together.
        parity: how close it comes to PyTorch, measured by `measure_parity`; None where nothing here runs it.
        program: run.py, which needs no more than the runtime; None for what does not see single images.
    """

    path: Path
    format: str
    size: int
    parity: Any
    program: Path | None


@described()
def export(  # noqa: D417
    weights: Any,
    format: str = "onnx",
    out: str | os.PathLike[str] | None = None,
    *,
    imgsz: int | tuple[int, int] | None = None,
    sensor: Sequence[int] | None = None,
    samples: Any = (),
    neuron: str | None = None,
    overwrite: bool = False,
    **choices: Any,
) -> Exported:
    """Write a network for another runtime, and measure how close that comes to PyTorch.

    Args:
        format: onnx, openvino, integer-onnx, integer, qonnx, nir or web
        out: the file or folder to write; beside the weights, under their name with the format, unless given
        imgsz: side of the square, or rows and columns, that the network is to see, in place of its own
        samples: images to measure on, to find the ranges of int8 on, and to try a page on: files, folders, "glob*", or
            a tensor as the network sees them (uint8 (N, 3, H, W) or frames (T, N, C, H, W)); unless given those of a
            shipped model, else generated ones
        **choices: of the format; see its config in `configs`

    Raises:
        ConfigError: a format or choice that does not exist, that does not go with the others, or not with this network.
        MissingPackage: what the format needs is not installed.
        CheckpointError: the weights cannot be used.
        DataError: samples that are not there, or are no images.
        WriteError: nothing may be written there, or it cannot be.
    """
    entry = find_format(format)
    config = chosen(entry, choices)
    is_model = not isinstance(weights, str | os.PathLike)
    if not is_model and not hasattr(samples, "ndim") and not len(samples):
        from ..weights.shipped import sample_images

        samples = sample_images(weights)
    if not hasattr(samples, "ndim"):
        samples = _image_files(samples)
    reads = () if hasattr(samples, "ndim") else samples
    target = _target(entry, out, None if is_model else Path(weights), reads, overwrite)
    from ..interop.reference import load_any  # torch: only now

    with nullcontext() if entry.suffix else gone_if_empty(target):
        model = weights if is_model else load_any(weights, neuron)
        return _write(model, entry, config, target, imgsz, sensor, samples, overwrite)


def _image_files(samples: Sequence[str | os.PathLike[str]]) -> list[str]:
    """Return the files of images that paths, folders and patterns stand for, as `predict` takes them."""
    from ..prediction.sources import find_sources

    try:
        sources = find_sources(samples)
    except DataError as error:
        raise DataError(f"samples: {error}") from error
    if other := next((source for source in sources if source.moving or not source.is_file), None):
        raise DataError(f"samples: {other.path}: is no image file")
    return [source.path for source in sources]


def _target(entry: Format, out: Any, weights: Path | None, samples: Sequence[Any], overwrite: bool) -> Path:
    """Where it goes."""
    if out is None:
        if weights is None:
            raise ConfigError("out: name a file or folder to write")
        out = weights.with_name(f"{weights.stem}-{entry.name}{entry.suffix}")
    reads: list[str | os.PathLike[str]] = [*samples] if weights is None else [weights, *samples]
    if entry.suffix:
        return new_file(out, [entry.suffix], reads=reads, overwrite=overwrite)
    return new_folder(out, reads=reads, overwrite=overwrite)


def _write(
    model: Any,
    entry: Format,
    config: Any,
    target: Path,
    imgsz: Any,
    sensor: Sequence[int] | None,
    samples: Any,
    overwrite: bool,
) -> Exported:
    from copy import deepcopy

    from torch import float32

    from ..model.inputs import chosen_input
    from ..runtime.standalone import PROGRAM, write_run_py
    from .job import Job
    from .parity import measure_parity
    from .samples import sample_inputs

    if model.config.leaks:
        raise ConfigError(
            f"{entry.name}: has no place for leaky sums; export a network of another representation than leaky_sums"
        )
    seen = chosen_input(model, imgsz)
    size_hw = seen.canvas_hw(None if sensor is None else _sensor(sensor))
    given = samples if hasattr(samples, "ndim") else sample_inputs(seen, size_hw, samples, model.config.timesteps)
    model = model.cpu().eval()
    if model.dtype != float32:  # what is written is measured beside the same weights in float32
        model = deepcopy(model).float()
    files = () if hasattr(samples, "ndim") else tuple(map(Path, samples))
    job = Job(model, seen, size_hw, given, files)
    writer = import_module(f".{entry.module}", __package__)
    alone = entry.runs and seen.still and not getattr(config, "streaming", False)
    alone = alone and (bool(entry.suffix) or PROGRAM.name in entry.files)
    if entry.suffix:
        reference = writer.write(job, config, target)
        program = write_run_py(target) if alone else None
    else:
        with whole_folder(target, replaces=lambda file: overwrite and file.name in entry.files) as folder:
            reference = writer.write(job, config, folder)
            program = write_run_py(folder) if alone else None
        program = program and target / program.name
    inside = config.thresholds if getattr(config, "outputs", "") == "detections" else None
    parity = measure_parity(target, reference, given, inside) if entry.runs else None
    return Exported(target, entry.name, _size(target), parity, program)


def _sensor(sensor: Sequence[int]) -> tuple[int, int]:
    if len(sensor) != 2 or min(sensor) < 1:
        raise ConfigError(f"sensor: {list(sensor)} is not rows and columns, such as 240 304")
    return sensor[0], sensor[1]


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
