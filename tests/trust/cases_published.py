"""Published checkpoints that lie: archives, pickles and module trees."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np
import torch
from tests.helpers.published import archive, tensor_program
from tests.trust.harness import Case
from tests.trust.weights import (
    EVIL,
    OLD,
    Prepare,
    cut,
    key_of,
    nested,
    program,
    published,
    sparse,
    special,
    whole,
)

CONVERT = f"convert {OLD} new.safetensors"
MANY = 10**9


def tree(*, attributes: bytes = b"", modules: bytes = b"", parameters: bytes = b"") -> bytes:
    """A program of {"model": a DetectionModel with these steps as its members}."""
    members = (("_modules", modules), ("_parameters", parameters))
    made = b"".join(_text(name) + b"}(" + steps + b"u" for name, steps in members)
    return (
        b"\x80\x02}" + _text("model") + b"cultralytics.nn.tasks\nDetectionModel\n)\x81}(" + made + attributes + b"ubs."
    )


def _text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def forks(levels: int) -> bytes:
    """Modules of which each holds the next one twice."""
    steps = b"cultralytics.nn.tasks\nBlock\nq\x01)\x81q\x000"
    for _ in range(levels):
        both = _text("a") + b"h\x00" + _text("a.a") + b"h\x00"
        steps += b"h\x01)\x81}" + _text("_modules") + b"}(" + both + b"usbq\x000"
    return steps


def compressed(folder: Path) -> None:
    with zipfile.ZipFile(folder / OLD, "w", zipfile.ZIP_DEFLATED) as new:
        new.writestr("x/data.pkl", bytes(100_000_000))


def entries(count: int, name: str):
    def prepare(folder: Path) -> None:
        with zipfile.ZipFile(folder / OLD, "w") as new:
            for number in range(count):
                new.writestr(name.format(number), b"")

    return prepare


def shared_numbers(folder: Path) -> None:
    """A hundred layers' weights that all are the same megabyte."""
    steps = (
        b"("
        + b"X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuJ\x00\x00\x04\x00tQ"
    )
    tensor = (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + steps
        + b"K\x00J\x00\x00\x04\x00\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR"
    )
    members = b"".join(_text(f"p{number}") + tensor for number in range(100))
    with zipfile.ZipFile(folder / OLD, "w") as new:
        new.writestr("x/data.pkl", tree(parameters=members))
        new.writestr("x/data/0", bytes(1 << 20))


def encrypted(folder: Path) -> None:
    content = bytearray(archive(folder / OLD, b"\x80\x02N.").read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (folder / OLD).write_bytes(content)


def beyond_the_end(folder: Path) -> None:
    """The pickle stands at byte 2^64 - 1, by the extra field that large archives have."""
    info = zipfile.ZipInfo("x/data.pkl")
    info.extra = struct.pack("<HHQ", 1, 8, (1 << 64) - 1)
    with zipfile.ZipFile(folder / OLD, "w") as new:
        new.writestr(info, b"\x80\x02N.")
    content = bytearray((folder / OLD).read_bytes())
    offset = content.index(b"PK\x01\x02") + 42
    content[offset : offset + 4] = b"\xff" * 4
    (folder / OLD).write_bytes(content)


def with_storage(content: bytes):
    def prepare(folder: Path) -> None:
        with zipfile.ZipFile(folder / OLD, "w") as new:
            new.writestr("x/data.pkl", content)
            new.writestr("x/data/0", np.arange(4, dtype=np.float32).tobytes())

    return prepare


def sparse_archive(folder: Path) -> None:
    """A storage that claims a terabyte, in a file that has it as a hole."""
    archive(folder / OLD, b"\x80\x02N.")
    content = (folder / OLD).read_bytes()
    with (folder / OLD).open("r+b") as file:
        file.truncate(1 << 40)
        file.seek((1 << 40) - len(content))
        file.write(content)


def attribute(name: str, value: object):
    """Every module of a published checkpoint has this attribute."""

    def change(content: dict, layers: dict) -> None:
        for layer in layers.values():
            layer.attributes[name] = value
            for part in layer.get("_modules").values():
                if name in part.attributes:
                    part.attributes[name] = value

    return published(change)


def deep_tuple(levels: int) -> bytes:
    return b"N" + b"\x85" * levels


def cut_archive(folder: Path) -> None:
    program(EVIL)(folder)
    cut(OLD, 60)(folder)


def parameter(layers: dict, value: float) -> None:
    layers["10"].get("_modules")["bn"].attributes["_parameters"]["bias"].fill_(value)


def bad(what: str, prepare: Prepare, *says: str, command: str = CONVERT) -> Case:
    return Case(f"published: {what}", command, (OLD, *says), prepare)


CASES = [
    bad("runs a command", program(EVIL), "system"),
    bad(
        "runs a command when it is trained from",
        program(EVIL),
        "system",
        command=f"train --model {OLD} --data data.yaml --epochs 1",
    ),
    bad(
        "imports a module that lies in the folder",
        lambda folder: (folder / "evil.py").write_text("open('ran', 'w')") and program(b"cevil\nrun\n)R.")(folder),
        "evil.run",
    ),
    bad("a tuple nested 100 deep as a key", program(key_of(nested(100))), "key"),
    bad("a tuple nested 100 deep in a set", program(b"\x80\x04\x8f(" + nested(100) + b"\x90."), "key"),
    bad(
        "a tuple nested 100 deep as a storage's key",
        program(
            b"\x80\x02(X\x07\x00\x00\x00storagectorch\nFloatStorage\n" + nested(100) + b"X\x03\x00\x00\x00cpuK\x01tQ."
        ),
        "nothing of it was run",
    ),
    bad(
        "keys with one hash",
        program(
            b"\x80\x02}("
            + b"".join(b"\x8a\t" + (((1 << 61) - 1) * n).to_bytes(9, "little") + b"N" for n in range(1, 1000))
            + b"u."
        ),
        "key",
    ),
    bad("a tuple nested 200,000 deep", program(b"\x80\x02" + deep_tuple(200000) + b"."), "dictionary"),
    bad("a list nested 100,000 deep", program(b"\x80\x02" + b"]" * 100000 + b"a" * 99999 + b"."), "dictionary"),
    bad(
        "T nested 100 deep, twice at each level",
        program(tree(attributes=_text("T") + nested(100))),
        "SpikeYOLO network",
    ),
    bad("two million lists", program(b"\x80\x02" + b"]" * 2000000 + b"."), "steps"),
    bad("a pickle of 20 MB", lambda folder: program(b"\x80\x02" + b"N0" * 10000000 + b"N.")(folder), "MB"),
    bad(
        "a number of 10 MB",
        lambda folder: program(b"\x80\x02\x8b" + struct.pack("<i", 10000000) + b"\x7f" * 10000000 + b".")(folder),
        "dictionary",
    ),
    bad("a number of a million digits", program(b"I" + b"1" * 1000000 + b"\n."), "damaged"),
    bad("a text that claims 2^60 bytes", program(b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"abc."), "damaged"),
    bad("an empty stack", program(b"\x80\x020000."), "damaged"),
    bad("a mark that was not set", program(b"\x80\x02t."), "damaged"),
    bad("a memo that was not set", program(b"\x80\x02h\x07."), "damaged"),
    bad("a memo at 2^31", program(b"\x80\x02Nr\xff\xff\xff\x7f."), "dictionary"),
    bad("a name from the stack", program(b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93."), "eval"),
    bad("a name of numbers", program(b"\x80\x04K\x01K\x02\x93."), "no text"),
    bad("a name of 100,000 letters", program(b"c" + b"x" * 100000 + b"\ny\n."), "xxx"),
    bad("an extension", program(b"\x80\x02\x82\x01."), "EXT1"),
    bad("a persistent name in words", program(b"Pabc\n."), "PERSID"),
    bad("calls a text", program(b"\x80\x02X\x01\x00\x00\x00a)R."), "calls a str"),
    bad("a state for a list", program(b"\x80\x02]}b."), "state"),
    bad("a state that is a tuple", program(b"\x80\x02cultralytics.nn.tasks\nModel\n)\x81}}\x86b."), "state"),
    bad("a tensor of too few numbers", with_storage(tensor_program((10**9,), (0,))), "does not fit"),
    bad("a tensor of 2^62 rows", with_storage(tensor_program((1 << 62, 0), (1, 1))), "not fit"),
    bad("a tensor of 10,000 axes", with_storage(tensor_program((1,) * 10000, (1,) * 10000)), "axes"),
    bad("a tensor whose sizes are words", with_storage(tensor_program(("a",), ("b",))), "not fit"),
    bad("a storage of other size", with_storage(tensor_program((2,), (1,), 0, 8)), "16 bytes for 8"),
    bad("a storage that is not there", program(tensor_program((2,), (1,))), "data/0"),
    bad(
        "modules that hold each other twice",
        program(b"\x80\x02" + forks(200) + b"}" + _text("model") + b"h\x00s."),
        "no end",
    ),
    bad("a module of 100,000 letters", program(tree(modules=_text("x" * 100000) + b"N")), "no name that modules have"),
    bad(
        "modules that are a list",
        program(
            b"\x80\x02}"
            + _text("model")
            + b"cultralytics.nn.tasks\nDetectionModel\n)\x81}"
            + _text("_modules")
            + b"(lsbs."
        ),
        "_modules of a ultralytics.nn.tasks.DetectionModel is no dictionary",
    ),
    bad("a hundred weights that are one", shared_numbers, "SpikeYOLO network"),
    bad("T of 10^9", attribute("T", MANY), "timesteps"),
    bad("T of 10,000 digits", attribute("T", 10**10000), "timesteps"),
    bad("T is a list", attribute("T", [1]), "timesteps T"),
    bad("another eps", attribute("eps", {"a": [1e-05]}), "eps"),
    bad("NaN", published(lambda _, layers: parameter(layers, float("nan"))), "neck.reduce5.norm.bias", "NaN"),
    bad(
        "infinity, predict",
        published(lambda _, layers: parameter(layers, float("inf"))),
        "infinity",
        command=f"predict --weights {OLD} --source photo.jpg --device cpu",
    ),
    bad(
        "a convolution of one axis",
        published(
            lambda _, layers: (
                layers["1"].get("_modules")["encode_conv"].attributes["_parameters"].update(weight=torch.zeros(3))
            )
        ),
        "model.1.encode_conv.weight has shape",
    ),
    bad("compressed", compressed, "compressed"),
    bad("encrypted", encrypted, "encrypted"),
    bad("a list of 25,000 parts", entries(25_000, "x/data/{}" + "y" * 200), "a list of its parts"),
    bad("a part beyond the end", beyond_the_end, "cut short"),
    bad("two pickles", entries(2, "{}/data.pkl"), "2 pickles"),
    bad("no pickle", entries(2, "x/{}"), "0 pickles"),
    bad("cut short", cut_archive, "cut short"),
    bad("text", whole(b"hello", OLD), "not a PyTorch checkpoint"),
    bad("a terabyte with a hole", sparse_archive, "dictionary"),
    bad("a terabyte of nothing", sparse(OLD, 1 << 40), "not a PyTorch checkpoint"),
    bad("a pipe", special(OLD, "pipe"), "pipe or a device"),
    bad("a device", special(OLD, "device"), "pipe or a device"),
    bad("a folder", special(OLD, "folder"), "is a folder"),
]
