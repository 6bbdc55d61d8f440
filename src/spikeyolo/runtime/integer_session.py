"""Packages for chips, computed by their own reference program: integers alone, in numpy. A proof, not a fast engine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..artefact import LOGITS, read_artefact
from ..errors import CheckpointError, ConfigError, one_line, quote
from ..placement import REG_MAX
from ..reading import naming, read_bytes, shown
from .reference import INPUT, MANIFEST, WEIGHTS, Network, PackageError
from .session import State, Values, input_of, said_number

LARGEST = {MANIFEST: 1 << 26, WEIGHTS: 2 << 30}
"""Bytes of the files that are read."""

MAX_LEVEL = 255

WIDEST = 15
"""Rows or columns of a kernel; the network's largest has 7."""


class IntegerSession:
    """A package for chips; see `Session`. Its outputs are logits, bit for bit those of the integer form in PyTorch.

    Args:
        folder: with manifest.json and weights.safetensors; the program beside them is not run, but this package's own.
        device: cpu.
        threads: cannot be said.

    Raises:
        CheckpointError: not of `spikeyolo export`, damaged, or edited.
        ConfigError: an option that does not apply.
    """

    keeps_state = True

    def __init__(self, folder: str | Path, device: str = "cpu", threads: int | None = None) -> None:
        folder = Path(folder)
        self.source = shown(folder)
        if device != "cpu":
            raise ConfigError(f"device: {quote(device)}; packages for chips are computed on the cpu")
        if threads is not None:
            raise ConfigError("threads: packages for chips are computed by numpy; set OMP_NUM_THREADS instead")
        manifest = self._manifest(folder)
        self.artefact = read_artefact(json.dumps(manifest.get("artefact")), self.source)
        self.input = input_of(self.artefact, self.source)
        self.engine = f"numpy {np.__version__}"
        self.ranks: tuple[int, ...] = (4,) if self.input.still else (5,)
        self._timesteps = said_number(self.artefact, "timesteps", self.source)
        self._levels = said_number(self.artefact, "input_levels", self.source)
        if self.artefact.fraction_bits is None or self.artefact.outputs != "logits":
            raise CheckpointError(f"{self.source}: its metadata is not that of integers that give logits")
        try:
            self._network = Network(folder)
        except PackageError as error:
            raise CheckpointError(f"{self.source}: {one_line(error, 300)}") from error
        with naming(folder, f"{MANIFEST} cannot be used", CheckpointError):
            self._check_channels()
            self._check_sizes()

    def _manifest(self, folder: Path) -> Mapping[str, Any]:
        """What the manifest says, once the weights are those that it was written for."""
        contents = {name: read_bytes(folder / name, limit, CheckpointError) for name, limit in LARGEST.items()}
        with naming(folder / MANIFEST, "is no manifest of a package for chips", CheckpointError):
            manifest = json.loads(contents[MANIFEST])
            said = manifest["sha256"][WEIGHTS]
        if hashlib.sha256(contents[WEIGHTS]).hexdigest() != said:
            raise CheckpointError(f"{folder / WEIGHTS}: is not the file that {MANIFEST} was written for (sha256)")
        return manifest

    def _check_channels(self) -> None:
        layers = {layer["name"]: layer for layer in self._network.layers}
        seen = next(iter(layers.values()))["in"]["channels"]
        if seen != self.input.network_fields["in_channels"]:
            raise ValueError(f"its first layer takes {seen} channels, the input has another number")
        for level in self._network.levels:
            found = layers[level["boxes"]]["out"]["channels"], layers[level["classes"]]["out"]["channels"]
            if found != (4 * REG_MAX, len(self.artefact.names)):
                raise ValueError(f"{level['name']} has {found[0]} and {found[1]} channels, of other classes")

    def _check_sizes(self) -> None:
        """Refuse layers that would take more memory than what the network sees: its own only ever get smaller."""
        sides: dict[str, float] = {INPUT: 1.0}
        for layer in self._network.layers:
            kernel, stride = layer.get("kernel", [1, 1]), layer.get("stride", [1, 1])
            padding = layer.get("padding", [0, 0])
            side = sides[layer["sources"][0]] * (2 if layer["kind"] == "upsample" else 1) / min(stride)
            sides[layer["name"]] = side
            if side > 1 or max(kernel) > WIDEST or not all(0 <= p < k for p, k in zip(padding, kernel, strict=True)):
                raise ValueError(f"{layer['name']} has no size that a layer has")

    def prepare(self, images: np.ndarray) -> np.ndarray:
        """Return levels, -255..255 integers."""
        if images.dtype == np.uint8 and self._levels == MAX_LEVEL:
            return images.astype(np.int32)
        values = images.astype(np.float32) / np.float32(255) if images.dtype == np.uint8 else images
        return np.rint(values * np.float32(self._levels)).clip(-MAX_LEVEL, MAX_LEVEL).astype(np.int32)

    def run(self, images: np.ndarray, state: State | None = None) -> tuple[Values, Values]:
        """See `Session`."""
        frames = images if images.ndim == 5 else np.broadcast_to(images, (self._timesteps, *images.shape))
        try:
            sums, new_state = self._network.run(frames, dict(state or {}))
        except PackageError as error:
            raise CheckpointError(f"{self.source}: {one_line(error, 300)}") from error
        assert self.artefact.fraction_bits is not None
        unit = 2**self.artefact.fraction_bits
        logits = {
            name: (level / len(frames) / unit).astype(np.float32) for name, level in zip(LOGITS, sums, strict=True)
        }
        return logits, new_state
