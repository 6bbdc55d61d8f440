"""Values that users write, checked against the types of the settings: only keys that exist, only values that fit."""

from __future__ import annotations

import os
import types
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from enum import Enum
from math import isfinite
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from .errors import QUOTED, ConfigError, one_line, quote

BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}

WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def nearest(word: object, known: Iterable[str]) -> str | None:
    """Return the known word that was probably meant."""
    return next(iter(get_close_matches(str(word)[:QUOTED], list(known), n=1)), None)


def closest(word: object, known: Iterable[str]) -> str:
    """Say what was probably meant by a word that is not among the known ones, or else what they are."""
    known = list(known)
    near = nearest(word, known)
    return f"did you mean {near!r}?" if near else f"known are {one_line(', '.join(known), 400)}"


def build(kind: Any, values: Mapping[str, Any], what: str = "") -> Any:
    """Return a dataclass of that kind from its fields by name.

    Args:
        kind: the dataclass; it checks ranges itself.
        values: a mapping of its fields, see `value_of`; those that are missing keep their defaults.
        what: they are together, where they stand in something larger.

    Raises:
        ConfigError: no mapping, a key that is no field, one missing that has no default, or a value of another type.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{what or kind.__name__}: expected settings by name, got {quote(values)}")
    known, hints = [field.name for field in fields(kind)], get_type_hints(kind)
    prefix = what and f"{what}."
    for key in values:
        if key not in known:
            raise ConfigError(f"{prefix}{one_line(key)}: no such setting, {closest(key, known)}")
    for field in fields(kind):
        if field.name not in values and field.default is MISSING and field.default_factory is MISSING:
            raise ConfigError(f"{prefix}{field.name}: missing")
    return kind(**{key: value_of(value, hints[key], f"{prefix}{key}") for key, value in values.items()})


def value_of(given: Any, kind: Any, name: str) -> Any:
    """Return a value from YAML or from the command line, where everything is text, as a setting's type.

    Args:
        given: the value; text will do for numbers, `true`, `false`, and `none` where a setting may be without a value
            (YAML itself takes 1e-3 for text).
        kind: the type: a plain one, a `Literal`, an enum, a dataclass, a list or a union of these. Of others the value
            is returned as it is.
        name: of the setting, for the error.

    Raises:
        ConfigError: the value does not fit.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return value_of(given, arguments[0], name)
    if origin in (Union, types.UnionType):
        return _of_union(given, arguments, name)
    if origin is Literal:
        return _choice(given, {str(choice): choice for choice in arguments}, name)
    if origin in (list, tuple):
        items = given if isinstance(given, list | tuple) else [given]
        return origin(value_of(item, arguments[0], name) for item in items)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return given if isinstance(given, kind) else _choice(given, {str(e.value): e for e in kind}, name)
    if is_dataclass(kind) and isinstance(given, Mapping):
        return build(kind, given, name)
    return _plain(given, kind, name)


def _of_union(given: Any, kinds: tuple[Any, ...], name: str) -> Any:
    without = types.NoneType in kinds
    if given is None or (without and given in ("none", "null")):
        if without:
            return None
        raise ConfigError(f"{name}: needs a value")
    others = [kind for kind in kinds if kind is not types.NoneType]
    for kind in others[:-1]:
        with suppress(ConfigError):
            return value_of(given, kind, name)
    words = [str(word) for kind in others[:-1] if get_origin(kind) is Literal for word in get_args(kind)]
    try:
        return value_of(given, others[-1], name)
    except ConfigError as error:
        raise ConfigError(" or ".join([str(error), *words])) from error


def _choice(given: Any, choices: Mapping[str, Any], name: str) -> Any:
    if str(given) in choices:
        return choices[str(given)]
    near = nearest(given, choices)
    hint = f"; did you mean {near!r}?" if near else ""
    raise ConfigError(f"{name}: {quote(given)} is not one of {', '.join(choices)}{hint}")


def _plain(given: Any, kind: Any, name: str) -> Any:
    if kind not in WORDS:
        return given
    text, number = isinstance(given, str), isinstance(given, int | float) and not isinstance(given, bool)
    if kind is str and (text or number or isinstance(given, os.PathLike)):
        return str(given)  # `device: 0` is a number in YAML
    if kind is bool and (isinstance(given, bool) or str(given).lower() in BOOLEANS):
        return BOOLEANS[str(given).lower()]
    if kind in (int, float) and (text or (number and kind in (type(given), float))):
        with suppress(ValueError, OverflowError):
            if isfinite(value := kind(given)):
                return value
    raise ConfigError(f"{name}: {quote(given)} is not {WORDS[kind]}")
