"""The errors users see: each says what is wrong, where, and how to mend it, in one line; and quoting in them."""

from __future__ import annotations

import os
import reprlib

from .text import visible

QUOTED = 100
"""Characters of what a file holds that an error shows at most."""


class SpikeYOLOError(Exception):
    """Base of every error that bad input of a user can cause; the command line prints its text and no traceback."""


class ConfigError(SpikeYOLOError, ValueError):
    """A setting that does not exist, or a value outside its range."""


class ShapeError(SpikeYOLOError, ValueError):
    """A tensor whose shape, axes or type are not those that the docstring asks for."""


class CheckpointError(SpikeYOLOError):
    """A file of weights that cannot be read, is not what it should be, or does not fit the network."""


class DataError(SpikeYOLOError):
    """An image, label, recording or data set description that cannot be used."""


class WriteError(SpikeYOLOError):
    """A file or folder that cannot be written: no such folder, no permission, a full disk; the old one is unchanged."""


class TrainingError(SpikeYOLOError):
    """A training that cannot go on, such as one whose loss is not finite."""


class VerificationError(SpikeYOLOError):
    """A network that claims to be driven by spikes alone, and is not."""


class MissingPackage(SpikeYOLOError):  # noqa: N818 - what is missing says enough
    """A package that is needed here and not installed; the text names the extra that brings it."""


def quote(value: object, limit: int = QUOTED) -> str:
    """Return how Python writes a value that a user gave or a file holds, cut short: for use in an error.

    Control characters and lone surrogates are escaped, numbers of any length and lists of any depth and size are fine.
    """
    writer = _Writer()
    writer.maxstring = writer.maxother = writer.maxlong = limit
    text = writer.repr(os.fspath(value) if isinstance(value, os.PathLike) else value)
    return one_line(text, limit + 2)  # with the quotation marks


def one_line(text: object, limit: int = QUOTED) -> str:
    """Return a text, such as another library's error, on one line, cut short and without control characters."""
    start = str(text)[: 4 * limit]
    line = visible(" ".join(start.split()))
    return line if len(line) <= limit else f"{line[: limit - 3]}..."


class _Writer(reprlib.Repr):
    """Python's own short form of values, which takes numbers of any length too."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3

    def repr_int(self, x: int, level: int) -> str:
        bits = x.bit_length()
        return super().repr_int(x, level) if bits < 1000 else f"a whole number of {bits} bits"
