"""What a person reads: lines and tables, whatever characters the names in them hold and the terminal knows."""

from __future__ import annotations

import sys
from typing import IO, Any

from .text import visible


def say(*lines: object) -> None:
    """Print lines on standard output; each stays one, whatever it holds."""
    for line in lines:
        print(visible(str(line)), flush=True)


def complain(text: object) -> None:
    """Print a text on standard error, as one line."""
    print(line_of(text), file=sys.stderr, flush=True)


def line_of(text: object) -> str:
    """Return a text as one line that a terminal may be given."""
    return visible(" ".join(str(text).split()))


def show(*tables: Any, width: int | None = None) -> None:
    """Print `rich` tables on standard output, with what they hold as it is, neither markup nor control characters."""
    for table in tables:
        console(width=width).print(table)


def console(stderr: bool = False, width: int | None = None) -> Any:
    """Return a `rich` console that takes text for text."""
    from rich.console import Console

    class PlainConsole(Console):
        def render_str(self, text: str, **how: Any) -> Any:
            return super().render_str("\n".join(map(visible, text.split("\n"))), **how)

    return PlainConsole(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def let_all_characters_through(*streams: IO[str] | None) -> None:
    r"""Make streams write characters that they have no code for as Python does (`\u7ec6`), where they would fail.

    Nothing happens to those that are no files, as in notebooks.
    """
    for stream in streams:
        if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
            reconfigure(errors="backslashreplace")
