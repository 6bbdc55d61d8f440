"""The metadata of an ONNX file without the package onnx: looked at before an engine is given the file.

A file of protocol buffers is a row of fields, each with its number and, here, its length; a file that is cut short ends
within one. Source: protobuf.dev/programming-guides/encoding and onnx/onnx.proto, message ModelProto.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import CheckpointError

METADATA, GRAPH = 14, 7
"""Fields of ModelProto."""

KEY, VALUE = 1, 2
"""Fields of StringStringEntryProto."""


def onnx_metadata(content: bytes, source: str) -> dict[str, str]:
    """Return the metadata of an ONNX file.

    Args:
        content: of the whole file.
        source: its name, for errors.

    Raises:
        CheckpointError: it is not ONNX, or cut short.
    """
    found, graph = {}, False
    fault = f"{source}: not an ONNX file, or one that is cut short; copy or export it again"
    try:
        for number, value in _fields(memoryview(content)):
            graph = graph or number == GRAPH
            if number == METADATA:
                entry = dict(_fields(value))
                found[bytes(entry[KEY]).decode()] = bytes(entry[VALUE]).decode()
    except (IndexError, ValueError, KeyError) as error:
        raise CheckpointError(fault) from error
    if not graph:
        raise CheckpointError(fault)
    return found


def _fields(content: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield the number and the content of each field; that of numbers is left out."""
    place = 0
    while place < len(content):
        tag, place = _varint(content, place)
        match tag & 7:
            case 0:
                _, place = _varint(content, place)
                continue
            case 1:
                length = 8
            case 2:
                length, place = _varint(content, place)
            case 5:
                length = 4
            case kind:
                raise ValueError(f"no field is of kind {kind}")
        if place + length > len(content):
            raise ValueError("cut short")
        yield tag >> 3, content[place : place + length]
        place += length


def _varint(content: memoryview, place: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, the lowest first, and the place after it."""
    value = 0
    for shift in range(0, 64, 7):
        byte = content[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("a number of more than 64 bits")
