"""The `spikeyolo` program: finds the command, reads its options, and turns errors of the user into one line.

Each command is a function in a file of its own; its parameters are the options, its docstring their help.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

COMMANDS = {
    "demo": "the whole story on generated images, or with --events on recordings, in minutes",
    "data check": "look at every image and label of a data set, and say what is wrong",
    "train": "train a detector on labelled images or recordings, or go on with a training",
    "val": "measure the average precision and the speed of a model",
    "predict": "find objects on images, videos, cameras and recordings of event cameras",
    "energy": "count spikes and operations on images, and what they cost, beside the same network as an ANN",
    "sweep": "average precision against energy, over numbers of timesteps and largest spike counts",
    "events info": "sensor, duration, rate and labels of recordings of event cameras",
    "events view": "draw windows of a recording, with the boxes labelled in them",
    "events prepare": "write an event data set in RVT's layout; training here does not need it",
    "convert": "turn a published checkpoint (.pt) into a safetensors file",
}
"""Each command, in the module of its name, with its line in the help."""

POSITIONAL = {"convert", "data check", "events info", "events view", "events prepare"}
"""Commands whose required parameters are given by position."""

HELP = {"-h", "--help"}
USAGE_ERROR, BROKEN_PIPE = 2, 141


class _UsageError(Exception):
    """A command or option that is not understood."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code: 0, 1 for bad input, 2 for a wrong command line, 130 when interrupted,
    141 when the output is closed.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    from ..errors import SpikeYOLOError

    format_of_others = warnings.formatwarning
    if not debug:
        warnings.formatwarning = lambda message, *_: f"spikeyolo: warning: {message}\n"
    try:
        if not words or words[0] in HELP:
            print(_help(COMMANDS))
        elif _group(words[0]) and set(words[1:2]) <= HELP:
            print(_help(_group(words[0])))
        elif words[0] == "--version":
            from .. import __version__

            print(f"spikeyolo {__version__}")
        else:
            _run(words)
        sys.stdout.flush()
        return 0
    except BrokenPipeError:
        # Whoever read the output has seen enough, as in `| head`; nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt:
        print("spikeyolo: interrupted", file=sys.stderr)
        return 130
    except (_UsageError, SpikeYOLOError) as error:
        if debug:
            traceback.print_exc()
        print(f"spikeyolo: {' '.join(str(error).split())}", file=sys.stderr)
        return USAGE_ERROR if isinstance(error, _UsageError) else 1
    finally:
        warnings.formatwarning = format_of_others


def _group(word: str) -> dict[str, str]:
    """The commands of two words that begin with this one."""
    return {name: text for name, text in COMMANDS.items() if name.startswith(f"{word} ")}


def _help(commands: Mapping[str, str]) -> str:
    width = max(map(len, commands))
    lines = [f"  {name:<{width}}  {text}" for name, text in commands.items()]
    return "\n".join(
        [
            "usage: spikeyolo COMMAND [options]",
            "",
            "Object detection with spiking neural networks, from training to the chip.",
            "",
            *lines,
            "",
            "spikeyolo COMMAND --help lists the options of a command; --version prints the version;",
            "--debug shows the whole traceback of an error.",
        ]
    )


def _run(words: list[str]) -> None:
    """Calls the function of the command's last word in the module of its first."""
    name = next((name for name in COMMANDS if words[: len(name.split())] == name.split()), None)
    if name is None:
        typed = " ".join(word for word in words[:2] if not word.startswith("-"))
        raise _UsageError(f"no such command {typed!r}{_suggestion(typed, list(COMMANDS))}; see spikeyolo --help")
    module, function = name.split()[0], name.split()[-1]
    command: Callable[..., None] = getattr(importlib.import_module(f".{module}", __package__), function)
    command(**_options(name, command, words[len(name.split()) :]))


def _options(name: str, command: Callable[..., None], words: list[str]) -> dict[str, object]:
    """The command's parameters, read from the command line and its --config file."""
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(prog=f"spikeyolo {name}", exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--config", action="config", help="a YAML file with the same names as the options")
    parser.add_function_arguments(command, as_positional=name in POSITIONAL)
    try:
        words = _with_switches_set(parser, [_as_parameter(word) for word in words])
        values = parser.parse_args(_with_lists_joined(parser, _with_recipes_found(words)))
    except ArgumentError as error:
        known = [option for action in parser._actions for option in action.option_strings]
        unknown = next(
            (w.partition("=")[0] for w in words if w.startswith("--") and w.partition("=")[0] not in known), ""
        )
        hint = _suggestion(unknown, known) if unknown else ""
        raise _UsageError(f"{name}: {error.message or error}{hint}; see spikeyolo {name} --help") from error
    return {key: value for key, value in vars(values).items() if key != "config"}


def _as_parameter(word: str) -> str:
    """`--spike-driven=x` becomes `--spike_driven=x`: the options are the parameters of a function."""
    name, equals, value = word.partition("=")
    return name.replace("-", "_").replace("__", "--", 1) + equals + value if name.startswith("--") else word


def _with_switches_set(parser: ArgumentParser, words: list[str]) -> list[str]:
    """`--integer`, when no value follows, becomes `--integer=true`."""
    switches = {
        option
        for action in parser._actions
        if getattr(action, "_typehint", None) is bool or getattr(action, "type", None) is bool
        for option in action.option_strings
    }
    following = [*words, "--"][1:]
    return [
        f"{word}=true" if word in switches and after.startswith("--") else word
        for word, after in zip(words, following, strict=True)
    ]


def _with_lists_joined(parser: ArgumentParser, words: list[str]) -> list[str]:
    """`--source a b` becomes `--source ["a", "b"]`, the form in which jsonargparse takes a list."""
    actions = [action for action in parser._actions if "list[" in str(getattr(action, "_typehint", ""))]
    lists = {option for action in actions for option in action.option_strings}
    joined: list[str] = []
    while words:
        word, *words = words
        joined.append(word)
        if word in lists:
            end = next((i for i, w in enumerate(words) if w.startswith("--")), len(words))
            if end and not words[0].startswith("["):
                joined.append(json.dumps(words[:end]))
                words = words[end:]
    return joined


def _with_recipes_found(words: list[str]) -> list[str]:
    """`--config small` becomes the path of the recipe of that name in the package, unless there is such a file here."""
    recipes = {path.stem: str(path) for path in (Path(__file__).parents[1] / "training" / "recipes").glob("*.yaml")}
    found = list(words)
    for place, value in enumerate(words[1:], start=1):
        if words[place - 1] == "--config" and not Path(value).exists():
            found[place] = recipes.get(value, value)
    return found


def _suggestion(word: str, known: list[str]) -> str:
    near = get_close_matches(word, known, n=1)
    return f", did you mean {near[0]!r}?" if near else ""


if __name__ == "__main__":
    sys.exit(main())
