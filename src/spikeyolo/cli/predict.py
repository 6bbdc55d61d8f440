from __future__ import annotations

from pathlib import Path


def predict(
    weights: str,
    source: list[str],
    out: str = "runs/predict",
    conf: float = 0.25,
    iou: float = 0.7,
    max_det: int = 300,
    imgsz: int | None = None,
    batch: int = 1,
    device: str = "auto",
    fold: bool = True,
    draw: bool = True,
    json: bool = False,
    text: bool = False,
    crops: bool = False,
    track: bool = False,
    carry: bool = False,
    preparation: str | None = None,
    window_us: int | None = None,
) -> None:
    """Finds objects on images, folders, glob patterns, videos and cameras, and on recordings of event cameras.

    Args:
        weights: a saved model (.safetensors) or a published checkpoint (.pt)
        source: an image, folder, "glob*", video, camera number or stream address, or a recording of an event camera
            (.dat, .h5, .raw, .aedat4, .es); several after each other
        out: folder for what is written
        conf: least score of a detection, 0..1
        iou: overlap over which the weaker of two boxes of a class is dropped, 0..1
        max_det: most detections of an image
        imgsz: side of the square that images are letter-boxed to, a multiple of 32, in place of what the model says
        batch: images looked at together
        device: auto, cpu, cuda or cuda:N
        fold: fold the batch norms first, which is faster and gives the same result
        draw: write images and videos with boxes
        json: write OUT/predictions.json
        text: write YOLO text files, OUT/labels/*.txt
        crops: write what each box shows, OUT/crops/CLASS/*.jpg
        track: number objects through the frames of a video
        carry: on recordings, a timestep at a time, potentials kept; else a whole window at a time, from rest
        preparation: how recordings become frames, by name (counts, gen1-published), in place of what the model says
        window_us: length of a window of a recording in microseconds, in place of what the model says
    """
    from ..detection.postprocess import Thresholds
    from ..interop.reference import load_any
    from ..prediction.predictor import predict_sources
    from ..prediction.settings import PredictionSettings, Summary
    from ..prediction.sources import find_sources
    from ..progress import progress_bar
    from .device import choose_device

    sources = find_sources(source)
    model = load_any(weights).to(choose_device(device))
    if fold and model.form == "trainable":
        model = model.fold()
    settings = PredictionSettings(
        Path(out),
        Thresholds(conf, iou, max_det),
        imgsz,
        batch,
        draw=draw,
        json=json,
        text=text,
        crops=crops,
        track=track,
    )
    summary = Summary()
    with progress_bar("frames") as report:
        for summary in predict_sources(
            model, sources, settings, carry=carry, preparation=preparation, window_us=window_us
        ):
            report(summary.frames, summary.total)
    for line in summary.unreadable:
        print(f"skipped: {line}")
    for line in summary.left_out:
        print(line)
    counts = ", ".join(f"{count} {name}" for name, count in summary.detections.most_common()) or "nothing found"
    print(f"{summary.frames} frames: {counts}; written to {settings.out}")
    if (speed := summary.speed()) is not None:
        print(speed)
