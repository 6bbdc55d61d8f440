"""Weights that are an exported network: what commands do with them in place of opening a model in PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import ConfigError

if TYPE_CHECKING:
    from ..runtime.detector import ExportedDetector


def exported_detector(weights: str, device: str, of_models: Mapping[str, bool]) -> ExportedDetector | None:
    """Return an exported network, ready to predict; None where the weights are those of a model in PyTorch.

    Args:
        weights: as the user named them.
        device: the same.
        of_models: options that change a model before it runs, and whether they were given.

    Raises:
        ConfigError: such an option, or a device that the runtime does not know.
        CheckpointError: it cannot be used.
    """
    from ..runtime.sessions import exported_kind

    if exported_kind(weights) is None:
        return None
    if given := [option for option, is_given in of_models.items() if is_given]:
        raise ConfigError(f"{given[0]}: for models in PyTorch; {weights} is exported, in the form that it has for good")
    from ..runtime.detector import ExportedDetector

    return ExportedDetector(weights, "cpu" if device == "auto" else device)
