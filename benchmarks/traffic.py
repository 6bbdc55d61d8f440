"""Bytes that a training step moves, counted: without a clock, and without a GPU.

    python benchmarks/traffic.py --model s --imgsz 320 --batch 2 --timesteps 1 4

Every tensor that an operator of forward and backward (of the sum of the logits) reads or writes is counted, views left
out, convolutions apart; on a GPU all but the convolutions is bound by this traffic. Tensors have shapes and no values
(device `meta`), and neurons and norms are run by the kernels as on a GPU, if triton is installed; `--device cpu` counts
what a CPU does. The published code, counted the same way: `PUBLISHED`.

An operator counts what it is given and gives, each once, whatever goes on inside: a batch norm of PyTorch reads its
input, and in its backward pass the gradient too, twice. So do this package's own, which join a norm with what is after
it; all else of them is counted as well: the sums of parts of the rows, which one kernel writes and another reads, the
second reading of the neuron's mask, and copies where an input does not lie as the kernels need it. (Gradients of
convolutions do, channels last; on device `meta` alone they are said to be contiguous.) Each is one operator and three
kernels; PyTorch's norm is more than one kernel, too.
"""

from __future__ import annotations

import argparse
from collections import Counter
from importlib.util import find_spec
from typing import Any
from unittest.mock import patch

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from spikeyolo import SpikeYOLO
from spikeyolo.model.blocks import SpikingBlock
from spikeyolo.spiking import kernels

PUBLISHED = {1: (7.68, 2676), 4: (54.91, 8484)}
"""By timesteps: GB and operators outside convolutions, for s, 80 classes, 2 images of 320 x 320 in float32, eager."""

ALLOCATIONS = ("empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "detach")


def inside(name: str, args: Any) -> int:
    """Bytes that an operator of this package moves between its own passes, or reads again; see the docstring."""
    if name == "ilif":
        repeated = 0 in args[0].stride()  # a still image's steps, of which a copy is made
        return 2 * args[0].nbytes if repeated else 0
    if not name.startswith("norm_"):
        return 0
    from spikeyolo.spiking.kernels.norm_passes import format_of, parts_of  # needs triton

    backward = name == "norm_ilif_backward"
    x = args[2 if backward else 0]
    rows = x.numel() // x.shape[1] // (args[6] if backward else 1)
    sums = 2 * parts_of(rows) * x.shape[1] * 4
    copied = 0 if x.is_contiguous(memory_format=format_of(x)) else 2 * x.nbytes
    return 2 * sums + copied + (args[1].nbytes if backward else 0)


class Traffic(TorchDispatchMode):
    """Counts while it is entered.

    Attributes:
        bytes: read or written, by operator.
        calls: by operator.
        convolutions: bytes of convolutions, which are not in the others.
        held: by memory block, bytes that are kept for the backward pass, weights left out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.convolutions = 0
        self.held: dict[int, int] = {}

    def hold(self, tensor: Tensor) -> Tensor:
        """Take a tensor that is kept for the backward pass."""
        if not isinstance(tensor, nn.Parameter):
            storage = tensor.untyped_storage()
            self.held[storage._cdata] = storage.nbytes()
        return tensor

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        name = func.overloadpacket.__name__
        if func.is_view or name in ALLOCATIONS:
            return out
        moved = sum(t.numel() * t.element_size() for t in tree_leaves((args, kwargs, out)) if isinstance(t, Tensor))
        if "convolution" in name:
            self.convolutions += moved
        else:
            self.bytes[name] += moved + inside(name, args)
            self.calls[name] += 1
        return out


def count(model: str, side: int, batch: int, timesteps: int, device: str, recompute: bool) -> Traffic:
    """One step, forward and backward."""
    with torch.device(device):
        network = SpikeYOLO(model, num_classes=80, timesteps=timesteps).train()
        images = torch.zeros(batch, 3, side, side).contiguous(memory_format=torch.channels_last)
    for part in network.modules():
        if isinstance(part, SpikingBlock):
            part.recompute = recompute
    with_kernel = device != "cpu" and find_spec("triton") is not None
    with patch.object(kernels, "has_kernel", lambda *_: with_kernel), Traffic() as traffic:
        with torch.autograd.graph.saved_tensors_hooks(traffic.hold, lambda tensor: tensor):
            total = sum(level.sum() for level in network(images))
        assert isinstance(total, Tensor)
        total.backward()
    return traffic


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="s")
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--timesteps", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--device", default="meta", choices=["meta", "cpu"])
    parser.add_argument("--recompute", action="store_true", help="as `spikeyolo train --recompute`")
    parser.add_argument("--operators", action="store_true", help="list them, the largest first")
    given = parser.parse_args()

    comparable = (given.model, given.imgsz, given.batch) == ("s", 320, 2)
    columns = ("T", "GB", "of published", "operators", "of published", "GB in convolutions", "GB held")
    what = f"{given.model}, {given.batch} images of {given.imgsz}, float32, {given.device}"
    table = Table(*columns, title=f"{what}; GB and operators outside convolutions")
    console = Console(width=120)
    for timesteps in given.timesteps:
        traffic = count(given.model, given.imgsz, given.batch, timesteps, given.device, given.recompute)
        moved, calls = traffic.bytes.total() / 1e9, traffic.calls.total()
        published = PUBLISHED.get(timesteps) if comparable else None
        shares = ["", ""] if published is None else [f"{moved / published[0]:.3f}", f"{calls / published[1]:.3f}"]
        convolutions = f"{traffic.convolutions / 1e9:.2f}"
        held = f"{sum(traffic.held.values()) / 1e9:.3f}"
        table.add_row(str(timesteps), f"{moved:.2f}", shares[0], str(calls), shares[1], convolutions, held)
        if given.operators:
            for name, of_name in traffic.bytes.most_common():
                console.print(f"T = {timesteps}  {name:40} {of_name / 1e9:7.3f} GB {traffic.calls[name]:6}")
    console.print(table)


if __name__ == "__main__":
    main()
