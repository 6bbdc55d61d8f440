"""`spikeyolo completion`: a shell's completion of commands, options and files."""

from __future__ import annotations

import argparse
import importlib
import sys
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from ..exporting.registry import FORMATS
from .arguments import Option, options_of

PATHS = {
    *("config", "data", "html", "json", "json_lines", "model", "out", "reference", "resume", "runtime_files"),
    *("samples", "source", "teacher", "technology", "weights"),
}
"""Options of files and folders."""


def completion(shell: Literal["bash", "zsh", "fish"]) -> None:
    """Print what a shell needs to complete commands, options and files when the tab key is pressed.

    Keep it where the shell looks for such things: bash in ~/.local/share/bash-completion/completions/spikeyolo, zsh as
    _spikeyolo in a folder of its fpath, fish in ~/.config/fish/completions/spikeyolo.fish.

    Args:
        shell: bash, zsh or fish

    Examples:
        spikeyolo completion bash
    """
    import shtab

    sys.stdout.write(shtab.complete(whole_parser(), shell) + "\n")  # as it is: `say` would fold long lines


def whole_parser() -> argparse.ArgumentParser:
    """Return a parser of all commands and options, which knows more of them than the one that reads a command line."""
    import shtab

    from .main import COMMANDS, POSITIONAL

    whole = argparse.ArgumentParser(prog="spikeyolo", description="Object detection with spiking neural networks.")
    whole.add_argument("--version", action="store_true", help="print the version")
    groups = {"": whole.add_subparsers()}
    for name, line in COMMANDS.items():
        group, _, last = name.rpartition(" ")
        if group not in groups:
            about = ", ".join(other.rpartition(" ")[2] for other in COMMANDS if other.startswith(f"{group} "))
            groups[group] = groups[""].add_parser(group, help=about).add_subparsers()
        parser = groups[group].add_parser(last, help=line)
        parser.add_argument("--help-all", action="store_true", help="all options")
        command = getattr(importlib.import_module(f".{name.replace(' ', '_')}", __package__), last)
        for option in options_of(command, positional=name in POSITIONAL).values():
            _add(parser, option, shtab.FILE)
    return whole


def _add(parser: argparse.ArgumentParser, option: Option, files: Any) -> None:
    words: dict[str, Any] = {"help": option.help.replace("%", "%%")}
    if option.is_switch:
        changes = option.flag.replace("--", "--no-", 1) if option.default else option.flag
        parser.add_argument(changes, action="store_true", **words)
        return
    kind = option.plain_kind
    if get_origin(kind) is Literal:
        words["choices"] = get_args(kind)
    elif isinstance(kind, type) and issubclass(kind, Enum):
        words["choices"] = [member.value for member in kind]
    elif option.name == "format":
        words["choices"] = list(FORMATS)
    if option.is_list:
        words["nargs"] = "+"
    action = parser.add_argument(option.flag, **words)
    if option.name in PATHS:
        action.complete = files  # type: ignore[attr-defined]
