"""What the data.yaml files of images and of recordings have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import ConfigError, quote
from ..limits import MAX_CLASSES
from ..paths import as_system_path
from ..reading import is_path
from ..strict import closest
from ..text import class_name
from ..text_files import read_yaml

SPLITS = ("train", "val", "test")


def load_yaml(file: Path) -> dict[str, Any]:
    """Load the content of a data.yaml.

    Raises:
        ConfigError: not a YAML file with keys, or one that `read_yaml` refuses.
    """
    content = read_yaml(file)
    if not isinstance(content, dict):
        raise ConfigError(f"{file}: expected 'train:', 'val:' and 'names:', got no keys at all")
    return content


def check_keys(file: Path, content: dict[str, Any], known: Sequence[str], ignored: Sequence[str] = ()) -> None:
    """Raise ConfigError for a key that is neither known nor ignored."""
    for key in content:
        if key not in (*known, *ignored):
            raise ConfigError(f"{file}: unknown key {quote(key)}; {closest(key, known)}")


def check_split(file: Path, name: str, present: Iterable[str], holds: str) -> None:
    """Raise ConfigError unless a data.yaml has a split of that name, which holds folders or lists of what."""
    present = list(present)
    if name in present:
        return
    mend = f"add '{name}:' with {holds}" if name in SPLITS else closest(name, present)
    raise ConfigError(f"{file}: no split '{name}' (it has {', '.join(present)}); {mend}")


def as_path(file: Path, key: str, value: object) -> str:
    """Return a value that must be a path.

    Raises:
        ConfigError: it is something else.
    """
    if not isinstance(value, str):
        raise ConfigError(f"{file}: {key}: expected a path, got {quote(value)}")
    with suppress(ValueError):
        if is_path(path := as_system_path(value)):
            return path
    raise ConfigError(f"{file}: {key}: {quote(value)} cannot be a path")


def class_names(file: Path, names: object) -> tuple[str, ...]:
    """Return class names from a list, or from a mapping of indices to names.

    Raises:
        ConfigError: neither, a gap in the indices, or a name given twice.
    """
    if isinstance(names, dict):
        names = _in_order(file, names)
    if not isinstance(names, list) or not names:
        raise ConfigError(f"{file}: names: expected a list of class names, or a mapping from index to name")
    if len(names) > MAX_CLASSES:
        raise ConfigError(f"{file}: names: {len(names):,}; there may be at most {MAX_CLASSES:,}")
    if any(isinstance(name, dict | list | tuple | set | bytes) or name is None for name in names):
        raise ConfigError(f"{file}: names: each must be one word or text, without lists or empty entries")
    return unique_names(file, "names", [str(name) for name in names])


def _in_order(file: Path, names: dict[Any, Any]) -> list[Any]:
    try:
        by_index = {int(key): name for key, name in names.items()}
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigError(f"{file}: names: the keys must be class indices 0, 1, 2, ...") from error
    missing = next((index for index in range(len(names)) if index not in by_index), None)
    if missing is not None:
        raise ConfigError(f"{file}: names: {len(names)} names, none for index {missing}; number them without gaps")
    return [by_index[i] for i in range(len(names))]


def unique_names(file: Path, field: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return class names in the form that is used everywhere.

    Raises:
        ConfigError: a name given twice.
    """
    places: dict[str, int] = {}
    for index, name in enumerate(map(class_name, names)):
        if name in places:
            raise ConfigError(f"{file}: {field}: {quote(name)} is named twice (as {places[name]} and {index})")
        places[name] = index
    return tuple(places)
