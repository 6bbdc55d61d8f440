"""Runs a chip package on its golden inputs and compares every layer with the golden values, bit for bit.

    python reference.py            # prints "all N layers equal" and ends with 0, or names the first that differs: 1
    python reference.py --slots    # weighs binary slots, in the slot code of the package, not counts: the same integers

Needs numpy alone. Axes: T timesteps, B images, C channels, H rows, W columns. Every number is an integer: levels of the
input -255..255, spike counts 0..D, and potentials, of which 2**fraction_bits are one threshold.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

MANIFEST, WEIGHTS, GOLDEN = "manifest.json", "weights.safetensors", "golden.safetensors"
DTYPES = {"I8": "<i1", "U8": "<u1", "I16": "<i2", "I32": "<i4", "I64": "<i8"}
PARTS = {"weight": "int8", "shift": "int8", "bias": "int32"}
SCALED = {"thresholds": "int32", "reset": "int32"}  # of a layer whose neurons have scales of their own
INPUT, THRESHOLDS = "input", "thresholds"

Layer = dict[str, Any]  # as in the manifest
State = dict[str, np.ndarray]  # of each layer with neurons the potentials (B, C, H, W) after the last reset
Watch = Callable[[str, str, np.ndarray], None]  # layer; counts, potentials, sums or out; values (T, B, C, H, W)
DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, MemoryError, RecursionError)


class PackageError(Exception):
    """What is wrong with a package, in one line that names the layer or the file."""

    def __str__(self) -> str:  # a damaged file may hold what confuses a terminal
        return "".join(letter if letter.isprintable() else "?" for letter in super().__str__()[:500])


def fire(potentials: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Return spike counts 0..D: how many of the D thresholds the potentials reach."""
    counts = np.zeros(potentials.shape, np.uint8)
    for threshold in thresholds:
        counts += potentials >= threshold
    return counts


def slots_of(counts: np.ndarray, weights: list[int]) -> list[np.ndarray]:
    """Return where each slot holds a spike: where what is left of the count is at least its weight, which it takes."""
    spikes: list[np.ndarray] = []
    for weight in weights:
        spikes.append(counts >= weight)
        counts = counts - spikes[-1] * weight
    return spikes


def neurons(x: np.ndarray, v: np.ndarray | None, rule: dict[str, Any], thresholds: np.ndarray) -> list[np.ndarray]:
    """Return counts and potentials after the reset, both (T, B, C, H, W).

    Args:
        x: (T, B, C, H, W) what the layers before give.
        v: (B, C, H, W) potentials that are left from before; None at the start.
        rule: gain_shift, leak_shift (None: nothing is left) and reset, a number or (1 or C, 1, 1).
        thresholds: (D,) or (D, 1 or C, 1, 1).
    """
    counts, potentials = [], []
    for current in x:
        h = current >> rule["gain_shift"]  # numpy's shift of a negative integer rounds down
        if v is not None and rule["leak_shift"] is not None:
            h = h + (v >> rule["leak_shift"])
        counts.append(fire(h, thresholds))
        v = h - counts[-1].astype(np.int32) * rule["reset"]
        potentials.append(v)
    return [np.stack(counts), np.stack(potentials)]


def weigh(x: np.ndarray, weight: np.ndarray, layer: Layer) -> np.ndarray:
    """Return the sums of weights (N, out, H', W') of counts or levels (N, in, H, W), zero beyond the border."""
    (above, left), (down, across) = layer["padding"], layer["stride"]
    # Processors multiply matrices of floating point fastest; where no sum reaches 2**24 (2**53) it is exact.
    dtype = np.float32 if layer["bounds"]["sums"] < 2**24 else np.float64
    padded = np.pad(x.astype(dtype), ((0, 0), (0, 0), (above, above), (left, left)))
    weight, kernel = weight.astype(dtype), weight.shape[2:]
    rows, columns = ((p - k) // s + 1 for p, k, s in zip(padded.shape[2:], kernel, layer["stride"], strict=True))
    sums = np.zeros((len(x), len(weight), rows, columns), dtype)
    for i, j in np.ndindex(kernel):
        seen = padded[:, :, i : i + down * rows : down, j : j + across * columns : across]
        if layer["groups"] == 1:
            sums += np.matmul(weight[:, :, i, j], seen.reshape(*seen.shape[:2], -1)).reshape(sums.shape)
        else:  # as many groups as channels: each channel by itself
            sums += weight[:, 0, i, j].reshape(-1, 1, 1) * seen
    return sums.astype(np.int64)


def narrow(values: np.ndarray) -> np.ndarray:
    """Return 64-bit integers as 32-bit ones; the bounds in the manifest prove that they fit."""
    if values.size and not -(2**31) <= values.min() <= values.max() < 2**31:
        raise ValueError(f"a value leaves 32 bits: {values.min()}..{values.max()}")
    return values.astype(np.int32)


def pool(x: np.ndarray, size: int) -> np.ndarray:
    """Return the largest potential of the size x size around each position; beyond the border there is nothing."""
    edge, (rows, columns) = size // 2, x.shape[-2:]
    padded = np.pad(x, ((0, 0), (0, 0), (0, 0), (edge, edge), (edge, edge)), constant_values=np.iinfo(x.dtype).min)
    largest = x
    for i, j in np.ndindex(size, size):
        largest = np.maximum(largest, padded[..., i : i + rows, j : j + columns])
    return largest


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a safetensors file: 8 bytes with the length of a JSON header, the header, the values."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 + length:
                raise PackageError(f"{path.name}: cut short within its header, at {size} bytes")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        tensors, raw = {}, np.asarray(np.memmap(path, np.uint8, "r"))
        for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            if end > size:
                raise PackageError(f"{name}: cut short in {path.name}, which ends at {size} of at least {end} bytes")
            tensors[name] = raw[begin:end].view(DTYPES[entry["dtype"]]).reshape(entry["shape"])
    except DAMAGE as error:
        raise PackageError(f"{path.name}: no file of integers ({type(error).__name__}: {error})") from error
    return tensors


def same_names(file: str, found: dict[str, np.ndarray], expected: list[str]) -> None:
    """Raise PackageError unless a file holds the tensors that the manifest speaks of."""
    for name in expected:
        if name not in found:
            raise PackageError(f"{name}: missing in {file}")
    for name in found:
        if name not in expected:
            raise PackageError(f"{name}: in {file}, but of no layer in {MANIFEST}")


class Network:
    """The network of a package, a folder with manifest.json and weights.safetensors; PackageError if it is damaged."""

    def __init__(self, folder: str | Path):
        self.tensors = read_tensors(Path(folder) / WEIGHTS)
        try:
            self.manifest = json.loads((Path(folder) / MANIFEST).read_bytes())
            self.layers, self.rule = self.manifest["layers"], self.manifest["neuron"]
            self.levels = self.manifest["logits"]
            self.sha256 = {name: self.manifest["sha256"][name] for name in (WEIGHTS, GOLDEN)}
            self._check()
        except DAMAGE as error:
            raise PackageError(f"{MANIFEST}: damaged, or not of this kind ({type(error).__name__}: {error})") from error

    def _check(self) -> None:
        known, expected = [INPUT], [THRESHOLDS]
        ends = [{"name": level["name"], "sources": [level["boxes"], level["classes"]]} for level in self.levels]
        for layer in [*self.layers, *ends]:
            for source in layer["sources"]:
                if source not in known:
                    raise PackageError(f"{source}: missing in {MANIFEST}, {layer['name']} takes what it gives")
            known.append(layer["name"])
            if layer.get("kind") == "convolution":
                expected += [f"{layer['name']}.{part}" for part in PARTS | (SCALED if "scales" in layer else {})]
        same_names(WEIGHTS, self.tensors, expected)
        if self.tensors[THRESHOLDS].tolist() != self.rule["thresholds"]:
            raise PackageError(f"{THRESHOLDS}: not the same in {WEIGHTS} and {MANIFEST}")
        for layer in (layer for layer in self.layers if layer["kind"] == "convolution"):
            out, into = layer["out"]["channels"], layer["in"]["channels"] // layer["groups"]
            shapes: dict[str, Any] = {"weight": (out, into, *layer["kernel"]), "shift": (out,), "bias": (out,)}
            shapes |= {"thresholds": (self.rule["max_count"], n), "reset": (n,)} if (n := layer.get("scales")) else {}
            for part, shape in shapes.items():
                name, due = f"{layer['name']}.{part}", ((PARTS | SCALED)[part], shape)
                if (found := (self.tensors[name].dtype, self.tensors[name].shape)) != due:
                    raise PackageError(f"{name}: {found[0]} {found[1]} in {WEIGHTS}, {due[0]} {due[1]} expected")

    def run(
        self, levels: np.ndarray, state: State | None = None, slots: bool = False, watch: Watch | None = None
    ) -> tuple[list[np.ndarray], State]:
        """Run T timesteps.

        Args:
            levels: (T, B, C, H, W) integers -255..255; a still image stands there T times.
            state: what the call before returned, to go on from there; None: every neuron is at rest. Not changed.
            slots: weigh the slots of a count one by one, as its slot code says.
            watch: is told what happens in each layer; "sums" of weights after each slot.

        Returns:
            The logits of each level, summed over the T timesteps, (B, C, H', W') int64: divided by T * 2**fraction_bits
            they are the network's; and the state.
        """
        state, watch = dict(state or {}), watch or (lambda layer, kind, values: None)
        values = {INPUT: np.asarray(levels, np.int32)}
        last = {source: number for number, layer in enumerate(self.layers) for source in layer["sources"]}
        last.update({level[end]: len(self.layers) for level in self.levels for end in ("boxes", "classes")})
        for number, layer in enumerate(self.layers):
            try:
                out = self._layer(layer, [values[source] for source in layer["sources"]], state, slots, watch)
            except DAMAGE as error:
                raise PackageError(f"{layer['name']}: cannot be computed ({type(error).__name__}: {error})") from error
            watch(layer["name"], "out", out)
            values[layer["name"]] = out
            for source in (source for source in set(layer["sources"]) if last[source] == number):
                del values[source]  # nobody needs it any more
        joined = [np.concatenate([values[level["boxes"]], values[level["classes"]]], 2) for level in self.levels]
        return [level.sum(0, dtype=np.int64) for level in joined], state

    def _layer(self, layer: Layer, inputs: list[np.ndarray], state: State, slots: bool, watch: Watch) -> np.ndarray:
        """What one layer gives, (T, B, C, H, W) int32."""
        kind, x = layer["kind"], inputs[0]
        if kind == "add":
            return inputs[0] + inputs[1]
        if kind == "concatenate":
            return np.concatenate(inputs, 2)
        if kind == "upsample":
            return x.repeat(2, 3).repeat(2, 4)
        if kind == "max_pool":
            return pool(x, layer["kernel"][0])
        if kind != "convolution":
            raise ValueError(f"{kind!r} is no kind of layer")
        weight, shift, bias = (self.tensors[f"{layer['name']}.{part}"].astype(np.int64) for part in PARTS)
        parts, slot_weights = [x], [1]
        if layer["sees"] == "counts":
            own = [self.tensors[f"{layer['name']}.{part}"][..., None, None] for part in SCALED if "scales" in layer]
            thresholds, reset = own or (self.tensors[THRESHOLDS], self.rule["reset"])
            counts, potentials = neurons(x, state.get(layer["name"]), {**self.rule, "reset": reset}, thresholds)
            state[layer["name"]] = potentials[-1]
            watch(layer["name"], "counts", counts)
            watch(layer["name"], "potentials", potentials)
            slot_weights = self.rule["slot_code"]["weights"] if slots else [1]
            parts = slots_of(counts, slot_weights) if slots else [counts]
        sums: Any = 0
        for part, before, now in zip(parts, [slot_weights[0], *slot_weights], slot_weights, strict=False):
            # Binary: doubled before each further slot, so that in the end each slot has its weight. Unary: times 1.
            sums = sums * (before // now) + weigh(part.reshape(-1, *part.shape[2:]), weight, layer)
            watch(layer["name"], "sums", sums.reshape(*x.shape[:2], *sums.shape[1:]))
        out = narrow((sums << shift.reshape(-1, 1, 1)) + bias.reshape(-1, 1, 1))
        return out.reshape(*x.shape[:2], *out.shape[1:])


def compare(folder: str | Path, slots: bool = False) -> int:
    """Run a package on its golden inputs; return the number of layers. PackageError names the first that differs."""
    network, golden = Network(folder), read_tensors(Path(folder) / GOLDEN)
    expected = [INPUT, *(level["name"] for level in network.levels)]
    for layer in network.layers:
        kinds = ("counts", "potentials", "out") if layer.get("sees") == "counts" else ("out",)
        expected += [f"{layer['name']}.{kind}" for kind in kinds]
    same_names(GOLDEN, golden, expected)

    def equal(layer: str, kind: str, ours: np.ndarray) -> None:
        if kind == "sums":
            return  # no golden values: `out` follows from the last of them
        theirs = golden[f"{layer}.{kind}" if kind else layer]
        if ours.shape != theirs.shape:
            raise PackageError(f"{layer}: {kind} of shape {ours.shape} here, {theirs.shape} in {GOLDEN}")
        if (different := ours != theirs).any():
            at = tuple(int(axis[0]) for axis in np.nonzero(different))
            place = ", ".join(f"{name} {i}" for name, i in zip("TBCHW"[-len(at) :], at, strict=True))
            raise PackageError(
                f"{layer}: {different.sum()} of {ours.size} values of {kind or 'sums'} differ, first at {place}: "
                f"{ours[at]} here, {theirs[at]} in {GOLDEN}"
            )

    logits, _ = network.run(golden[INPUT], slots=slots, watch=equal)
    for level, ours in zip(network.levels, logits, strict=True):
        equal(level["name"], "", ours)
    for name, digest in network.sha256.items():  # a bit that no golden image needs
        if hashlib.sha256((Path(folder) / name).read_bytes()).hexdigest() != digest:
            raise PackageError(f"{name}: is not the file that was exported (sha256), though all layers are equal")
    return len(network.layers)


def main(arguments: list[str]) -> int:
    """Compare the package beside this file, or in another folder; return the exit status."""
    parser = argparse.ArgumentParser(description="Compare a chip package with its golden values, layer by layer.")
    parser.add_argument("folder", nargs="?", default=Path(__file__).parent, type=Path, help="of the package")
    parser.add_argument("--slots", action="store_true", help="weigh the slots of a count one by one")
    options = parser.parse_args(arguments)
    try:
        print(f"all {compare(options.folder, options.slots)} layers equal")
    except (PackageError, OSError) as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
