"""What users write, checked: only keys that exist, and a hint at what was meant by one that does not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from .errors import ConfigError


def closest(word: object, known: Iterable[str]) -> str:
    """What was probably meant by a word that is not among the known ones, or else what they are."""
    known = list(known)
    near = get_close_matches(str(word), known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"


def build(kind: Any, values: Mapping[str, Any], what: str = "") -> Any:
    """A dataclass of that kind from its fields by name.

    Args:
        kind: the dataclass; it checks the values itself.
        values: of its fields; those that are missing keep their defaults.
        what: they are together, where they stand in something larger.

    Raises:
        ConfigError: a key that is no field, or a value of a type that the dataclass cannot compare.
    """
    known = [field.name for field in fields(kind)]
    for key in values:
        if key not in known:
            raise ConfigError(f"{what and what + '.'}{key}: no such setting, {closest(key, known)}")
    try:
        return kind(**values)
    except TypeError as error:
        raise ConfigError(f"{what or 'settings'}: a value of the wrong type ({error})") from error
