"""The cost of proof: time and memory of spike-driven running beside integer counts and the form one would run.

    python benchmarks/spike_driven.py --model t --imgsz 256

Every form sees the same image in turn, round after round, so that other work on the machine slows all alike. Memory
is how far a process grows in a pass, on Linux; the weights are not in it.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import statistics
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from spikeyolo import SpikeYOLO, load
from spikeyolo.metering.counting import on_counts

COUNTS = "on counts, exact grid (baseline)"


def forms(model: str) -> dict[str, SpikeYOLO]:
    """The forms that are compared, from a preset with random weights or from a saved model."""
    torch.manual_seed(0)
    trained = load(model) if model.endswith(".safetensors") else SpikeYOLO(model)
    trained = trained.eval()
    slots = trained.to_spike_driven()
    return {
        "separable, as one would run it": trained.fold(),
        "dense": trained.fold(dense=True),
        COUNTS: on_counts(trained),
        "spike-driven, binary slots": slots,
        "int8, binary slots": trained.to_integer(),
    }


def growth_mb(model: str, form: str, imgsz: int, batch: int) -> float:
    """How far a process grows in a pass over what it held before; in a process of its own."""
    network, images = forms(model)[form], torch.rand(batch, 3, imgsz, imgsz)
    gc.collect()
    with torch.inference_mode():
        network(images)  # what is set up once
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # memory that is free already would hide what is taken
        before = _status("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        network(images)
    return _status("VmHWM") - before


def _status(name: str) -> float:
    """A line of the process's state, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def measure(model: str = "t", imgsz: int = 256, batch: int = 1, rounds: int = 15) -> None:
    """Prints the medians.

    Args:
        model: a preset, or a saved model (.safetensors)
        imgsz: side of the images
        batch: images
        rounds: passes that are timed
    """
    networks, images = forms(model), torch.rand(batch, 3, imgsz, imgsz)
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    with torch.inference_mode():
        for _ in range(rounds + 2):
            for name, network in networks.items():
                start = time.perf_counter()
                network(images)
                seconds[name].append(time.perf_counter() - start)
    medians = {name: 1e3 * statistics.median(values[2:]) for name, values in seconds.items()}
    memory = {}
    for name in networks:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            memory[name] = pool.apply(growth_mb, (model, name, imgsz, batch))
    config = next(iter(networks.values())).config
    title = f"{model}, {batch} x {imgsz} px, T = {config.timesteps}, D = {config.max_count}"
    table = Table("form", "ms", "times the baseline", "memory, MiB", "times", title=title)
    for name, value in medians.items():
        share = [value / medians[COUNTS], memory[name] / memory[COUNTS]]
        table.add_row(name, f"{value:.1f}", f"{share[0]:.2f}", f"{memory[name]:.0f}", f"{share[1]:.2f}")
    for column in table.columns[1:]:
        column.justify = "right"
    Console().print(table)


if __name__ == "__main__":
    import sys

    from spikeyolo.cli.main import run_script

    sys.exit(run_script(measure, sys.argv[1:]))
