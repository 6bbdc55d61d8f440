"""An inert reader of `torch.save` files: of the published ones, a pickled module tree, and of a run's last.ckpt.

A pickle is a program for a small stack machine. This is that machine without what could do harm: it builds containers,
`StoredTensor`s whose numbers are not read, and `Node`s, which stand for objects of every class that it may name; any
other name ends the reading. It compares, hashes and prints nothing that is nested, so that there is no depth at which
it fails, and a program can only be as long, and build as much, as the bounds here say.
"""

from __future__ import annotations

import pickle
import pickletools
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import CheckpointError, one_line, quote
from ..model.checkpoint import check_file
from .archive import Archive
from .content import Node, StoredTensor

MOST_STEPS = 1_000_000
"""Of the program; a published one has about 90,000."""

MOST_AXES, LARGEST = 8, 1 << 40

DTYPES = {
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}

NODE_MODULES = ("ultralytics.", "spikingjelly.", "torch.nn.modules.")
"""Modules whose classes a published checkpoint mentions; they become Nodes."""

NODE_NAMES = {
    ("argparse", "Namespace"),
    ("types", "SimpleNamespace"),
    ("pathlib", "Path"),
    ("pathlib", "PosixPath"),
    ("pathlib", "WindowsPath"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("_codecs", "encode"),
}
"""Further names in the settings and scores beside the network; Nodes too."""

LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "NONE"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
"""Steps that put their argument on the stack."""

TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(frozen=True)
class _Class:
    """A class that becomes Nodes."""

    kind: str


@dataclass(frozen=True)
class _Maker:
    """A function that the pickle may call: one of this module."""

    make: Callable[..., Any]


@dataclass(frozen=True)
class _Storage:
    """A run of numbers in the archive."""

    key: str
    dtype: torch.dtype
    numel: int


class _Machine:
    """Runs a pickle's program, and nothing that it names."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []  # the stacks under each mark
        self._memo: dict[int, Any] = {}
        self._known: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): _Maker(self._ordered),
            ("builtins", "set"): _Maker(self._set),
            ("__builtin__", "set"): _Maker(self._set),
            ("torch", "Size"): _Maker(_size),
            ("torch._utils", "_rebuild_tensor_v2"): _Maker(self._tensor),
            ("torch._utils", "_rebuild_parameter"): _Maker(_parameter),
            **{("torch", name): dtype for name, dtype in DTYPES.items()},
        }
        self._steps: dict[str, Callable[[Any], object]] = {
            "MARK": lambda _: self._mark(),
            "POP": lambda _: self._stack.pop(),
            "POP_MARK": lambda _: self._since_mark(),
            "DUP": lambda _: self._push(self._stack[-1]),
            "NEWTRUE": lambda _: self._push(True),
            "NEWFALSE": lambda _: self._push(False),
            "EMPTY_LIST": lambda _: self._push([]),
            "EMPTY_DICT": lambda _: self._push({}),
            "EMPTY_SET": lambda _: self._push(set()),
            "LIST": lambda _: self._push(self._since_mark()),
            "TUPLE": lambda _: self._push(tuple(self._since_mark())),
            "DICT": lambda _: self._push(_filled({}, self._since_mark())),
            "APPEND": lambda _: self._extend([self._stack.pop()]),
            "APPENDS": lambda _: self._extend(self._since_mark()),
            "SETITEM": lambda _: self._fill([self._stack.pop(-2), self._stack.pop()]),
            "SETITEMS": lambda _: self._fill(self._since_mark()),
            "ADDITEMS": lambda _: self._add(self._since_mark()),
            "GLOBAL": lambda name: self._push(self._named(*name.split(" ", 1))),
            "STACK_GLOBAL": lambda _: self._push(self._named(self._stack.pop(-2), self._stack.pop())),
            "REDUCE": lambda _: self._call(),
            "NEWOBJ": lambda _: self._call(),
            "BUILD": lambda _: self._build(),
            "BINPERSID": lambda _: self._push(self._storage(self._stack.pop())),
            **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), self._remember),
            "MEMOIZE": lambda _: self._remember(len(self._memo)),
            **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda at: self._push(self._memo[at])),
            **dict.fromkeys(("PROTO", "FRAME"), lambda _: None),
        }

    def run(self, program: bytes) -> Any:
        """Return what the program builds."""
        for number, (step, argument, _) in enumerate(pickletools.genops(program)):
            name = step.name
            if number >= MOST_STEPS:
                raise pickle.UnpicklingError(f"its pickle has more than {MOST_STEPS:,} steps")
            if name == "STOP":
                break
            if name in LITERALS:
                self._stack.append(argument)
            elif name in TUPLES:
                self._push(tuple(reversed([self._stack.pop() for _ in range(TUPLES[name])])))
            elif name in self._steps:
                self._steps[name](argument)
            else:
                raise pickle.UnpicklingError(f"its pickle has a step {name}, which torch.save never writes")
        return self._stack.pop()

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _mark(self) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _since_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._below.pop()
        return items

    def _remember(self, at: int) -> None:
        self._memo[at] = self._stack[-1]

    def _extend(self, items: list[Any]) -> None:
        _of_type(self._stack[-1], list).extend(items)

    def _fill(self, items: list[Any]) -> None:
        _filled(_of_type(self._stack[-1], dict), items)

    def _add(self, items: list[Any]) -> None:
        _of_type(self._stack[-1], set).update(map(_key, items))

    def _named(self, module: object, name: object) -> Any:
        """What stands for a name of the pickle; an unknown one ends the reading."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise pickle.UnpicklingError("it names something by what is no text")
        if (module, name) in self._known:
            return self._known[module, name]
        if module.startswith(NODE_MODULES) or (module, name) in NODE_NAMES:
            return _Class(f"{module}.{name}")
        raise pickle.UnpicklingError(f"it names {one_line(f'{module}.{name}')}, which no SpikeYOLO checkpoint contains")

    def _call(self) -> None:
        """Of what an object was to be built from, nothing is kept."""
        arguments, called = _of_type(self._stack.pop(), tuple), self._stack.pop()
        if isinstance(called, _Class):
            self._push(Node(called.kind))
        elif isinstance(called, _Maker):
            self._push(called.make(*arguments))
        else:
            raise pickle.UnpicklingError(f"it calls a {type(called).__name__}")

    def _build(self) -> None:
        state = self._stack.pop()
        target = self._stack[-1]
        if isinstance(target, Node):
            if not isinstance(state, dict):
                raise pickle.UnpicklingError(f"the state of a {one_line(target.kind)} is no dictionary")
            target.attributes = state
        elif not isinstance(target, OrderedDict):  # of which a state dict keeps its version beside its tensors
            raise pickle.UnpicklingError(f"it gives a state to a {type(target).__name__}")

    def _ordered(self, pairs: Any = ()) -> OrderedDict[Any, Any]:
        made: OrderedDict[Any, Any] = OrderedDict()
        for pair in _of_type(pairs, list | tuple):
            _filled(made, list(_of_type(pair, list | tuple)))
        return made

    def _set(self, items: Any = ()) -> set[Any]:
        return set(map(_key, _of_type(items, list | tuple)))

    def _storage(self, pid: Any) -> _Storage:
        """A run of numbers, wherever it lived ("cuda:3" too): its numbers are in the archive."""
        if not (isinstance(pid, tuple) and len(pid) == 5 and pid[0] == "storage" and isinstance(pid[1], torch.dtype)):
            raise pickle.UnpicklingError("it refers to something that is not a storage of numbers")
        _, dtype, key, _, numel = pid
        size = self._archive.size_of(_of_type(key, str))
        if size != _of_type(numel, int) * dtype.itemsize:
            raise pickle.UnpicklingError(f"data/{one_line(key)} has {size} bytes for {quote(numel)} numbers of {dtype}")
        return _Storage(key, dtype, numel)

    def _tensor(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> StoredTensor:
        storage, size, stride = _of_type(storage, _Storage), _size(size), _size(stride)
        (offset,) = _size((offset,))
        if len(size) != len(stride):
            raise pickle.UnpicklingError("a tensor with more axes than strides, or fewer")
        numel, last = 1, offset
        for n, s in zip(size, stride, strict=True):
            numel, last = numel * n, last + (n - 1) * s
        if numel > storage.numel or (numel and last >= storage.numel):
            raise pickle.UnpicklingError(f"a tensor of shape {size} does not fit its {storage.numel} numbers")
        return StoredTensor(size, storage.dtype, self._archive, storage.key, stride, offset if numel else 0)


def _of_type(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise pickle.UnpicklingError(f"a {type(value).__name__} stands where there must be another kind of value")
    return value


def _key(value: Any) -> Any:
    """A key of a dictionary; of nested values the hash alone can take for ever."""
    if not isinstance(value, str | int | None) or (isinstance(value, int) and abs(value) >= 1 << 31):
        raise pickle.UnpicklingError("a key of a dictionary that is neither a text nor a small number")
    return value


def _filled(target: dict[Any, Any], items: list[Any]) -> dict[Any, Any]:
    """The dictionary with keys and values that come one after the other."""
    if len(items) % 2:
        raise pickle.UnpicklingError("a key of a dictionary without a value")
    for key, value in zip(items[::2], items[1::2], strict=True):
        target[_key(key)] = value
    return target


def _size(values: Any) -> tuple[int, ...]:
    values = _of_type(values, list | tuple)
    if len(values) > MOST_AXES or not all(type(n) is int and 0 <= n < LARGEST for n in values):
        raise pickle.UnpicklingError(
            "a tensor whose shape or place does not fit: more axes or other numbers than tensors have"
        )
    return tuple(values)


def _parameter(data: Any, *_: Any) -> StoredTensor:
    return _of_type(data, StoredTensor)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Give the content of a `torch.save` file, of which nothing is run; tensors can be read while the block lasts.

    Args:
        path: the file.

    Yields:
        Containers, `Node`s, `StoredTensor`s and plain values. Keys are texts and numbers; values may be nested to any
        depth, and in themselves.

    Raises:
        CheckpointError: here or in the block: the file is missing, is no such archive, is damaged, or names something
            that is not expected.
    """
    check_file(path)
    try:
        with Archive(path) as archive:
            yield _content(archive)
    except zipfile.BadZipFile as error:
        raise CheckpointError(f"{path}: not a PyTorch checkpoint, or cut short ({one_line(error)})") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: not a SpikeYOLO checkpoint, nothing of it was run: {one_line(error)}"
        ) from error


def _content(archive: Archive) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # genops decodes texts, and warns of odd escapes in them
            return _Machine(archive).run(archive.program())
    except (ValueError, IndexError, KeyError, TypeError) as error:  # damaged; an empty stack is an IndexError
        raise pickle.UnpicklingError(f"its pickle is damaged ({type(error).__name__}: {one_line(error)})") from error
