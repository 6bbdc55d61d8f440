"""Does the order of time matter, and does the network use it? The demo's training with it and with a shuffled one.

Two of the four classes, the wheels, differ in nothing but the order of time. In the shuffled training the slices of
time of each window (timesteps, and the bins in them) come in a random order, in training and in evaluation alike;
everything else is the same. Each training takes some minutes.

    python benchmarks/time_order.py [OUT [SEED]]
"""

from __future__ import annotations

import sys
from pathlib import Path

from rich import print as show
from rich.table import Table

from spikeyolo.demo.events import run_demo


def main() -> None:
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/time-order")
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    orders = ("oldest-first", "shuffled")
    found = {order: run_demo(out / order, seed=seed, order=order).validation.metrics for order in orders}
    table = Table("class", *(f"{order} {number}" for order in found for number in ("AP50", "AP")))
    names = [entry.name for entry in found["shuffled"].per_class]
    table.add_row("all", *(f"{value:.3f}" for metrics in found.values() for value in (metrics.AP50, metrics.AP)))
    for place, name in enumerate(names):
        entries = [metrics.per_class[place] for metrics in found.values()]
        table.add_row(name, *(f"{value:.3f}" for entry in entries for value in (entry.ap50, entry.ap)))
    show(table)


if __name__ == "__main__":
    main()
