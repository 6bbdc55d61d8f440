"""Files of weights that lie: safetensors."""

from __future__ import annotations

import json
import struct

import torch
from tests.trust.harness import Case
from tests.trust.weights import (
    MODEL,
    Prepare,
    cast,
    config,
    cut,
    header,
    integer,
    joined,
    metadata,
    put,
    sparse,
    special,
    tensors,
    whole,
)

PREDICT = f"predict --weights {MODEL} --source photo.jpg --device cpu"
VAL = f"val --weights {MODEL} --data data.yaml --device cpu --workers 0"
ENERGY = f"energy --weights {MODEL} --data data.yaml --device cpu --workers 0"
TRAIN = f"train --model {MODEL} --data data.yaml --epochs 1 --device cpu --workers 0"
STEM, NORM = "backbone.stem.conv.weight", "backbone.stem.norm"
DEEP = "[" * 100_000 + "]" * 100_000
MANY = 10**9
EVENTS = "model-events.safetensors"


def more_tensors(count: int):
    """So many tensors of one number more."""
    return tensors(lambda found: found.update({f"more.{i}": torch.zeros(1) for i in range(count)}))


def overlapping(content: dict) -> None:
    first, second = [name for name in content if name != "__metadata__"][:2]
    content[second]["data_offsets"] = content[first]["data_offsets"]


def bad(what: str, prepare: Prepare, *says: str, command: str = PREDICT) -> Case:
    return Case(f"weights: {what}", command, (MODEL, *says), prepare)


CASES = [
    bad("one of float16 among float32", cast(STEM, torch.half), STEM, "float16", "float32"),
    bad("one of float64 among float32", cast(f"{NORM}.weight", torch.double), f"{NORM}.weight", "float64", command=VAL),
    bad("one of whole numbers", cast(STEM, torch.int32), STEM, "int32", "float32", command=ENERGY),
    bad("one of truth values", cast(STEM, torch.bool), STEM, "bool", command=TRAIN),
    bad("complex numbers", cast(STEM, torch.complex64), STEM, "complex64"),
    bad("all of 8 bits", tensors(lambda t: t.update({k: v.to(torch.float8_e4m3fn) for k, v in t.items()})), "float8"),
    bad(
        "a counter of floating point",
        cast(f"{NORM}.num_batches_tracked", torch.float32),
        "num_batches_tracked",
        "int64",
    ),
    bad("NaN, predict", put(STEM, float("nan")), STEM, "NaN"),
    bad("NaN, val", put(STEM, float("nan")), STEM, "NaN", command=VAL),
    bad("NaN, energy", put(f"{NORM}.running_mean", float("nan")), f"{NORM}.running_mean", "NaN", command=ENERGY),
    bad("NaN, train", put(STEM, float("nan")), STEM, "NaN", command=TRAIN),
    bad(
        "NaN, sweep",
        put(STEM, float("nan")),
        STEM,
        "NaN",
        command=f"sweep --weights {MODEL} --data data.yaml --device cpu --workers 0",
    ),
    bad("infinity", put(f"{NORM}.bias", float("inf")), f"{NORM}.bias", "infinity", command=VAL),
    Case(
        "weights: minus infinity in those of events",
        f"predict --weights {EVENTS} --source events/val --device cpu",
        (EVENTS, STEM, "infinity"),
        put(STEM, float("-inf"), EVENTS),
    ),
    bad("a variance below 0", put(f"{NORM}.running_var", -1), f"{NORM}.running_var", "below 0"),
    *[
        bad(f"{name} of 10^9", config(**{name: MANY}), name)
        for name in ("timesteps", "num_classes", "in_channels", "width", "last_ratio", "input_levels", "max_count")
    ],
    bad("repeats of 10^9", config(repeats=[MANY, 1, 1, 1]), "repeats", "1..20"),
    bad("repeats of 10^9 to train from", config(repeats=[1, 1, 1, MANY]), "repeats", "1..20", command=TRAIN),
    bad("a network larger than the file", config(repeats=[20] * 4, width=4), "config", "the file has"),
    bad("timesteps below 1", config(timesteps=-1), "timesteps", command=VAL),
    bad("a width that is no number", config(width=float("nan")), "width"),
    bad("a width in words", config(width="wide"), "width", "'wide'"),
    bad("repeats as one number", config(repeats=2), "repeats"),
    bad("repeats in a mapping", config(repeats={"a": 1}), "repeats"),
    bad("a neuron that is a list", config(neuron=["coco"]), "neuron"),
    bad("a decay beyond floating point", config(decay=float("inf")), "decay"),
    bad("a setting that networks have not", config(**{"x" * 5000: 1}), "no such setting"),
    bad("a config that is a list", metadata(config="[1, 2]"), "config"),
    bad("a config nested 100,000 deep", metadata(config=DEEP), "config", "recursion"),
    bad("a config with a number of 100,000 digits", metadata(config='{"width": ' + "1" * 100000 + "}"), "config"),
    bad("a config cut short", metadata(config='{"width": 0.5, '), "config", "JSON"),
    bad("no config", metadata(config=None), "config is missing"),
    bad("a config without repeats", metadata(config='{"width": 0.125}'), "config.repeats: missing"),
    bad("no names", metadata(names=None), "names is missing", command=VAL),
    bad("names nested 100,000 deep", metadata(names=DEEP), "names", command=VAL),
    bad("names that are one text", metadata(names='"abc"'), "names", "'abc'", command=VAL),
    bad("names that are numbers", metadata(names="[1, 2, 3]"), "names", command=VAL),
    bad("names in a mapping", metadata(names='{"0": "a", "1": "b", "2": "c"}'), "names", command=VAL),
    bad("more names than classes", metadata(names='["a", "b", "c", "d"]'), "4 class names", command=VAL),
    bad("no form", metadata(form=None), "form"),
    bad("a form of 100,000 letters", metadata(form="x" * 100000), "form", "xxx"),
    bad("integers without fraction bits", metadata(form="integer"), "fraction_bits"),
    bad("10^9 fraction bits", metadata(form="integer", fraction_bits=str(MANY)), "fraction_bits", "6..16"),
    bad("fraction bits in words", metadata(form="integer", fraction_bits="many"), "fraction_bits", "'many'"),
    bad("another form than the tensors have", metadata(form="separable"), "left over"),
    bad("integers shifted by -5 bits", integer(put("backbone.stem.shift", -5)), "stem.shift", "0..31"),
    bad("integers shifted by 127 bits", integer(put("backbone.stem.shift", 127)), "stem.shift", "0..31", command=VAL),
    bad(
        "integers held as floating point",
        integer(cast("backbone.stem.weight", torch.float32)),
        "backbone.stem.weight",
        "int8",
    ),
    bad("an input that is a list", metadata(input="[]"), "input"),
    bad("an input of an unknown kind", metadata(input='{"kind": ["images"]}'), "kind"),
    bad("an input with settings that it has not", metadata(input='{"kind": "images", "size": 64}'), "input.size"),
    bad("an input in words", metadata(input='{"kind": "images", "size_hw": "large"}'), "size_hw"),
    bad("an input nested 100,000 deep", metadata(input=DEEP), "input"),
    bad(
        "recordings of 10^9 timesteps",
        metadata(input=json.dumps({"kind": "recordings", "timesteps": MANY, "window_us": 2 * MANY})),
        "timesteps",
    ),
    bad("a version of 10,000 digits", metadata(version="9" * 10000), "format version"),
    bad("of another program", metadata(format="pt"), "not of spikeyolo"),
    bad("a header that claims 2^60 bytes", whole(struct.pack("<Q", 1 << 60) + b"{}"), "not a safetensors file"),
    bad(
        "a header of 9 MB",
        lambda folder: whole(joined(b"{" + b" " * 9000000 + b"}", b"\x00" * 16))(folder),
        "header of",
        "at most",
    ),
    bad("5,000 tensors more", more_tensors(5_000), "left over 5000"),
    bad(
        "a name of 100,000 letters",
        tensors(lambda found: found.update({"x" * 100000: torch.zeros(1)})),
        "left over 1: xxx",
    ),
    bad("two tensors in one place", header(overlapping), "not a safetensors file"),
    bad(
        "a tensor beyond the end", header(lambda h: h[STEM].update(data_offsets=[0, 1 << 60])), "not a safetensors file"
    ),
    bad(
        "a tensor that begins below 0",
        header(lambda h: h[STEM].update(data_offsets=[-1, 10])),
        "not a safetensors file",
    ),
    bad("a type that does not exist", header(lambda h: h[STEM].update(dtype="F7")), "not a safetensors file"),
    bad(
        "a shape whose product overflows",
        header(lambda h: h[STEM].update(shape=[1 << 62, 1 << 62])),
        "not a safetensors file",
    ),
    bad(
        "a shape with other axes", tensors(lambda found: found.update({STEM: found[STEM].flatten()})), STEM, "has shape"
    ),
    bad("bytes after the end", header(lambda h: None, b"more"), "not a safetensors file"),
    bad("a header that is no JSON", whole(joined(b"{ nothing }", b"")), "not a safetensors file"),
    bad("a header nested 100,000 deep", whole(joined(DEEP.encode(), b"")), "not a safetensors file"),
    bad("cut short", cut(MODEL, 30000), "not a safetensors file"),
    bad("an empty file", whole(b""), "not a safetensors file", command=VAL),
    bad("a terabyte of nothing", sparse(MODEL, 1 << 40), "not a safetensors file"),
    bad(
        "a terabyte of one tensor",
        sparse(
            MODEL,
            (1 << 40) + 8 + 100,
            joined(
                json.dumps({"x": {"dtype": "U8", "shape": [1 << 40], "data_offsets": [0, 1 << 40]}})
                .ljust(100)
                .encode(),
                b"",
            ),
        ),
    ),
    bad("a pipe", special(MODEL, "pipe"), "pipe or a device"),
    bad("a device", special(MODEL, "device"), "pipe or a device"),
    bad("a folder", special(MODEL, "folder"), "is a folder"),
    bad("a link to itself", special(MODEL, "loop"), "symbolic links"),
    Case(
        "weights: a name of 300 letters",
        f"predict --weights {'x' * 300}.safetensors --source photo.jpg",
        "cannot be read (File name too long)",
    ),
]
