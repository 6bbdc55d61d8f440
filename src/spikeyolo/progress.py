"""A progress bar on standard error, where that is a terminal, or in a notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .terminal import console, in_notebook
from .text import visible

ProgressCallback = Callable[[int, "int | None"], None]
"""Called with how much is done, and with how much there is in all, or None where that is not known."""


@contextmanager
def progress_bar(title: str, total: int | None = None, show: bool = True) -> Iterator[ProgressCallback]:
    """Show a bar that disappears when the work is done; in a pipe or a file nothing is printed.

    Args:
        title: what is being done.
        total: how much there is in all, if that is known from the start.
        show: False for no bar at all.

    Yields:
        A function to call with the progress.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    terminal = console(stderr=True)
    hidden = not show or not (terminal.is_terminal or in_notebook())
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=terminal, transient=True, disable=hidden) as bar:
        task = bar.add_task(visible(title), total=total)
        yield lambda done, of: bar.update(task, completed=done, total=of)
