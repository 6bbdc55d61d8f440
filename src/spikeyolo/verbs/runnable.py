"""What a user gives as weights, ready to run: a file, an exported network, or a model that is loaded already."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..limits import MAX_WORKERS, check_range

if TYPE_CHECKING:
    from ..exporting.engines import Engine
    from ..model.detecting import Detecting
    from ..model.detector import SpikeYOLO
    from ..runtime.detector import ExportedDetector

Log = Callable[[str], None]
"""Called with a line about what is done."""


def nothing(line: str) -> None:
    """Say nothing: what functions do unless they are asked for more."""


def is_file(weights: Any) -> bool:
    """Whether weights are named by their file."""
    return isinstance(weights, str | os.PathLike)


def files_of(*given: Any) -> list[str | Path]:
    """Return those of some arguments that are files, which nothing may be written over."""
    return [Path(one) for one in given if is_file(one)]


def name_of(weights: Any) -> str:
    """Return what weights are called in a title."""
    return Path(weights).name if is_file(weights) else "the model"


def load_model(weights: Any, device: str, neuron: Any = None) -> SpikeYOLO:
    """Return the model of a file, or the one that is given, on a device.

    Args:
        weights: a saved model, a published checkpoint, or a `SpikeYOLO`, which stays where and as it is.
        device: of a model that is given, auto is its own; on another one a copy runs.
        neuron: of a file, see `SpikeYOLO.load`.

    Raises:
        ConfigError: no such device, or a neuron for a model that has its own.
        CheckpointError: the file cannot be used.
    """
    from copy import deepcopy

    from ..devices import one_device
    from ..interop.reference import load_any
    from ..model.detector import SpikeYOLO

    if is_file(weights):
        chosen = one_device(device)
        return load_any(weights, neuron).to(chosen)
    if not isinstance(weights, SpikeYOLO):
        raise ConfigError(f"weights: expected a file or a SpikeYOLO, got {type(weights).__name__}")
    if neuron is not None:
        raise ConfigError("neuron: for files; this model has its own")
    if device == "auto" or one_device(device) == weights.device:
        return weights
    return deepcopy(weights).to(one_device(device))


def exported_detector(
    weights: Any, device: str, threads: int | None, provider: str | None, of_models: Mapping[str, bool]
) -> ExportedDetector | None:
    """Return an exported network, ready to predict; None where the weights are those of a model in PyTorch.

    Args:
        weights: as the user named them, or an `ExportedDetector` already.
        device: as the user named it.
        threads: that one run takes, here and by PyTorch from now on; None: as it is.
        provider: of ONNX Runtime.
        of_models: options that change a model before it runs, and whether they were given.

    Raises:
        ConfigError: such an option, one that does not apply, or a device that the runtime does not know.
        CheckpointError: it cannot be used.
    """
    from ..runtime.sessions import exported_kind

    given = hasattr(weights, "inferencer")
    named = weights if is_file(weights) else "this"
    if not given and (not is_file(weights) or exported_kind(os.fspath(weights)) is None):
        if provider is not None:
            raise ConfigError(f"provider: for an exported .onnx; {named} is a model in PyTorch")
        if threads is not None:
            check_range("threads", threads, 1, MAX_WORKERS)
            import torch

            torch.set_num_threads(threads)
        return None
    if changes := [option for option, is_given in of_models.items() if is_given]:
        raise ConfigError(f"{changes[0]}: for models in PyTorch; {named} is exported, in the form that it has for good")
    if given:
        if device != "auto" or threads is not None or provider is not None:
            raise ConfigError("device, threads, provider: an exported network that is open already has its own")
        return weights
    from ..runtime.detector import ExportedDetector

    return ExportedDetector(os.fspath(weights), "cpu" if device == "auto" else device, threads, provider)


def in_fast_form(
    model: SpikeYOLO,
    fold: bool,
    engine: Engine,
    imgsz: int | None,
    images: int | None,
    log: Log = nothing,
    compiled: bool = False,
) -> Detecting:
    """Return a model folded, and in the engine that is fastest or named.

    Args:
        model: as it was loaded.
        fold: fold the batch norms first; only PyTorch runs others.
        engine: see `exporting.engines.in_engine`.
        imgsz: as the user gave it.
        images: how many are coming; None: many.
        log: is told which engine it is, and what compiling comes to.
        compiled: by torch.compile, so in PyTorch.

    Raises:
        ConfigError: an engine that does not run such a model, or a form that is not compiled.
        MissingPackage: it is not installed.
    """
    from copy import deepcopy

    from ..exporting.engines import in_engine
    from ..model.compiling import compile_network
    from ..model.forms.form import Form
    from ..model.inputs import chosen_input

    if compiled and engine not in ("auto", "torch"):
        raise ConfigError(f"compile: for PyTorch; leave it out, or --engine {engine}")
    given = model
    if fold and model.form is Form.TRAINABLE:
        model = model.fold()
    if compiled:  # what the caller holds stays as it is
        model = compile_network(deepcopy(model) if model is given else model, log)
        engine = "torch"
    if not fold:
        if engine not in ("auto", "torch"):
            raise ConfigError(f"engine: {engine} runs folded models; leave out --no-fold, or take torch")
        return model
    seen = model.input and chosen_input(model, imgsz)
    found = in_engine(model, seen, engine, images)
    log(_computed_by(found, found is model))
    return found


def for_sensors(engine: Engine, log: Log = nothing) -> Callable[..., Detecting]:
    """Return what gives a folded model of recordings to an engine, once for each size of sensor; see `in_engine`.

    Args:
        engine: by name, or "auto".
        log: is told which engine it is.
    """
    from ..exporting.engines import in_engine

    made: dict[Any, Detecting] = {}

    def run_by(model: Any, seen: Any, size_hw: tuple[int, int], carry: bool, timesteps: int | None) -> Detecting:
        if size_hw not in made:
            found = in_engine(model, seen, engine, timesteps, sensor_size_hw=size_hw, carry=carry)
            if not made:
                log(_computed_by(found, found is model))
            if found is model:
                return found  # a longer recording may be worth another one
            made[size_hw] = found
        return made[size_hw]

    return run_by


def _computed_by(found: Detecting, given: bool) -> str:
    return f"computed by {found.engine}" + ("" if given else "; --engine torch takes PyTorch")
