"""From a command line to the arguments of a function: its parameters are the options, its docstring is their help.

argparse splits the words. A parameter that is a dataclass stands for an option a field; in a dataclass within that, the
options have a dot: `--augmentation.mosaic`. What is given on the command line comes before what a `--config` file says.
"""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from ..docstring import Docstring
from ..errors import ConfigError, one_line, quote
from ..option_help import OPTIONS
from ..strict import BOOLEANS, build, closest, nearest, value_of

REQUIRED = inspect.Parameter.empty

GIVEN = "given"
"""A parameter of this name is no option: it takes the names of those that the command line gives."""

CONFIG = "a YAML file with the same names as the options; what the command line gives comes first"

ELSEWHERE = {
    "batch_size": "batch",
    "cfg": "config",
    "conf_thres": "conf",
    "gpu": "device",
    "gpus": "device",
    "image_size": "imgsz",
    "img": "imgsz",
    "img_size": "imgsz",
    "input": "source",
    "iou_thres": "iou",
    "lr0": "lr",
    "lrf": "final_lr",
    "model": "weights",
    "name": "out",
    "output": "out",
    "project": "out",
    "weights": "model",
}
"""What other detectors call an option, and its name here."""


class UsageError(Exception):
    """A command or option that is not understood."""


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        name: as in Python and YAML, such as `window_us` or `augmentation.mosaic`.
        kind: the type of its value.
        default: its value where it is not given, or REQUIRED.
        help: a line about it.
        positional: whether it is given by position.
    """

    name: str
    kind: Any
    default: Any
    help: str
    positional: bool = False

    @property
    def flag(self) -> str:
        """As it is written on the command line."""
        return self.name if self.positional else "--" + self.name.replace("_", "-")

    @property
    def plain_kind(self) -> Any:
        """The type without None."""
        others = [part for part in get_args(self.kind) if part is not NoneType]
        return others[0] if NoneType in get_args(self.kind) and len(others) == 1 else self.kind

    @property
    def is_switch(self) -> bool:
        """Whether it needs no value."""
        return self.plain_kind is bool

    @property
    def is_list(self) -> bool:
        """Whether it takes several values."""
        return get_origin(self.plain_kind) is list


def options_of(command: Callable[..., Any], positional: bool = False) -> dict[str, Option]:
    """Return the options of a command by name.

    Args:
        command: a function with type hints and a docstring.
        positional: whether required parameters are given by position.
    """
    about, hints = Docstring.of(command).parameters, get_type_hints(command)
    options: list[Option] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if is_dataclass(hints[name]):
            options += options_of_fields(hints[name], parameter.default)
        elif name != GIVEN:
            required = parameter.default is REQUIRED
            options.append(Option(name, hints[name], parameter.default, _help(name, about), positional and required))
    options.append(Option("config", str | None, None, CONFIG))
    return {option.name: option for option in options}


def options_of_fields(kind: Any, instance: Any, prefix: str = "") -> Iterator[Option]:
    """Yield the options of a dataclass's fields; defaults are those of an instance where there is one."""
    about: dict[str, str] = {}
    hints = get_type_hints(kind)
    for base in reversed(kind.__mro__):  # fields may be those of another dataclass, and said there
        about |= Docstring.of(base).parameters
    for field in fields(kind):
        default: Any = REQUIRED
        if is_dataclass(instance):
            default = getattr(instance, field.name)
        elif field.default is not MISSING:
            default = field.default
        elif field.default_factory is not MISSING:
            default = field.default_factory()
        name, hint = prefix + field.name, hints[field.name]
        if is_dataclass(hint):
            yield from options_of_fields(hint, default, f"{name}.")
        else:
            yield Option(name, hint, default, _help(field.name, about))


def _help(name: str, about: Mapping[str, str]) -> str:
    """What a docstring says about an option, or else what is said of all of that name."""
    return about.get(name) or OPTIONS.get(name, "")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise UsageError(message.removeprefix("argument "))


def read_words(options: Mapping[str, Option], words: Sequence[str]) -> dict[str, Any]:
    """Return the values that a command line gives, by the name of the option.

    Raises:
        UsageError: an option that does not exist, or a value that does not fit.
    """
    parser, switches = _Parser(add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS), set[str]()
    for option in options.values():
        # Underscores are understood too.
        for flag in dict.fromkeys([option.flag, option.flag if option.positional else f"--{option.name}"]):
            if option.positional:
                parser.add_argument(flag)
            elif option.is_list:
                parser.add_argument(flag, dest=option.name, nargs="+", action="extend")
            else:
                parser.add_argument(flag, dest=option.name)
            if option.is_switch:
                switches.add(flag)
                parser.add_argument(flag.replace("--", "--no-", 1), dest=option.name, action="store_const", const=False)
    # A switch takes the word after it only if that says yes or no; argparse takes any or none.
    following = [*words, ""][1:]
    split = [
        f"{word}=true" if word in switches and after.lower() not in BOOLEANS else word
        for word, after in zip(words, following, strict=True)
    ]
    found, unknown = parser.parse_known_args(split)
    if unknown:
        before = dict(zip(words[1:], words, strict=False)).get(unknown[0], "")
        raise UsageError(_not_understood(unknown[0], options, before if before in switches else None))
    try:
        return {name: value_of(value, options[name].kind, options[name].flag) for name, value in vars(found).items()}
    except ConfigError as error:
        raise UsageError(str(error)) from error


def _not_understood(word: str, options: Mapping[str, Option], switch: str | None) -> str:
    """What was probably meant by a word that is no option, and that may stand after a switch."""
    name, equals, value = word.removeprefix("--").partition("=")
    name = name.replace("-", "_")
    known = [option.name for option in options.values() if not option.positional]
    other = ELSEWHERE.get(name)
    meant = name if name in known else other if other in known else nearest(name, known)
    flag = options[meant].flag if meant else ""
    if word.startswith("-"):
        return f"no such option {quote(word.partition('=')[0])}" + (f", did you mean {flag!r}?" if flag else "")
    if equals and re.fullmatch(r"\w+", name):
        return f"options begin with --, {quote(word)} does not" + (f": write {flag} {value}" if flag else "")
    if switch is not None:
        return f"{quote(word)} belongs to no option; {switch} takes no value"
    near = " (for example --data)" if "data" in known and word.endswith((".yaml", ".json")) else ""
    return f"{quote(word)} belongs to no option; name one before it{near}"


def read_file(options: Mapping[str, Option], file: Path) -> dict[str, Any]:
    """Return the values that a YAML file gives, by the name of the option.

    Raises:
        ConfigError: the file cannot be read, an option that does not exist, or a value that does not fit.
    """
    from ..text_files import read_mapping

    values = {}
    for name, value in _with_dots(read_mapping(file), options):
        if name not in options or name == "config":
            raise ConfigError(f"{file}: {one_line(name)}: no such setting, {closest(name, options)}")
        values[name] = value_of(value, options[name].kind, f"{file}: {name}")
    return values


def _with_dots(content: Mapping[Any, Any], options: Mapping[str, Option]) -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        if isinstance(value, dict) and any(known.startswith(f"{name}.") for known in options):
            yield from ((f"{name}.{inner}", content) for inner, content in value.items())
        else:
            yield str(name), value


def arguments_of(command: Callable[..., Any], values: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what to call a command with.

    Args:
        command: the function.
        values: of options by name, from the command line and the file.
        given: those of the command line alone.

    Raises:
        ConfigError: an empty text on the command line, which nobody means, or a dataclass that refuses a value.
    """
    for name, value in given.items():
        if value in ("", [""]):
            raise ConfigError(f"{name}: is empty; give a value, or leave it out")
    hints, nested = get_type_hints(command), without_dots(values)
    arguments: dict[str, Any] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        if is_dataclass(hints[name]):
            names = [field.name for field in fields(hints[name])]
            start = {} if parameter.default is REQUIRED else {key: getattr(parameter.default, key) for key in names}
            arguments[name] = build(hints[name], start | {key: nested[key] for key in names if key in nested})
        elif name == GIVEN:
            arguments[name] = frozenset(option.partition(".")[0] for option in given)
        elif name in nested:
            arguments[name] = nested[name]
    return arguments


def without_dots(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values as they stand in YAML: `{"a.b": 1}` becomes `{"a": {"b": 1}}`."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        outer, dot, inner = name.partition(".")
        if dot:
            nested.setdefault(outer, {})[inner] = value
        else:
            nested[name] = value
    return nested


def to_yaml(options: Mapping[str, Option], values: Mapping[str, Any]) -> str:
    """Return all options that have a value, or a default, as a file that `--config` takes."""
    import yaml

    found = {}
    for name, option in options.items():
        value = values.get(name, option.default)
        if name != "config" and not option.positional and value is not REQUIRED:
            value = list(value) if isinstance(value, tuple) else value
            found[name] = value.value if isinstance(value, Enum) else value
    return yaml.safe_dump(without_dots(found), sort_keys=False)
