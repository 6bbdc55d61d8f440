"""What every engine offers that runs an exported network, and the checks of a graph against what its file says."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..artefact import BOXES, DETECTIONS, IMAGES, LOGITS, NEW_STATE, SPIKES, STATE, Artefact
from ..errors import CheckpointError, ConfigError, ShapeError, one_line
from ..model.inputs import Input, from_metadata
from ..placement import REG_MAX
from ..reading import shown

State = Mapping[str, np.ndarray]
"""Membrane potentials (B, C, H, W) by neuron; an empty one stands for the start of a stream."""

Values = dict[str, np.ndarray]

OUTPUTS = {"logits": LOGITS, "boxes": BOXES, "detections": DETECTIONS}
FLOATS = ("float32", "float16")


class Session(Protocol):
    """An exported network, ready to run. Two threads may run it at once.

    Attributes:
        artefact: what the file says of the network.
        input: what it sees.
        source: the file or folder, for errors.
        engine: what runs it, with its version.
        keeps_state: whether potentials can be given and are given back.
        ranks: how many axes images may have: 4, and 5 with time in front.
    """

    artefact: Artefact
    input: Input
    source: str
    engine: str
    keeps_state: bool
    ranks: tuple[int, ...]

    def prepare(self, images: np.ndarray) -> np.ndarray:
        """Return uint8 or floating point images or frames, or counts in int8 or int16, in the type the network takes.

        Raises:
            ShapeError: floating point images for a network that takes bytes.
        """

    def run(self, images: np.ndarray, state: State | None = None) -> tuple[Values, Values]:
        """Return outputs by name, and the membrane potentials after them, empty where none are kept.

        Args:
            images: from `prepare`, (B, C, H, W) or (T, B, C, H, W), as the network takes them.
            state: of the run before.
        """


def input_of(artefact: Artefact, source: str) -> Input:
    """Return what the network sees.

    Raises:
        CheckpointError: what the file says there cannot be used, or does not fit the rest.
    """
    try:
        found = from_metadata(artefact.input)
    except ConfigError as error:
        raise CheckpointError(f"{source}: its metadata cannot be used ({error})") from error
    sizes = artefact.size_hw, getattr(found, "size_hw", None)
    if None not in sizes and tuple(sizes[0] or ()) != sizes[1]:
        raise CheckpointError(f"{source}: its metadata says two sizes, input {sizes[1]} and size_hw {sizes[0]}")
    if artefact.size_hw is not None and (len(artefact.size_hw) != 2 or min(artefact.size_hw) < 1):
        raise CheckpointError(f"{source}: its metadata says size_hw {artefact.size_hw}, which is no rows and columns")
    if len(artefact.strides) != len(LOGITS) or min(artefact.strides) < 1 or not artefact.names:
        raise CheckpointError(f"{source}: its metadata has no class, or not {len(LOGITS)} strides")
    return found


def said_number(artefact: Artefact, key: str, source: str) -> int:
    """Return a whole number of the network's config.

    Raises:
        CheckpointError: there is none.
    """
    value = artefact.config.get(key)
    if type(value) is not int or value < 1:
        raise CheckpointError(f"{source}: its metadata has no whole number config.{key} ({one_line(value)})")
    return value


@dataclass(frozen=True)
class Port:
    """An input or output of a graph.

    Attributes:
        name: of the tensor.
        dtype: numpy's name of its type.
        shape: length of each axis, None where it is free; None altogether where nothing is known.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None


class GraphSession(ABC):
    """What engines of graphs have in common; see `Session`.

    Args:
        artefact: what the file says.
        source: the file.
        engine: what runs it.
        inputs: of the graph.
        outputs: of the graph.

    Raises:
        CheckpointError: the graph is not what the file says.
    """

    def __init__(
        self, artefact: Artefact, source: str, engine: str, inputs: Iterable[Port], outputs: Iterable[Port]
    ) -> None:
        self.artefact, self.source, self.engine = artefact, source, engine
        self.keeps_state = artefact.streaming
        self.inputs, self.outputs = ({port.name: port for port in ports} for ports in (inputs, outputs))
        self.outputs.pop(SPIKES, None)  # for those who want to know; it finds nothing
        self.input = input_of(artefact, source)
        for fault in _faults(artefact, self.input.network_fields["in_channels"], self.inputs, self.outputs):
            raise CheckpointError(f"{source}: the network is not what its metadata says: {fault}")
        shape = self.inputs[IMAGES].shape
        assert shape is not None
        self.ranks: tuple[int, ...] = (len(shape),)

    def prepare(self, images: np.ndarray) -> np.ndarray:
        """See `Session`."""
        dtype = np.dtype(self.inputs[IMAGES].dtype)
        if images.dtype == dtype:
            return images
        if np.issubdtype(dtype, np.floating):
            scaled = images.astype(np.float32) / np.float32(255) if images.dtype == np.uint8 else images
            return scaled.astype(dtype)
        if self.input.in_bytes or images.dtype == np.uint8:
            raise ShapeError(f"images: {shown(self.source)} takes {dtype}, got {images.dtype}")
        limits, levels = np.iinfo(dtype), np.rint(images, dtype=np.result_type(images, np.float32))
        return levels.clip(limits.min, limits.max).astype(dtype)  # counts of events, whole numbers themselves

    def run(self, images: np.ndarray, state: State | None = None) -> tuple[Values, Values]:
        """See `Session`."""
        feeds = {IMAGES: np.ascontiguousarray(images)}
        if self.keeps_state:
            for name, port in self.inputs.items():
                if name != IMAGES:
                    feeds[name] = self._potential(port, images.shape[-4], state or {})
        found = self._compute(feeds)
        new_state = {
            name.removeprefix(NEW_STATE): found.pop(name) for name in list(found) if name.startswith(NEW_STATE)
        }
        return found, new_state

    def _potential(self, port: Port, batch: int, state: State) -> np.ndarray:
        """What a neuron starts from: what it was left with, or rest."""
        assert port.shape is not None
        shape: Any = (batch, *port.shape[1:])  # checked when the file was opened
        name = port.name.removeprefix(STATE)
        if (given := state.get(name)) is None:
            return np.zeros(shape, np.dtype(port.dtype))
        if given.shape != shape:
            raise ShapeError(f"state: {name} of shape {given.shape}, the network takes {shape}; start a new stream")
        return np.ascontiguousarray(given, np.dtype(port.dtype))

    @abstractmethod
    def _compute(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return all outputs by name; they stay as they are when the next run begins."""


def _faults(artefact: Artefact, channels: int, inputs: Mapping[str, Port], outputs: Mapping[str, Port]) -> Any:
    """What of a graph does not fit what its file says; yields nothing where all does."""
    states = {name.removeprefix(STATE) for name in inputs if name.startswith(STATE)}
    wanted = {IMAGES, *(STATE + name for name in states)}
    if set(inputs) != wanted or bool(states) != artefact.streaming:
        yield f"its inputs are {_listed(inputs)}"
        return
    wanted = {*OUTPUTS[artefact.outputs], *(NEW_STATE + name for name in states)}
    if set(outputs) != wanted:
        yield f"its outputs are {_listed(outputs)}, not {_listed(wanted)}"
        return
    yield from _image_faults(artefact, channels, inputs[IMAGES])
    classes = len(artefact.names)
    last = {"logits": (LOGITS[0], 1, 4 * REG_MAX + classes), "boxes": (BOXES[1], 2, classes)}
    if artefact.outputs in last:
        name, axis, length = last[artefact.outputs]
        shape = outputs[name].shape
        if shape is not None and (len(shape) <= axis or shape[axis] not in (None, length)):
            yield f"{name} is of shape {_written(shape)}, not of {classes} classes"
    for name in states:
        shape = inputs[STATE + name].shape
        if shape is None or len(shape) != 4 or None in shape[1:]:
            yield f"{one_line(STATE + name)} is of shape {_written(shape)}; channels, rows and columns must be fixed"


def _image_faults(artefact: Artefact, channels: int, port: Port) -> Any:
    shape = port.shape
    if port.dtype not in ("uint8", "int8", "int16", "int32", *FLOATS):
        yield f"its images are of {port.dtype}"
    if shape is None or len(shape) not in (4, 5):
        yield f"its images are of shape {_written(shape)}"
        return
    size_hw = artefact.size_hw or (None, None)
    said = (artefact.batch, channels, *size_hw)
    if len(shape) == 5:
        said = (artefact.timesteps, *said)
    if shape != said:
        yield f"its images are of shape {_written(shape)}, not {_written(said)}"


def _written(shape: tuple[int | None, ...] | None) -> str:
    return "unknown" if shape is None else f"({', '.join('free' if n is None else str(n) for n in shape)})"


def _listed(names: Iterable[str]) -> str:
    return one_line(", ".join(sorted(names)))
