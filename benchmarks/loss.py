"""How long assigner and loss take beside the network's forward and backward: the goal is under 5 %.

    python benchmarks/loss.py --model t --imgsz 256 --batch 16 --boxes 12

The stages of one training step are timed in turn, round after round, so that other work on the machine slows all alike.
"""

from __future__ import annotations

import statistics
import time

import torch
from rich.console import Console
from rich.table import Table

from spikeyolo import SpikeYOLO
from spikeyolo.detection.losses import detection_loss
from spikeyolo.structures import STRIDES, Targets

WARMUP = 2


def random_targets(batch: int, boxes: int, classes: int, imgsz: int) -> Targets:
    """`boxes` boxes on each image, from a tenth to a third of its side."""
    count = batch * boxes
    sides = imgsz * (0.1 + 0.23 * torch.rand(count, 2))
    corners = torch.rand(count, 2) * (imgsz - sides)
    labels = torch.randint(0, classes, (count,))
    return Targets(
        torch.arange(batch).repeat_interleave(boxes), labels, torch.cat([corners, corners + sides], 1), batch
    )


def measure(
    model: str = "t",
    imgsz: int = 256,
    batch: int = 16,
    boxes: int = 12,
    classes: int = 3,
    rounds: int = 8,
    device: str = "cpu",
) -> None:
    """Prints the medians.

    Args:
        model: preset
        imgsz: side of the images
        batch: images
        boxes: labelled boxes an image
        classes: object classes
        rounds: steps that are timed
        device: cpu or cuda
    """
    torch.manual_seed(0)
    network = SpikeYOLO(model, num_classes=classes).to(device).to(memory_format=torch.channels_last).train()
    images = torch.rand(batch, 3, imgsz, imgsz, device=device).contiguous(memory_format=torch.channels_last)
    targets = random_targets(batch, boxes, classes, imgsz).to(device)
    seconds: dict[str, list[float]] = {"forward": [], "assigner + loss": [], "backward of the loss": [], "backward": []}

    def now() -> float:
        if device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter()

    for _ in range(WARMUP + rounds):
        times = [now()]
        logits = network(images)
        times.append(now())
        leaves = [level.detach().requires_grad_() for level in logits]
        loss = detection_loss(leaves, targets, STRIDES)
        times.append(now())
        loss.total.backward()
        times.append(now())
        torch.autograd.backward(logits, [leaf.grad for leaf in leaves])
        times.append(now())
        network.zero_grad()
        for stage, start, end in zip(seconds, times, times[1:], strict=False):
            seconds[stage].append(end - start)
    medians = {stage: 1e3 * statistics.median(values[WARMUP:]) for stage, values in seconds.items()}
    show(medians, f"{model}, {batch} images of {imgsz} px, {boxes} boxes each, {torch.get_num_threads()} threads")


def show(medians: dict[str, float], title: str) -> None:
    """The table; shares are of forward and backward of the network."""
    whole = medians["forward"] + medians["backward"]
    table = Table("stage", "ms", "share of forward + backward", title=title)
    for stage, value in medians.items():
        table.add_row(stage, f"{value:.1f}", f"{100 * value / whole:.1f} %")
    table.columns[1].justify = table.columns[2].justify = "right"
    Console().print(table)


if __name__ == "__main__":
    import sys

    from spikeyolo.cli.main import run_script

    sys.exit(run_script(measure, sys.argv[1:]))
