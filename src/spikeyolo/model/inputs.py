"""The two kinds of input that a network can have; a network carries its own, saved with its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ..errors import ConfigError, quote
from ..events.event_input import PREPARATIONS, EventInput
from ..imaging.image_input import ImageInput

Input = ImageInput | EventInput

KINDS: dict[str, type[ImageInput] | type[EventInput]] = {cls.kind: cls for cls in (ImageInput, EventInput)}


class Seeing(Protocol):
    """A network that says what it sees."""

    @property
    def input(self) -> Input | None:
        """Its own; None where it is of events and does not say which."""

    def check_input(self, input: Input) -> None:
        """Raise ConfigError unless the network takes what an input gives."""


def to_metadata(input: Input) -> dict[str, Any]:
    """Return plain values, with the kind they are of."""
    return {"kind": input.kind, **input.to_dict()}


def from_metadata(values: Mapping[str, Any]) -> Input:
    """Return the input of a file; the inverse of `to_metadata`.

    Raises:
        ConfigError: an unknown kind, or a value that does not exist or is out of range.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"input: expected settings by name, got {quote(values)}")
    values = dict(values)
    kind = values.pop("kind", None)
    if not isinstance(kind, str) or kind not in KINDS:
        raise ConfigError(f"input: kind {quote(kind)} is not one of {', '.join(KINDS)}")
    return KINDS[kind].from_dict(values)


def chosen_input(
    model: Seeing,
    imgsz: int | tuple[int, int] | None = None,
    preparation: str | None = None,
    kind: str | None = None,
    **changes: Any,
) -> Input:
    """Return what a model sees: its own input, with what a user wants changed.

    Args:
        model: the network.
        imgsz: side of the canvas of images, or its rows and columns.
        preparation: how recordings become frames, by name, in place of the model's own.
        kind: of the data that it is to see, "images" or "recordings"; None: whatever it sees.
        **changes: to the windows and filters of recordings, by the names of `event_input.CHANGES`; None: none.

    Raises:
        ConfigError: data of another kind; a change that this kind of input does not know, or after which it does not
            fit the network; a model that does not say what it sees.
    """
    if preparation is not None and kind == ImageInput.kind:
        raise ConfigError("preparation: for recordings of event cameras, the data are images")
    names = ", ".join(PREPARATIONS)
    own: Input | None = model.input if preparation is None else EventInput.of(preparation)
    if own is None and kind == ImageInput.kind:
        own = ImageInput()
    if own is None:
        raise ConfigError(f"the model does not say how recordings become frames; name a preparation: {names}")
    if kind not in (None, own.kind):
        mend = (
            f"give a model of recordings, or name the preparation of this one: {names}"
            if kind == EventInput.kind
            else "give recordings, or another model"
        )
        raise ConfigError(f"the model sees {own.kind}, the data are {kind}; {mend}")
    found = own.changed(imgsz, **changes)
    try:
        model.check_input(found)
    except ConfigError as error:
        raise ConfigError(f"preparation: {error}" if preparation is not None else str(error)) from error
    return found
