"""Types of options where functions take more, and a neuron that is named on the command line."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

KINDS: dict[str, Any] = {
    "weights": str,
    "data": str,
    "out": str | None,
    "json": str | None,
    "json_lines": str | None,
    "html": str | None,
    "neuron": str | None,
    "imgsz": int | None,
    "sensor": list[int] | None,
    "samples": list[str] | None,
    "formats": list[str] | None,
}
"""By name, for commands that are twins of a function."""


def own_neuron(name: str | None, given: Collection[str]) -> str | None:
    """Import the neuron that a user names on the command line, and return its own name; others as they are.

    Args:
        name: `package.module:Class`, one of the package's, or None.
        given: the options of the command line; what a file says has nothing imported.
    """
    if name is None or ":" not in name or "neuron" not in given:
        return name
    from ..spiking.spiking_neuron import import_neuron

    return import_neuron(name)
