"""A command whose options are the parameters of the function that does the same: names and defaults stand once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, get_type_hints

from ..docstring import Docstring
from ..option_help import IN_PYTHON
from .options import KINDS

NO_OPTIONS = ("progress", "stream", "write")
"""Parameters of functions that a command decides itself."""


def twin_of(function: Callable[..., Any], **kinds: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that gives a command the parameters of a function, and what it says about them.

    The command has a docstring of its own, for its text and its examples, and the parameters that it names itself
    beside `**options`, which takes those of the function.

    Args:
        function: the function; it needs no heavy import.
        **kinds: types that parameters have on the command line where Python takes more; `options.KINDS` has those of
            several.
    """

    def of_command(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def twin(**options: Any) -> None:
            command(**options)

        theirs = inspect.signature(function).parameters.values()
        own = inspect.signature(command).parameters.values()
        taken = [p for p in theirs if p.name not in NO_OPTIONS and p.kind is not inspect.Parameter.VAR_KEYWORD]
        taken += [parameter for parameter in own if parameter.kind is not inspect.Parameter.VAR_KEYWORD]
        taken = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in taken]
        hints = {**function.__annotations__, **get_type_hints(command), **KINDS, **kinds}
        texts = Docstring.of(function).parameters | Docstring.of(command).parameters
        about = [f"    {name}: {text.removesuffix(IN_PYTHON.get(name, ''))}" for name, text in texts.items()]
        signature = inspect.Signature(taken)
        twin.__signature__ = signature  # type: ignore[attr-defined]
        twin.__annotations__ = {parameter.name: hints[parameter.name] for parameter in taken}
        twin.__name__, twin.__module__ = command.__name__, command.__module__
        twin.__doc__ = "\n".join([*_without_args(command), "Args:", *about])
        return twin

    return of_command


def _without_args(command: Callable[..., None]) -> list[str]:
    """The docstring of a command, ready for another section; its own parameters are in that one."""
    about = Docstring.of(command)
    examples = ["Examples:", *(f"    {example}" for example in about.examples), ""] if about.examples else []
    return [about.text, "", *examples]
