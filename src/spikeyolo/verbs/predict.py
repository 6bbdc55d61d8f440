"""`spikeyolo.predict`: objects on images, videos, cameras and recordings."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from ..detection.thresholds import Thresholds
from ..option_help import RUNNABLE, described
from .runnable import Log, exported_detector, for_sensors, in_fast_form, load_model, nothing

if TYPE_CHECKING:
    from ..prediction.result import FrameResult
    from ..prediction.settings import Summary

DEFAULTS = Thresholds()


class Results(Iterator["FrameResult"]):
    """What is found, one frame after the other, as it is asked for.

    Attributes:
        summary: what has been found so far, over all frames.
    """

    def __init__(self, found: Iterator[FrameResult], summary: Summary) -> None:
        self._found, self.summary = found, summary

    def __next__(self) -> FrameResult:
        return next(self._found)

    def close(self) -> None:
        """End the run early; what is written is finished."""
        self._found.close()  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        return f"Results({self.summary.lines()[-1]}; iterate to go on)"


@described(weights=RUNNABLE)
def predict(  # noqa: D417
    weights: Any,
    source: Any,
    *,
    out: str | os.PathLike[str] | None = None,
    conf: float = DEFAULTS.conf,
    iou: float = DEFAULTS.iou,
    max_det: int = DEFAULTS.max_det,
    imgsz: int | None = None,
    batch: int = 1,
    device: str = "auto",
    engine: Literal["auto", "torch", "onnxruntime", "openvino"] = "auto",
    threads: int | None = None,
    provider: str | None = None,
    fold: bool = True,
    compile: bool = False,
    draw: bool = True,
    json: bool = False,
    json_lines: str | os.PathLike[str] | None = None,
    text: bool = False,
    crops: bool = False,
    track: bool = False,
    carry: bool = False,
    preparation: str | None = None,
    neuron: Any = None,
    window_us: int | None = None,
    window_events: int | None = None,
    refractory_us: int | None = None,
    background_us: int | None = None,
    region: list[int] | None = None,
    follow: float | None = None,
    overwrite: bool = False,
    write: bool | None = None,
    stream: bool | None = None,
    progress: Log = nothing,
) -> list[FrameResult] | Results:
    """Find objects on images, folders, glob patterns, videos and cameras, and on recordings of event cameras.

    The command writes into runs/predict unless it is told another folder; this function writes nothing unless it is
    given a folder, or told to write.

    Args:
        source: one, or a list, of: images, folders, "glob*", addresses (http, https), videos, camera numbers, streams,
            recordings, "-" for a .dat on standard input; (H, W, 3) uint8 RGB arrays, images of PIL, tensors
            (3, H, W) or (B, 3, H, W), uint8 or 0..1
        out: folder for what is written, new or empty
        carry: on recordings, a timestep at a time, potentials kept; else a whole window at a time, from rest
        json_lines: write what is found on a frame as it is found, a line of JSON each, into this .jsonl; "-": standard
            output
        follow: read a .dat on as another program writes it, until nothing was added for so many seconds
        write: write as the command does, without out into runs/predict or the next free number; None: where there is
            an out
        stream: give results one by one, as an iterator: True, or False for a list, whatever the sources; None: an
            iterator where there are videos, cameras or recordings

    Returns:
        A list with a result for each image, in the order of the sources; or an iterator over those of all frames, which
        computes, and writes, as it is asked for more. Sources that cannot be read are left out, with a warning.

    Raises:
        ConfigError: a setting that does not exist, is out of range or does not apply.
        CheckpointError: the weights cannot be used.
        DataError: nothing that can be looked at, or nothing could be read.
        ShapeError: an array or tensor that is no image.
        WriteError: nothing may be written there, or it cannot be.
    """
    from ..devices import one_device
    from ..errors import ConfigError
    from ..prediction.predictor import found_on
    from ..prediction.settings import PredictionSettings, Summary
    from ..prediction.sources import find_sources

    sources = find_sources(source if isinstance(source, list | tuple) else [source])
    of_models = {"no-fold": not fold, "engine": engine != "auto", "neuron": neuron is not None, "compile": compile}
    exported = exported_detector(weights, device, threads, provider, of_models)
    one_device("cpu" if exported else device)  # before anything is read
    folder = None if out is None else os.fspath(out)
    kept = Thresholds(conf, iou, max_det)
    lines = None if json_lines is None else os.fspath(json_lines)
    outputs: dict[str, Any] = {"draw": draw, "json": json, "json_lines": lines, "text": text, "crops": crops}
    settings = PredictionSettings(
        folder, kept, imgsz, batch, track=track, follow=follow, overwrite=overwrite, **outputs
    )
    written = out is not None if write is None else write
    if not written and (json or text or crops):
        raise ConfigError("json, text, crops: name the folder to write into by out")
    images = None if any(one.moving for one in sources) else len(sources)
    model: Any = exported
    how: dict[str, Any] = {"carry": carry, "preparation": preparation, "region": region}
    how |= {"window_us": window_us, "window_events": window_events}
    how |= {"refractory_us": refractory_us, "background_us": background_us}
    if model is None:
        model = load_model(weights, device, neuron)
        if preparation is not None or not getattr(model.input, "still", True):  # the sensor's size is not known yet
            if fold and not compile:
                how["run_by"], engine = for_sensors(engine, progress), "torch"
            engine = "torch" if engine == "auto" else engine
        log = nothing if "run_by" in how else progress
        model = in_fast_form(model, fold, engine, imgsz, images, log, compile)
    summary = Summary()
    found = found_on(model, sources, settings, summary, **how, write=written)
    if stream or (stream is None and images is None):
        return Results(found, summary)
    return _all_of(found, summary)


def _all_of(found: Iterator[FrameResult], summary: Summary) -> list[FrameResult]:
    """Every result, without the pixels of files."""
    from ..progress import progress_bar

    results = []
    with progress_bar("frames", summary.total) as report:
        for result in found:
            results.append(result.without_pixels())
            report(summary.frames, summary.total)
    for line in [*summary.left_out, *(f"skipped: {line}" for line in summary.unreadable)]:
        warnings.warn(line, stacklevel=3)
    return results
