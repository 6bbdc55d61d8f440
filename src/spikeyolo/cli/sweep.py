from __future__ import annotations

from pathlib import Path
from typing import Any


def sweep(
    data: str,
    weights: str | None = None,
    train: str | None = None,
    model: str | None = None,
    epochs: int | None = None,
    timesteps: str = "1,2,4",
    max_count: str = "1,2,4,8",
    split: str = "val",
    imgsz: int | None = None,
    batch: int = 8,
    device: str = "auto",
    workers: int = 1,
    technology: str = "45nm-fp32",
    out: str = "runs/sweep",
) -> None:
    """Average precision against energy for several numbers of timesteps T and largest spike counts D.

    With --weights, one trained model is run at each T and D; with --train, a model is trained for each. Points that the
    folder of an interrupted sweep holds already are not computed again.

    Args:
        data: a data.yaml (of images, or of recordings of an event camera), or a COCO annotation file
        weights: a saved model (.safetensors) in its trained form, or a published checkpoint (.pt)
        train: a recipe to train each point by, a name (published, small) or a YAML file
        model: with --train, what training starts from, in place of the recipe's
        epochs: with --train, in place of the recipe's
        timesteps: values of T, with commas
        max_count: values of D, with commas
        split: on which to evaluate: train, val or test
        imgsz: side of the square that images are letter-boxed to, in place of what the model or recipe says
        batch: images looked at together in evaluation
        device: auto, cpu, cuda or cuda:N
        workers: processes that prepare images
        technology: what an operation costs; a name of the package's table, or a YAML file of your own
        out: folder for sweep.csv, sweep.json, sweep.png and the runs
    """
    from dataclasses import replace
    from itertools import product

    from rich import print as show

    from ..energy.technology import find_technology
    from ..errors import ConfigError
    from ..evaluation.validate import ValidationSettings
    from ..sweep import Sweep, SweepPoint, check_single, sweep_table
    from ..training.settings import read_settings, recipe_path
    from .device import choose_device

    if (weights is None) == (train is None):
        raise ConfigError("sweep: give either --weights, to evaluate one model, or --train, to train for each point")
    if train is None and (model is not None or epochs is not None):
        raise ConfigError("sweep: --model and --epochs belong to --train")
    grid = list(product(_numbers("timesteps", timesteps), _numbers("max-count", max_count)))
    costs, chosen = find_technology(technology), str(choose_device(device))

    def on_point(point: SweepPoint) -> None:
        print(f"T {point.timesteps}  D {point.max_count}  AP {point.AP:.3f}  {point.snn_mJ:.3f} mJ", flush=True)

    if weights is not None:
        settings = ValidationSettings(batch, workers=workers, imgsz=imgsz)
        points = Sweep(Path(out), data, split, settings, costs)
        points.evaluate(weights, grid, chosen, on_point)
    else:
        assert train is not None
        given: dict[str, Any] = {
            "data": data,
            "model": model,
            "epochs": epochs,
            "imgsz": imgsz,
            "workers": workers,
            "device": device,
        }
        recipe = read_settings(Path(train) if Path(train).exists() else recipe_path(train))
        recipe = replace(recipe, **{name: value for name, value in given.items() if value is not None})
        check_single(recipe)
        points = Sweep(Path(out), data, split, ValidationSettings(batch, workers=workers), costs)
        points.train(recipe, grid, chosen, on_point)
    show(sweep_table([points.points[cell] for cell in grid]))
    print(f"written to {out}: sweep.csv, sweep.json, sweep.png")


def _numbers(name: str, text: str) -> list[int]:
    from ..errors import ConfigError

    words = text.replace(" ", "").strip("[]").split(",")
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise ConfigError(f"--{name}: {text!r} is not a list of whole numbers from 1 up, such as 1,2,4")
    return sorted({int(word) for word in words})
