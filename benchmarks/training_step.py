"""One training step on a CPU: this tree beside another commit's, which is the baseline.

    git worktree add ../earlier a5d9316
    OMP_NUM_THREADS=1 python benchmarks/training_step.py --baseline ../earlier/src --model t --imgsz 256 --batch 16
    ... --precision 32 bf16 [--compile]

Each tree runs in a process of its own; they take steps in turn, so that other work on the machine slows both alike. A
step is forward, loss, backward and a step of AdamW, on the same images and boxes. The baseline is float32 always. With
--compile there are further rows: the network by torch.compile, after some minutes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

STEP = """
import sys, time, torch
from spikeyolo import SpikeYOLO
from spikeyolo.detection.losses import detection_loss
from spikeyolo.structures import Targets
try:
    from spikeyolo.training.devices import keep_freed_memory  # as `train` does on a CPU
    keep_freed_memory()
except ImportError:
    pass
preset, side, batch, steps, neuron, precision, how = sys.argv[1], *map(int, sys.argv[2:5]), *sys.argv[5:]
torch.manual_seed(0)
network = SpikeYOLO(preset, num_classes=3, timesteps=steps, neuron=neuron).train()
optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
images = torch.rand(batch, 3, side, side).contiguous(memory_format=torch.channels_last)
corners, sides = side * 0.6 * torch.rand(12 * batch, 2), side * (0.1 + 0.23 * torch.rand(12 * batch, 2))
boxes = torch.cat([corners, corners + sides], 1)
targets = Targets(torch.arange(batch).repeat_interleave(12), torch.randint(0, 3, (12 * batch,)), boxes, batch)
if how == "compiled":
    from spikeyolo.model.compiling import compile_network
    compile_network(network, lambda line: print(line, file=sys.stderr))
for line in sys.stdin:
    start, busy = time.perf_counter(), time.process_time()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        logits = network(images)
    loss = detection_loss(logits, targets, (8, 16, 32)).total
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    print(time.perf_counter() - start, time.process_time() - busy, float(loss.detach()), flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--baseline", required=True, type=Path, help="the src folder of the other commit")
    parser.add_argument("--model", default="t")
    parser.add_argument("--imgsz", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--timesteps", type=int, default=1)
    parser.add_argument("--neuron", default="coco")
    parser.add_argument("--precision", nargs="+", default=["32"], choices=["32", "bf16"], help="of this tree")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()

    tree = Path(__file__).resolve().parents[1] / "src"
    contenders = {"baseline": (given.baseline, "32", "eager")}
    for how in ("eager", "compiled") if given.compile else ("eager",):
        contenders |= {f"this tree, {precision}, {how}": (tree, precision, how) for precision in given.precision}
    words = [given.model, given.imgsz, given.batch, given.timesteps, given.neuron]
    running = {
        name: subprocess.Popen(
            [sys.executable, "-c", STEP, *map(str, words), *how],
            env={**os.environ, "PYTHONPATH": str(source.resolve())},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, (source, *how) in contenders.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in running}
    busy: dict[str, list[float]] = {name: [] for name in running}
    losses: dict[str, list[float]] = {name: [] for name in running}
    for number in range(given.rounds + 2):
        for name, process in running.items():
            assert process.stdin is not None
            assert process.stdout is not None
            print("step", file=process.stdin, flush=True)
            took, of_processor, loss = map(float, process.stdout.readline().split())
            losses[name].append(loss)
            if number >= 2:  # two to warm up
                seconds[name].append(took)
                busy[name].append(of_processor)
    for process in running.values():
        process.communicate()

    title = f"{given.model}, batch {given.batch}, {given.imgsz} pixels, T = {given.timesteps}, {given.neuron}"
    columns = (
        "tree",
        "ms a step",
        "of the baseline",
        "ms of the processor",
        "of the baseline's",
        "losses, first and last",
    )
    table = Table(*columns, title=title)
    for name, seen in losses.items():
        row = [name]
        for times in (seconds, busy):
            median, baseline = statistics.median(times[name]), statistics.median(times["baseline"])
            row += [f"{median * 1e3:.0f}", f"{median / baseline:.3f}"]
        table.add_row(*row, f"{seen[0]:.4f} {seen[-1]:.4f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
