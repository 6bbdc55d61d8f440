"""What the metadata of a file of weights say, as the detector needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ..errors import ConfigError, one_line, quote
from ..events.event_input import EventInput
from ..spiking.spiking_neuron import is_own
from . import checkpoint
from .inputs import Input, from_metadata

Kind = TypeVar("Kind")


def of_metadata(kind: Callable[[str], Kind], metadata: Mapping[str, str], key: str) -> Kind:
    """Return an entry as what it is to be.

    Raises:
        ConfigError: it is missing, or none.
    """
    try:
        return kind(metadata[key])
    except (KeyError, ValueError) as error:
        raise ConfigError(f"{key}: {quote(metadata.get(key))} is not what a file of weights says there") from error


def with_neuron(values: Any, name: str) -> Any:
    """Return a file's config with the class that the user gives, in the place of one of that name in another module.

    Raises:
        ConfigError: the file has another neuron.
    """
    found = values.get("neuron") if isinstance(values, Mapping) else None
    if not isinstance(found, str) or not is_own(found) or found.partition(":")[2] != name.partition(":")[2]:
        raise ConfigError(f"neuron: the network has {quote(found)}, not {one_line(name)}; leave that out")
    return {**values, "neuron": name}


def input_of(metadata: Mapping[str, str]) -> Input | None:
    """Return what the network sees; format 1 knew recordings alone."""
    if "input" in metadata:
        return from_metadata(checkpoint.from_json(metadata, "input"))
    if "preparation" in metadata:
        return EventInput.from_dict(checkpoint.from_json(metadata, "preparation"))
    return None
