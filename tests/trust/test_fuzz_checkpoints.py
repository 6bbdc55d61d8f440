"""Files of weights in thousands of damaged forms: each loads, or is one CheckpointError; soon, and in little memory.

`pytest -m long` tries 10,000 of each format.
"""

from __future__ import annotations

import copy
import random
import resource
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.helpers.published import archive, rewritten
from tests.trust.harness import CLASSES, small_model
from tests.trust.weights import LAST, MODEL, PUBLISHED, joined, put_run, split, write_users_folder

import spikeyolo
from spikeyolo.errors import CheckpointError, SpikeYOLOError
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.interop.content import StoredTensor
from spikeyolo.training.last_checkpoint import _checked
from spikeyolo.training.module import DetectorModule
from spikeyolo.training.run import train
from spikeyolo.training.run_folder import RunFolder
from spikeyolo.training.settings import TrainSettings, read_settings
from spikeyolo.training.transfer import starting_model

MOST_SECONDS, MOST_MB = 2.0, 500

TOKENS = [
    *(b"-1", b"0", b"1e400", b"NaN", b"99999999999999999999", b"9" * 5000, b"null", b"true", b"[]", b"{}", b'""'),
    *(b'"x"', b"[" * 5000, b'{"a":' * 5000, b'"' + b"x" * 5000 + b'"', b'"\\ud83d"', b"\x00", b"\xff\xfe"),
]

VALUES: list[Any] = [
    *(None, True, -1, 0, 1, 7, 10**9, 10**400, 0.0, -1.5, 1e300, float("nan"), float("inf"), "", "x", "y" * 5000),
    *([], {}, (), [1, 2], {"a": 1}, {1: 2}, torch.zeros(0), torch.zeros(1), torch.full((3,), float("nan"))),
    torch.zeros((), dtype=torch.int64),
]


@contextmanager
def watched(what: object) -> Iterator[None]:
    """Nothing but our own errors, within the bounds of time and memory."""
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        yield
    except SpikeYOLOError as error:
        said = str(error)
        assert len(said) <= 700, what
        assert said.isprintable(), what
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    seconds = time.process_time() - started
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert seconds <= MOST_SECONDS, (what, seconds)
    assert grown <= MOST_MB, (what, grown)


def mutated(content: bytes, rng: random.Random, tokens: list[bytes] = TOKENS) -> bytes:
    """Bytes flipped, left out, put twice, or replaced by a token; up to three times."""
    for _ in range(rng.randint(1, 3)):
        at, length = rng.randrange(len(content) + 1), rng.choice((1, 1, 2, 4, 8, 100))
        part = content[at : at + length]
        new = rng.choice((bytes(rng.randrange(256) for _ in part), b"", part * 2, rng.choice(tokens)))
        content = content[:at] + new + content[at + length :]
    return content


def many(count: int) -> Any:
    """So many inputs, and 10,000 of them if asked for."""
    return pytest.mark.parametrize("count", [count, pytest.param(10_000, marks=pytest.mark.long)])


@pytest.fixture(scope="module")
def model_file(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("model") / MODEL
    small_model().save(path)
    return path.read_bytes()


@many(40)
def test_safetensors(count, tmp_path, model_file):
    header, numbers = split(model_file)
    length = int.from_bytes(model_file[:8], "little")
    path = tmp_path / MODEL
    for seed in range(count):
        rng = random.Random(seed)
        kind = rng.randrange(4)
        if kind == 0:  # anywhere in the header
            content = joined(mutated(model_file[8 : 8 + length], rng), numbers)
        elif kind == 1:  # in one part of the metadata
            changed = copy.deepcopy(header)
            key = rng.choice(list(changed["__metadata__"]))
            text = mutated(changed["__metadata__"][key].encode(), rng).decode("latin-1")
            changed["__metadata__"][key] = text
            content = joined(changed, numbers)
        elif kind == 2:  # in what is said of a tensor
            changed = copy.deepcopy(header)
            told = changed[rng.choice([name for name in changed if name != "__metadata__"])]
            told[rng.choice(("dtype", "shape", "data_offsets"))] = rng.choice(
                ("F16", "I64", "F7", [], [0], [1 << 62, 4], [0, 1 << 40], [5, 1], None, -1)
            )
            content = joined(changed, numbers)
        else:  # in the numbers, or the file's length
            content = model_file[: 8 + length] + mutated(numbers[:2000], rng) + numbers[2000:]
        path.write_bytes(content)
        with watched(seed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            spikeyolo.load(path)


def small_archive(path: Path) -> bytes:
    torch.save({"model": torch.nn.Linear(2, 2), "epoch": 3, "names": {0: "a"}, "list": [1, (2, 3), {"x"}]}, path)
    return path.read_bytes()


@many(150)
def test_published_archives(count, tmp_path):
    """Mostly of a small archive, a tenth of a whole published one."""
    path, small = tmp_path / "old.pt", small_archive(tmp_path / "small.pt")
    for seed in range(count):
        rng = random.Random(seed)
        if seed % 30 == 10:
            rewritten(PUBLISHED, path, lambda program, rng=rng: mutated(program, rng))
        elif seed % 2:
            rewritten(tmp_path / "small.pt", path, lambda program, rng=rng: mutated(program, rng))
        else:
            path.write_bytes(mutated(small, rng))
        with watched(seed):
            spikeyolo.load_reference(path)


ARGUMENTS: dict[bytes, Callable[[random.Random], bytes]] = {
    b"K": lambda rng: bytes([rng.randrange(256)]),
    b"M": lambda rng: bytes([rng.randrange(256), rng.randrange(256)]),
    b"J": lambda rng: bytes(rng.randrange(256) for _ in range(4)),
    b"\x8a": lambda rng: b"\x09" + bytes(rng.randrange(256) for _ in range(9)),
    b"G": lambda rng: bytes(rng.randrange(256) for _ in range(8)),
    b"X": lambda rng: b"\x01\x00\x00\x00" + rng.choice((b"a", b"T", b"0")),
    b"c": lambda rng: rng.choice(
        (
            *(b"torch\nFloatStorage\n", b"torch._utils\n_rebuild_tensor_v2\n", b"torch._utils\n_rebuild_parameter\n"),
            *(b"collections\nOrderedDict\n", b"torch\nSize\n", b"builtins\nset\n", b"ultralytics.nn.tasks\nModel\n"),
            *(b"os\nsystem\n", b"builtins\ngetattr\n"),
        )
    ),
    b"q": lambda rng: bytes([rng.randrange(8)]),
    b"h": lambda rng: bytes([rng.randrange(8)]),
    b"r": lambda rng: b"\xff\xff\xff\x7f",
    b"I": lambda rng: rng.choice((b"00\n", b"01\n", b"-7\n", b"x\n")),
    b"S": lambda rng: b"'ab'\n",
}
PLAIN = [bytes([code]) for code in b"N)]}(0120tlduesabRQ\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94"]


@many(1500)
def test_programs_of_a_pickle(count, tmp_path):
    """Steps at random; the machine never does more than build and refuse."""
    steps = [*ARGUMENTS, *ARGUMENTS, *PLAIN]
    for seed in range(count):
        rng = random.Random(seed)
        program = b"\x80\x02}X\x05\x00\x00\x00model"
        for _ in range(rng.randint(1, 60)):
            step = rng.choice(steps)
            program += step + (ARGUMENTS[step](rng) if step in ARGUMENTS else b"")
        with watched(program):
            spikeyolo.load_reference(archive(tmp_path / "old.pt", program + b"s."))


class Memory:
    """In the place of an archive."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.content = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()

    def numbers(self, key: str) -> bytearray:
        return bytearray(self.content)


def as_stored(value: Any) -> Any:
    """A tree as `opened` gives it."""
    if isinstance(value, torch.Tensor):
        strides = value.contiguous().stride()
        return StoredTensor(tuple(value.shape), value.dtype, Memory(value), "0", strides, 0)  # type: ignore[arg-type]
    if isinstance(value, dict):
        return type(value)((key, as_stored(item)) for key, item in value.items())
    return [as_stored(item) for item in value] if isinstance(value, list) else value


def changed(value: Any, rng: random.Random) -> Any:
    """The same tree with one thing in it replaced, left out, or put elsewhere; what is not changed is shared."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        made, key = type(value)(value), rng.choice(list(value))
        match rng.randrange(12):
            case 0:
                del made[key]
            case 1:
                made[rng.choice(("x", 5, "epoch"))] = made.pop(key)
            case 2:
                made["more"] = as_stored(rng.choice(VALUES))
            case _:
                made[key] = changed(value[key], rng)
        return made
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = rng.randrange(len(value))
        return rng.choice((value[:at], value + value[at:], [*value[:at], changed(value[at], rng), *value[at + 1 :]]))
    return as_stored(rng.choice(VALUES))


def tensors_of(value: Any) -> Any:
    """The tree with its tensors read, for torch.save."""
    if isinstance(value, StoredTensor):
        return value.read()
    if isinstance(value, dict):
        return type(value)((key, tensors_of(item)) for key, item in value.items())
    return [tensors_of(item) for item in value] if isinstance(value, list) else value


@pytest.mark.long
@many(40)
def test_last_ckpt(count, tmp_path):
    """What passes the check is really resumed from, as far as there is time."""
    folder = write_users_folder(tmp_path / "user")
    put_run(folder)
    settings = read_settings(folder / "run/config.yaml")
    network, _ = starting_model(settings, CLASSES, ImageInput.of(64))
    module = DetectorModule(network, settings, RunFolder(folder / "run"))
    tree = as_stored(torch.load(folder / LAST, weights_only=True))
    assert _checked(tree, module) == 1
    passed = []
    for seed in range(count):
        rng = random.Random(seed)
        content = tree
        for _ in range(rng.randint(1, 2)):
            content = changed(content, rng)
        with watched(seed):
            _checked(content, module)
            passed.append((seed, content))
    assert len(passed) < count / 2
    for seed, content in passed[: 200 if count > 1000 else 1]:
        put_run_again(folder)
        torch.save(tensors_of(content), folder / LAST)
        try:
            train(TrainSettings(), resume=folder / "run", given=set())
        except SpikeYOLOError:
            pass
        except Exception as error:
            raise AssertionError(f"{seed}: {type(error).__name__}: {error}") from error


def put_run_again(folder: Path) -> None:
    for path in sorted((folder / "run").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (folder / "run").rmdir()
    put_run(folder)


def test_a_damaged_archive_is_said_to_be_one(tmp_path):
    path = tmp_path / "old.pt"
    content = bytearray(small_archive(path))
    with zipfile.ZipFile(path) as found:
        at = found.getinfo("old/data/0").header_offset
    content[at + 30 + len("old/data/0") + 5 : at + 30 + len("old/data/0") + 60] = bytes(55)
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"old\.pt: "):
        spikeyolo.load_reference(path)
