"""The chip package: integers, geometry and golden values of a network, and a numpy program that checks them."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import save as to_bytes
from torch import Tensor

from ..errors import ConfigError, VerificationError, one_line
from ..files import write_whole
from ..model.detector import SpikeYOLO
from ..model.forms.integer import thresholds
from ..model.inputs import Input
from ..runtime import reference
from ..runtime.reference import GOLDEN, MANIFEST, THRESHOLDS, WEIGHTS, PackageError, compare
from .configs import IntegerConfig
from .golden import count_at_once, golden_bytes, golden_values
from .graph import Graph, read_graph, shapes
from .manifest import SCHEMA, make_manifest, proven_bounds

MOST_GOLDEN = 4 << 30
"""Bytes of golden values: as many again are in memory while they are written."""

README = """# Chip package

`manifest.json` lists the layers in order, `weights.safetensors` their integers, `golden.safetensors` what enters and
leaves each of them on real images. `python reference.py` (numpy alone) runs the first two and compares with the third;
with `--slots` on binary slots, in the code that the manifest names.
How to compute with them is written in `docs/chip-package.md` of spikeyolo.
"""


def write_integer(model: SpikeYOLO, folder: Path, config: IntegerConfig, images: Tensor, seen: Input) -> None:
    """Write the chip package of a network into a folder.

    Args:
        model: in any form that can become the integer one; not changed.
        folder: exists and is empty.
        config: how many golden images, of which size; the slot code.
        images: (B, C, H, W) or (T, B, C, H, W), as `model.forward` takes them; the package is made for their H and W,
            and its golden values are of the first of them.
        seen: what the package says of its input.

    Raises:
        ConfigError: an ANN twin, a decay or gain that is no power of two, sums beyond 32 bits, or golden values of more
            than 4 GiB.
        ShapeError: images that the network does not take.
        VerificationError: reference.py gives other integers than the network.
        WriteError: a file cannot be written.
    """
    network = model.to_integer(config.slot_code).to("cpu")
    images = images.detach().cpu().to(network.dtype)
    network.check_images(images)
    count_at_once(network)
    graph, bound = read_graph(network), proven_bounds(network)
    rows, columns = images.shape[-2:]
    chosen = _golden_images(images, config)
    _check_size(graph, chosen, network.config.timesteps)
    golden = golden_values(network, graph, chosen)
    sha256 = {name: _write(folder / name, arrays) for name, arrays in ((WEIGHTS, _weights(graph)), (GOLDEN, golden))}
    shape = dict(zip(("images", "rows", "columns"), (len(golden["logits8"]), *chosen.shape[-2:]), strict=True))
    manifest = make_manifest(network, seen, graph, bound, (rows, columns), shape, sha256)
    write_whole(folder / MANIFEST, json.dumps(manifest, indent=1).encode())
    write_whole(folder / "README.md", README.encode())
    shutil.copyfile(reference.__file__, folder / "reference.py")
    shutil.copyfile(Path(__file__).with_name(SCHEMA), folder / SCHEMA)
    if config.check:
        try:
            compare(folder)
        except PackageError as error:
            raise VerificationError(f"export: reference.py differs from the network: {one_line(error, 300)}") from error


def _golden_images(images: Tensor, config: IntegerConfig) -> Tensor:
    """The first images, or what is in their middle."""
    chosen = images[..., : config.images, :, :, :]
    if config.golden_size is None:
        return chosen
    for axis in (-2, -1):
        side = min(config.golden_size, chosen.shape[axis])
        chosen = chosen.narrow(axis, (chosen.shape[axis] - side) // 2, side)
    return chosen


def _check_size(graph: Graph, images: Tensor, timesteps: int) -> None:
    batch, channels, rows, columns = images.shape[-4:]
    size = golden_bytes(graph, shapes(graph, (channels, rows, columns)), batch, timesteps)
    if size > MOST_GOLDEN:
        raise ConfigError(
            f"golden_size: golden values of {batch} images of {rows} x {columns} take {size / 2**30:.1f} GiB, more "
            f"than {MOST_GOLDEN >> 30}; give fewer images or a smaller golden_size"
        )


def _weights(graph: Graph) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    for unit in graph.units:
        (conv,) = unit.convolutions
        assert conv.bias is not None
        assert conv.shift is not None
        arrays |= {f"{unit.name}.weight": conv.weight, f"{unit.name}.shift": conv.shift, f"{unit.name}.bias": conv.bias}
        if unit.neuron is not None and unit.neuron.scale is not None:
            arrays[f"{unit.name}.thresholds"] = unit.neuron.thresholds[..., 0, 0].astype(np.int32)
            arrays[f"{unit.name}.reset"] = unit.neuron.reset[..., 0, 0].astype(np.int32)
    assert graph.fraction_bits is not None
    max_count = graph.neurons[0].max_count
    arrays[THRESHOLDS] = np.array(thresholds(max_count, graph.fraction_bits), np.int32)
    return arrays


def _write(path: Path, arrays: dict[str, np.ndarray]) -> str:
    """Write a file of arrays; return its SHA-256."""
    content = to_bytes({name: np.ascontiguousarray(values) for name, values in arrays.items()})
    write_whole(path, content)
    return hashlib.sha256(content).hexdigest()
