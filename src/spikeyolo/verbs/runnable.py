"""Exported networks as weights, and models in PyTorch in the form and engine that is fastest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..limits import MAX_WORKERS, check_range
from ..terminal import say

if TYPE_CHECKING:
    from ..exporting.engines import Engine
    from ..model.detecting import Detecting
    from ..model.detector import SpikeYOLO
    from ..runtime.detector import ExportedDetector


def exported_detector(
    weights: str, device: str, threads: int | None, provider: str | None, of_models: Mapping[str, bool]
) -> ExportedDetector | None:
    """Return an exported network, ready to predict; None where the weights are those of a model in PyTorch.

    Args:
        weights: as the user named them.
        device: the same.
        threads: that one run takes, here and by PyTorch from now on; None: as it is.
        provider: of ONNX Runtime.
        of_models: options that change a model before it runs, and whether they were given.

    Raises:
        ConfigError: such an option, one that does not apply, or a device that the runtime does not know.
        CheckpointError: it cannot be used.
    """
    from ..runtime.sessions import exported_kind

    if exported_kind(weights) is None:
        if provider is not None:
            raise ConfigError(f"provider: for an exported .onnx; {weights} is a model in PyTorch")
        if threads is not None:
            check_range("threads", threads, 1, MAX_WORKERS)
            import torch

            torch.set_num_threads(threads)
        return None
    if given := [option for option, is_given in of_models.items() if is_given]:
        raise ConfigError(f"{given[0]}: for models in PyTorch; {weights} is exported, in the form that it has for good")
    from ..runtime.detector import ExportedDetector

    return ExportedDetector(weights, "cpu" if device == "auto" else device, threads, provider)


def in_fast_form(model: SpikeYOLO, fold: bool, engine: Engine, imgsz: int | None, images: int | None) -> Detecting:
    """Return a model folded, and in the engine that is fastest or named, with a line that says which.

    Args:
        model: as it was loaded.
        fold: fold the batch norms first; only PyTorch runs others.
        engine: see `exporting.engines.in_engine`.
        imgsz: as the user gave it.
        images: how many are coming; None: many.

    Raises:
        ConfigError: an engine that does not run such a model.
        MissingPackage: it is not installed.
    """
    from ..exporting.engines import in_engine
    from ..model.forms.form import Form
    from ..model.inputs import chosen_input

    if not fold:
        if engine not in ("auto", "torch"):
            raise ConfigError(f"engine: {engine} runs folded models; leave out --no-fold, or take torch")
        return model
    model = model.fold() if model.form is Form.TRAINABLE else model
    seen = model.input and chosen_input(model, imgsz)
    found = in_engine(model, seen, engine, images)
    say(f"computed by {found.engine}" + ("" if found is model else "; --engine torch takes PyTorch"))
    return found
