"""The two kinds of input that a network can have; a network carries its own, saved with its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..events.event_input import PREPARATIONS, EventInput
from ..imaging.image_input import ImageInput

if TYPE_CHECKING:
    from .detector import SpikeYOLO

Input = ImageInput | EventInput

KINDS: dict[str, type[ImageInput] | type[EventInput]] = {cls.kind: cls for cls in (ImageInput, EventInput)}


def to_metadata(input: Input) -> dict[str, Any]:
    """Return plain values, with the kind they are of."""
    return {"kind": input.kind, **input.to_dict()}


def from_metadata(values: Mapping[str, Any]) -> Input:
    """Return the input of a file; the inverse of `to_metadata`.

    Raises:
        ConfigError: an unknown kind, or a value that does not exist or is out of range.
    """
    values = dict(values)
    kind = values.pop("kind", None)
    if kind not in KINDS:
        raise ConfigError(f"input: kind {kind!r} is not one of {', '.join(KINDS)}")
    return KINDS[kind].from_dict(values)


def with_timesteps(input: Input | None, timesteps: int) -> Input | None:
    """Return the input of a network of other timesteps: a window of a recording is cut into so many parts."""
    return replace(input, timesteps=timesteps) if isinstance(input, EventInput) else input


def check_input(input: Input, in_channels: int, timesteps: int) -> None:
    """Raise ConfigError unless what the input gives fits a network's channels and timesteps."""
    if isinstance(input, ImageInput):
        if in_channels != 3:
            raise ConfigError(f"input: images have 3 channels, the network has in_channels={in_channels}")
    elif (input.channels, input.timesteps) != (in_channels, timesteps):
        raise ConfigError(
            f"{input.representation.name} with timesteps {input.timesteps} gives T, C = {input.timesteps}, "
            f"{input.channels}; the network takes {timesteps}, {in_channels}"
        )


def chosen_input(
    model: SpikeYOLO,
    imgsz: int | tuple[int, int] | None = None,
    preparation: str | None = None,
    window_us: int | None = None,
    kind: str | None = None,
) -> Input:
    """Return what a model sees: its own input, with what a user wants changed.

    Args:
        model: the network.
        imgsz: side of the canvas of images, or its rows and columns.
        preparation: how recordings become frames, by name, in place of the model's own.
        window_us: length of the window of a recording, in microseconds.
        kind: of the data that it is to see, "images" or "recordings"; None: whatever it sees.

    Raises:
        ConfigError: data of another kind; a change that this kind of input does not know, or after which it does not
            fit the network; a model that does not say what it sees.
    """
    own = model.input
    if preparation is None and (isinstance(own, ImageInput) or kind == ImageInput.kind):
        if kind == EventInput.kind:
            raise ConfigError(
                f"the model sees images, the data are recordings; name a preparation: {', '.join(PREPARATIONS)}"
            )
        if isinstance(own, EventInput):
            raise ConfigError("the model sees recordings of an event camera, the data are images")
        if window_us is not None:
            raise ConfigError("window_us: for recordings of event cameras; this model sees images")
        return (own or ImageInput()) if imgsz is None else ImageInput.of(imgsz)
    if kind == ImageInput.kind:
        raise ConfigError("preparation: for recordings of event cameras, the data are images")
    if imgsz is not None:
        raise ConfigError("imgsz: for images; of recordings the sensor decides the size")
    if own is None and preparation is None:
        raise ConfigError(
            f"the model does not say how recordings become frames; name a preparation: {', '.join(PREPARATIONS)}"
        )
    found = EventInput.of(preparation or own, window_us=window_us)  # type: ignore[arg-type] # no ImageInput by now
    check_input(found, model.config.in_channels, model.config.timesteps)
    return found
