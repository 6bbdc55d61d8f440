from __future__ import annotations

from pathlib import Path


def predict(
    weights: str,
    source: list[str],
    out: str = "runs/predict",
    conf: float = 0.25,
    iou: float = 0.7,
    max_det: int = 300,
    imgsz: int = 640,
    batch: int = 1,
    device: str = "auto",
    fold: bool = True,
    draw: bool = True,
    json: bool = False,
    text: bool = False,
    crops: bool = False,
    track: bool = False,
) -> None:
    """Finds objects on pictures, folders, glob patterns, videos and cameras.

    Args:
        weights: a saved model (.safetensors) or a published checkpoint (.pt)
        source: a picture, folder, "glob*", video, camera number or stream address; several after each other
        out: folder for what is written
        conf: least score of a detection, 0..1
        iou: overlap over which the weaker of two boxes of a class is dropped, 0..1
        max_det: most detections of a picture
        imgsz: side of the square that pictures are letter-boxed to, a multiple of 32
        batch: pictures looked at together
        device: auto, cpu, cuda or cuda:N
        fold: fold the batch norms first, which is faster and gives the same result
        draw: write pictures and videos with boxes
        json: write OUT/predictions.json
        text: write YOLO text files, OUT/labels/*.txt
        crops: write what each box shows, OUT/crops/CLASS/*.jpg
        track: number objects through the frames of a video
    """
    from ..interop import load_any
    from ..prediction import PredictionSettings, Summary, find_clips, predict_sources
    from .device import choose_device

    clips = find_clips(source)
    model = load_any(weights).to(choose_device(device))
    if fold and model.form == "trainable":
        model = model.fold()
    settings = PredictionSettings(
        Path(out), conf, iou, max_det, imgsz, batch, draw=draw, json=json, text=text, crops=crops, track=track
    )
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    summary = Summary()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("frames"))
    total = None if any(clip.moving for clip in clips) else len(clips)
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("predict", total=total)
        for summary in predict_sources(model, clips, settings):
            progress.update(task, completed=summary.frames)
    for line in summary.unreadable:
        print(f"skipped: {line}")
    counts = ", ".join(f"{count} {name}" for name, count in summary.detections.most_common()) or "nothing found"
    print(f"{summary.frames} frames: {counts}; written to {settings.out}")
