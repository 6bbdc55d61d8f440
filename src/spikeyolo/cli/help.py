"""The help of a command: what it does, its options in groups, examples."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin

from ..docstring import Docstring
from .arguments import REQUIRED, Option

WIDTH = 100  # of a line

Groups = Mapping[str, tuple[str, ...]]
"""Names of options by title; a name stands for those with a dot after it too. `--help` shows the first two groups."""


def command_help(
    name: str, command: Callable[..., Any], options: Mapping[str, Option], groups: Groups | None, everything: bool
) -> str:
    """Return the help of a command.

    Args:
        name: of the program and the command, such as `spikeyolo events view`.
        command: the function behind it.
        options: its options.
        groups: for a command with many; otherwise they stand in two, the required ones first.
        everything: whether to show more than the first two groups.
    """
    about = Docstring.of(command)
    required = [option for option in options.values() if option.default is REQUIRED]
    needed = " ".join(o.flag.upper() if o.positional else f"{o.flag} {_metavar(o)}" for o in required)
    parser = argparse.ArgumentParser(
        prog=name,
        usage=" ".join(f"{name} {needed} [options]".split()),
        description="\n\n".join(textwrap.fill(part, WIDTH) for part in about.text.split("\n\n")),
        epilog="\n  ".join(["examples:", *about.examples]) if about.examples else None,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=30, width=WIDTH),
        add_help=False,
    )
    if groups is None:
        names = {option.name for option in required}
        groups = {"required": tuple(names), "options": tuple(options.keys() - names)}
    shown = list(groups) if everything else list(groups)[:2]
    for title in shown:
        section = parser.add_argument_group(title)
        for option in options.values():
            if option.name in groups[title] or option.name.partition(".")[0] in groups[title]:
                _add(section, option)
    section = parser.add_argument_group("help")
    section.add_argument("--print-config", action="store_true", help="print the options as a file for --config")
    if len(shown) < len(groups):
        section.add_argument("--help-all", action="store_true", help=f"also {', '.join(list(groups)[2:])}")
    return parser.format_help().rstrip()


def _add(section: Any, option: Option) -> None:
    text, default = option.help.rstrip("."), option.default
    if option.is_switch and default is True:
        text += f" (the default; {option.flag.replace('--', '--no-', 1)} switches it off)"
    elif default not in (REQUIRED, None, "", [], ()) and default is not False:
        text += f" (default {getattr(default, 'value', default)})"
    if get_origin(option.plain_kind) is Literal and not _metavar(option).startswith("{"):
        text += f": {', '.join(map(str, get_args(option.plain_kind)))}"
    text = text.replace("%", "%%")
    if option.positional:
        section.add_argument(option.name, help=text, metavar=option.name.upper())
    else:
        section.add_argument(option.flag, help=text, metavar=_metavar(option))


def _metavar(option: Option) -> str:
    """What stands for the value."""
    kind = option.plain_kind
    choices = "{" + ",".join(map(str, get_args(kind))) + "}"
    if get_origin(kind) is Literal and len(choices) < WIDTH // 2:  # longer ones are told in the text
        return choices
    if hasattr(kind, "__members__"):
        return "{" + ",".join(str(member.value) for member in kind) + "}"
    short = {int: "N", float: "X", bool: ""}.get(kind)
    name = option.name.rpartition(".")[2].upper()
    return short if short is not None else f"{name} ..." if option.is_list else name
