"""Training and checking a detector. Lightning, which takes seconds to import, is loaded only when training starts."""

from typing import Any

from .settings import TrainSettings, read_settings, recipe_names, recipe_path
from .start import Transfer, starting_model
from .validation import Validation, ValidationSettings, read_pictures, read_split, trained_size, validate

__all__ = [
    "TrainSettings",
    "Transfer",
    "Validation",
    "ValidationSettings",
    "read_pictures",
    "read_settings",
    "read_split",
    "recipe_names",
    "recipe_path",
    "starting_model",
    "train",
    "trained_size",
    "validate",
]


def __getattr__(name: str) -> Any:
    if name == "train":
        from .run import train

        return train
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
