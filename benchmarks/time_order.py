"""Does the order of time matter, and does the network use it? The demo's training with it and with a shuffled one.

Two of the four classes, the wheels, differ in nothing but the order of time. In the shuffled training the slices of
time of each window (timesteps, and the bins in them) come in a random order, in training and in evaluation alike;
everything else is the same. Each training takes some minutes.

    python benchmarks/time_order.py --seed 0
"""

from __future__ import annotations

from pathlib import Path

from rich import print as show
from rich.table import Table

from spikeyolo.demo.events import run_demo


def compare(out: str = "runs/time-order", seed: int = 0) -> None:
    """Train the demo on events with time in order and shuffled, and print the AP of both by class.

    Args:
        out: the folder for the two runs.
        seed: the seed of the data and of both trainings.
    """
    orders = ("oldest-first", "shuffled")
    demos = {order: run_demo(Path(out) / order, seed=seed, order=order, twin=False) for order in orders}
    found = {order: demo.validation.metrics for order, demo in demos.items()}
    table = Table("class", *(f"{order} {number}" for order in found for number in ("AP50", "AP")))
    names = [entry.name for entry in found["shuffled"].per_class]
    table.add_row("all", *(f"{value:.3f}" for metrics in found.values() for value in (metrics.AP50, metrics.AP)))
    for place, name in enumerate(names):
        entries = [metrics.per_class[place] for metrics in found.values()]
        table.add_row(name, *(f"{value:.3f}" for entry in entries for value in (entry.ap50, entry.ap)))
    show(table)


if __name__ == "__main__":
    import sys

    from spikeyolo.cli.main import run_script

    sys.exit(run_script(compare, sys.argv[1:]))
