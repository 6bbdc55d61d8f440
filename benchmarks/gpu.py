"""A training step on a GPU: neurons as plain operators (the baseline), as kernels, and the network compiled.

    python benchmarks/gpu.py --model s --imgsz 640 --batch 16 --timesteps 1 4

A step is forward, loss, backward and a step of SGD, under autocast. All forms take turns, and medians are reported;
`kernels` is what the GPU itself was busy for in one step, which shows how much of a step nobody computes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from unittest.mock import patch

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from spikeyolo import SpikeYOLO
from spikeyolo.detection.losses import detection_loss
from spikeyolo.model.compiling import compile_network
from spikeyolo.spiking import kernels
from spikeyolo.structures import STRIDES, Targets

WARM_UP = 3
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "32": torch.float32}


def plain() -> AbstractContextManager[object]:
    """Inside, neurons are plain operators, and norms those of PyTorch."""
    return patch.object(kernels, "has_kernel", lambda *_: False)


FORMS: dict[str, tuple[bool, Callable[[], AbstractContextManager[object]]]] = {
    "plain operators": (False, plain),
    "kernels": (False, nullcontext),
    "compiled": (True, nullcontext),
}
"""By name: whether it is compiled, and what it runs inside."""


def targets_of(batch: int, side: int, device: torch.device) -> Targets:
    """Twelve boxes an image."""
    count = 12 * batch
    corners, sides = 0.6 * side * torch.rand(count, 2), side * (0.1 + 0.23 * torch.rand(count, 2))
    boxes = torch.cat([corners, corners + sides], 1)
    return Targets(torch.arange(batch).repeat_interleave(12), torch.randint(0, 80, (count,)), boxes, batch).to(device)


def make_step(
    given: argparse.Namespace, timesteps: int, form: str, device: torch.device, images: Tensor, targets: Targets
) -> Callable[[], None]:
    """Return one step of a new network."""
    torch.manual_seed(0)
    compiled, inside = FORMS[form]
    network = SpikeYOLO(given.model, num_classes=80, timesteps=timesteps).to(device).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9, nesterov=True)
    if compiled:
        compile_network(network)
    dtype = DTYPES[given.precision]

    def step() -> None:
        with inside():
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                logits = network(images)
            detection_loss(logits, targets, STRIDES).total.backward()
            optimizer.step()
            optimizer.zero_grad()

    return step


def seconds(step: Callable[[], None], device: torch.device) -> float:
    """Of one step, until the device is done."""
    start = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def busy(step: Callable[[], None], device: torch.device) -> float:
    """Seconds of kernels in one step; on a CPU of operators."""
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device.type == "cuda")
    with profile(activities=activities) as seen:
        seconds(step, device)
    name = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    return sum(getattr(event, name) for event in seen.key_averages()) / 1e6


def memory(device: torch.device, peak: bool = False) -> float:
    """Bytes of the GPU that tensors hold, or the most since this was last asked for without `peak`."""
    if device.type != "cuda":
        return float("nan")
    if peak:
        return torch.cuda.max_memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    return torch.cuda.memory_allocated(device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="s")
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--timesteps", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--precision", default="bf16", choices=DTYPES)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--forms", nargs="+", default=list(FORMS), choices=FORMS)
    given = parser.parse_args()

    device = torch.device(given.device)
    images = torch.rand(given.batch, 3, given.imgsz, given.imgsz, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    targets = targets_of(given.batch, given.imgsz, device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    title = f"{given.model}, batch {given.batch}, {given.imgsz} pixels, {given.precision}, {name}"
    table = Table("T", "form", "ms a step", "images/s", "of the baseline", "kernels, ms", "GB", title=title)
    for timesteps in given.timesteps:
        steps, peaks = {}, {}
        for form in given.forms:
            held = memory(device)
            steps[form] = make_step(given, timesteps, form, device, images, targets)
            for _ in range(WARM_UP):
                seconds(steps[form], device)
            peaks[form] = (memory(device, peak=True) - held) / 1e9
        times: dict[str, list[float]] = {form: [] for form in given.forms}
        for _ in range(given.rounds):
            for form, step in steps.items():
                times[form].append(seconds(step, device))
        baseline = statistics.median(times[given.forms[0]])
        for form, step in steps.items():
            median = statistics.median(times[form])
            speed, kernels = f"{given.batch / median:.1f}", f"{1e3 * busy(step, device):.1f}"
            row = [
                f"{1e3 * median:.1f}",
                speed,
                f"{baseline / median:.2f} times as fast",
                kernels,
                f"{peaks[form]:.2f}",
            ]
            table.add_row(str(timesteps), form, *row)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
