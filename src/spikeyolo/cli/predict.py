"""`spikeyolo predict`: objects on images, videos, cameras and recordings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..detection.thresholds import Thresholds
from ..terminal import say
from .exported import exported_detector, in_fast_form
from .options import (
    Batch,
    Compile,
    Device,
    EngineName,
    Fold,
    ImageSize,
    Overwrite,
    OwnNeuron,
    Preparation,
    Provider,
    Runnable,
    Threads,
    own_neuron,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..prediction.settings import Summary

PREDICTION = Thresholds()


def predict(
    weights: Runnable,
    source: list[str],
    out: str | None = None,
    thresholds: Thresholds = PREDICTION,
    imgsz: ImageSize = None,
    batch: Batch = 1,
    device: Device = "auto",
    engine: EngineName = "auto",
    threads: Threads = None,
    provider: Provider = None,
    fold: Fold = True,
    compile: Compile = False,
    draw: bool = True,
    json: bool = False,
    text: bool = False,
    crops: bool = False,
    track: bool = False,
    carry: bool = False,
    preparation: Preparation = None,
    neuron: OwnNeuron = None,
    window_us: int | None = None,
    overwrite: Overwrite = False,
    given: frozenset[str] = frozenset(),
) -> None:
    """Find objects on images, folders, glob patterns, videos and cameras, and on recordings of event cameras.

    Args:
        source: images, folders, "glob*", videos, camera numbers, streams, or recordings (.dat .h5 .raw .aedat4 .es)
        out: folder for what is written, new or empty; runs/predict, or the next free number, unless given
        draw: write images and videos with boxes
        json: write OUT/predictions.json
        text: write YOLO text files, OUT/labels/*.txt
        crops: write what each box shows, OUT/crops/CLASS/*.jpg
        track: number objects through the frames of a video
        carry: on recordings, a timestep at a time, potentials kept; else a whole window at a time, from rest
        window_us: length of a window of a recording in microseconds, in place of what the model says

    Examples:
        spikeyolo predict --weights model.onnx --source images/ photo.jpg
        spikeyolo predict --weights best.safetensors --source drive_td.dat --carry
    """
    from ..devices import one_device
    from ..interop.reference import load_any
    from ..prediction.predictor import predict_sources
    from ..prediction.settings import PredictionSettings
    from ..prediction.sources import find_sources

    sources = find_sources(source)
    of_models = {"no-fold": not fold, "engine": engine != "auto", "neuron": neuron is not None, "compile": compile}
    exported = exported_detector(weights, device, threads, provider, of_models)
    chosen, own = one_device("cpu" if exported else device), own_neuron(neuron, given)
    settings = PredictionSettings(
        out, thresholds, imgsz, batch, draw=draw, json=json, text=text, crops=crops, track=track, overwrite=overwrite
    )
    images = None if any(one.moving for one in sources) else len(sources)
    engine = "torch" if preparation is not None and engine == "auto" else engine  # it is to see recordings
    model = exported or in_fast_form(load_any(weights, own).to(chosen), fold, engine, imgsz, images, compile)
    _report(predict_sources(model, sources, settings, carry=carry, preparation=preparation, window_us=window_us))


def _report(steps: Iterator[Summary]) -> None:
    """Follow the steps to their end and say what was found."""
    from ..prediction.settings import Summary
    from ..progress import progress_bar

    summary = Summary()
    with progress_bar("frames") as report:
        for summary in steps:
            report(summary.frames, summary.total)
    say(*summary.left_out, *(f"skipped: {line}" for line in summary.unreadable))
    counts = ", ".join(f"{count} {name}" for name, count in summary.detections.most_common()) or "nothing found"
    say(f"{summary.frames} frames: {counts}; written to {summary.folder}")
    if speed := summary.speed():
        say(speed)
