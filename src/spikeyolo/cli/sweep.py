"""`spikeyolo sweep`: average precision against energy, over T, D and slot codes."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..terminal import say, show
from .options import own_neuron

if TYPE_CHECKING:
    from ..spiking import SlotCode
    from ..sweep import SweepPoint
    from ..training.settings import TrainSettings


def sweep(
    data: str,
    weights: str | None = None,
    train: str | None = None,
    model: str | None = None,
    epochs: int | None = None,
    timesteps: str = "1,2,4",
    max_count: str = "1,2,4,8",
    slot_code: str = "unary",
    split: Literal["train", "val", "test"] = "val",
    imgsz: int | None = None,
    batch: int = 8,
    device: str = "auto",
    workers: int = 1,
    technology: str = "45nm-fp32",
    neuron: str | None = None,
    out: str = "runs/sweep",
    given: frozenset[str] = frozenset(),
) -> None:
    """Measure average precision against energy for several numbers of timesteps T and largest spike counts D.

    With --weights, one trained model is run at each T and D; with --train, a model is trained for each. Points that the
    folder of an interrupted sweep holds already are not computed again.

    Args:
        weights: a saved model (.safetensors) in its trained form, a published checkpoint (.pt), or a name of
            `spikeyolo models`
        train: a recipe to train each point by, a name (published, small) or a YAML file
        model: with --train, what training starts from, in place of the recipe's
        epochs: with --train, in place of the recipe's
        timesteps: values of T, with commas
        max_count: values of D, with commas
        slot_code: unary, binary, or both with a comma: at each T and D the same AP, with other spikes and energy
        out: folder for sweep.csv, sweep.json, sweep.png and the runs

    Examples:
        spikeyolo sweep --weights best.safetensors --data data.yaml --timesteps 1,2 --max-count 1,2,4
        spikeyolo sweep --weights best.safetensors --data data.yaml --slot-code unary,binary
        spikeyolo sweep --train small --model t --data data.yaml
    """
    from ..devices import one_device
    from ..evaluation.validate import ValidationSettings
    from ..metering.technology import find_technology
    from ..sweep import Sweep, sweep_table

    _check_mode(weights, train, changed=model is not None or epochs is not None)
    codes = _codes(slot_code)
    grid = list(product(_numbers("timesteps", timesteps), _numbers("max-count", max_count)))
    costs, chosen, own = find_technology(technology), str(one_device(device)), own_neuron(neuron, given)
    # What is trained is measured at the size that it was trained at.
    settings = ValidationSettings(batch, workers=workers, imgsz=imgsz if train is None else None)
    points = Sweep(Path(out), data, split, settings, costs, codes)
    if weights is not None:
        points.evaluate(weights, grid, chosen, _print, own)
    else:
        assert train is not None
        changes = {"data": data, "model": model, "epochs": epochs, "imgsz": imgsz, "workers": workers, "device": device}
        points.train(_recipe(train, **changes, neuron=own), grid, chosen, _print)
    show(sweep_table([point for cell in grid for point in points.at(cell)]))
    say(f"written to {out}: sweep.csv, sweep.json, sweep.png")


def _check_mode(weights: str | None, train: str | None, changed: bool) -> None:
    from ..errors import ConfigError

    if (weights is None) == (train is None):
        raise ConfigError("sweep: give either --weights, to evaluate one model, or --train, to train for each point")
    if train is None and changed:
        raise ConfigError("sweep: --model and --epochs belong to --train")


def _recipe(name: str, **changes: Any) -> TrainSettings:
    """A recipe with what is given in place of its own."""
    from dataclasses import replace

    from ..training.settings import read_settings
    from .train import find_config

    return replace(
        read_settings(find_config(name)), **{key: value for key, value in changes.items() if value is not None}
    )


def _print(point: SweepPoint) -> None:
    say(f"T {point.timesteps}  D {point.max_count}  {point.slot_code}  AP {point.AP:.3f}  {point.snn_mJ:.3f} mJ")


def _numbers(name: str, text: str) -> list[int]:
    from ..errors import ConfigError, quote

    words = text.replace(" ", "").strip("[]").split(",")
    if not all(word.isdecimal() and 0 < len(word) < 10 and int(word) > 0 for word in words):
        raise ConfigError(f"--{name}: {quote(text)} is not a list of whole numbers from 1 up, such as 1,2,4")
    return sorted({int(word) for word in words})


def _codes(text: str) -> list[SlotCode]:
    from ..spiking import SlotCode

    named = {SlotCode.of(word) for word in text.replace(" ", "").strip("[]").split(",")}
    return [code for code in SlotCode if code in named]
