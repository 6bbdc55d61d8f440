"""The forward pass: the folded forms and the ANN twin beside the network as trained, which is the baseline.

    python benchmarks/network.py --preset s --size 640 --rounds 7

All take turns on the same image; medians are reported, and ratios to the baseline. Random weights: the time does not
depend on them.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time

import torch
from rich.console import Console
from rich.table import Table

from spikeyolo import SpikeYOLO
from spikeyolo.model.presets import IMAGE_PRESETS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="s", choices=sorted(IMAGE_PRESETS))
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()

    device = torch.device(options.device)
    trained = SpikeYOLO(options.preset).eval().to(device)
    plain = {"memory_format": torch.contiguous_format}
    rows = {
        "as trained (baseline)": trained,
        "as trained, contiguous": copy.deepcopy(trained).to(**plain),
        "fold()": trained.fold(),
        "fold(dense=True)": trained.fold(dense=True),
        "relu twin, fold()": SpikeYOLO(options.preset, neuron="relu").eval().to(device).fold(),
    }
    image = torch.rand(options.batch, 3, options.size, options.size, device=device)
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    for number in range(options.rounds + 1):
        for name, model in rows.items():
            start = time.perf_counter()
            with torch.inference_mode():
                model(image)
            if device.type == "cuda":
                torch.cuda.synchronize()
            if number:  # the first round warms up
                seconds[name].append(time.perf_counter() - start)

    baseline = statistics.median(seconds["as trained (baseline)"])
    title = (
        f"{options.preset}, batch {options.batch}, {options.size} pixels, {device}, {torch.get_num_threads()} threads"
    )
    table = Table("network", "ms", "times the baseline's speed", title=title)
    for name, times in seconds.items():
        median = statistics.median(times)
        table.add_row(name, f"{median * 1e3:.0f}", f"{baseline / median:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
