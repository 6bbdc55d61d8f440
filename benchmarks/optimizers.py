"""What a step of each optimiser takes on a CPU, beside the forward and backward pass before it.

    OMP_NUM_THREADS=1 python benchmarks/optimizers.py --models t n

All take steps in turn, with the same gradients; medians.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import get_args, get_type_hints

import torch
from rich.console import Console
from rich.table import Table

from spikeyolo import SpikeYOLO
from spikeyolo.training.optimization import make_optimizer
from spikeyolo.training.settings import TrainSettings


def milliseconds(work: Callable[[], object]) -> float:
    """What one call takes."""
    begun = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - begun)


def measured(model: str, batch: int, imgsz: int, rounds: int) -> dict[str, float]:
    """Medians, by what was done."""
    network = SpikeYOLO(model, num_classes=3).train()
    images = torch.rand(batch, 3, imgsz, imgsz).contiguous(memory_format=torch.channels_last)

    def passes() -> None:
        network.zero_grad()
        sum((level.square().mean() for level in network(images)), torch.zeros(())).backward()

    names = get_args(get_type_hints(TrainSettings)["optimizer"])
    optimizers = {name: make_optimizer(network, TrainSettings(optimizer=name, lr=1e-6)) for name in names}
    taken: dict[str, list[float]] = {"forward and backward": [], **{name: [] for name in names}}
    for _ in range(rounds + 1):
        taken["forward and backward"].append(milliseconds(passes))
        gradients = [parameter.grad for parameter in network.parameters()]
        for name, optimizer in optimizers.items():
            for parameter, gradient in zip(network.parameters(), gradients, strict=True):
                parameter.grad = gradient
            taken[name].append(milliseconds(optimizer.step))
    return {what: median(times[1:]) for what, times in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["t"])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--imgsz", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    rows = {model: measured(model, given.batch, given.imgsz, given.rounds) for model in given.models}
    table = Table("preset", *rows[given.models[0]], title=f"ms; {given.batch} images of {given.imgsz} pixels")
    for model, found in rows.items():
        table.add_row(model, *(f"{value:.1f}" for value in found.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
