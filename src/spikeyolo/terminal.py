"""What a person reads: lines and tables, whatever characters the names in them hold and the terminal knows."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import IO, Any

from .text import visible

HTML_WIDTH = 120
"""Columns of tables in notebooks."""


def say(*lines: object) -> None:
    """Print lines on standard output; each stays one, whatever it holds."""
    for line in lines:
        print(visible(str(line)), flush=True)


def tell_apart(*lines: object) -> None:
    """Print lines as `say` does, on standard error: where standard output is for a program."""
    for line in lines:
        print(visible(str(line)), file=sys.stderr, flush=True)


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


def console(stderr: bool = False, width: int | None = None, **how: Any) -> Any:
    """Return a `rich` console that takes text for text; `how` is for rich."""
    from rich.console import Console

    class PlainConsole(Console):
        def render_str(self, text: str, **how: Any) -> Any:
            return super().render_str("\n".join(map(visible, text.split("\n"))), **how)

    return PlainConsole(stderr=stderr, width=width, markup=False, emoji=False, highlight=False, **how)


def in_notebook() -> bool:
    """Whether this runs in a notebook that can show what moves, for which rich needs ipywidgets there."""
    return "ipykernel" in sys.modules and find_spec("ipywidgets") is not None


def as_text(*shown: Any) -> str:
    """Return `rich` tables and lines as plain text."""
    from io import StringIO

    printed = StringIO()
    console(width=HTML_WIDTH, file=printed, force_jupyter=False, force_terminal=False).print(*shown, sep="\n")
    return printed.getvalue().rstrip()


def as_html(*shown: Any) -> str:
    """Return `rich` tables and lines as HTML, for notebooks."""
    from io import StringIO

    from rich.jupyter import JUPYTER_HTML_FORMAT  # in letters of one width, or no line of a table meets another

    recorded = console(width=HTML_WIDTH, record=True, file=StringIO(), force_jupyter=False)
    for item in shown:
        recorded.print(item)
    return recorded.export_html(inline_styles=True, code_format=JUPYTER_HTML_FORMAT)


def let_all_characters_through(*streams: IO[str] | None) -> None:
    r"""Make streams write characters that they have no code for as Python does (`\u7ec6`), where they would fail.

    Nothing happens to those that are no files, as in notebooks.
    """
    for stream in streams:
        if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
            reconfigure(errors="backslashreplace")
