"""A stream of events through `spikeyolo predict`: real-time factor, latency by stage, and memory over time.

A generated recording of 304 x 240 pixels, 50 million events in 30 seconds unless told otherwise, is looked at window by
window, from rest and with potentials carried, as `predict` does it unasked and in other ways (`--ways`). With a
baseline both trees take turns in every round. The real-time factor is taken here: seconds of `predict`, from its first
frame to its last, for a second of the recording; `cores` is the processor time (user and system) for a second of it,
so that half of it is what two cores of one's own could reach. Latency is what `predict` says of itself. Memory is the
program's own (`anonymous`) and that of files which it has mapped, at a quarter, half, three quarters and the end of
the time. Linux only.

    python benchmarks/streaming.py [--weights MODEL] [--seconds 30] [--rounds 3] [--baseline ../earlier/src]
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

import spikeyolo
from spikeyolo.events import EventInput, write_dat
from spikeyolo.synthetic.event_stream import noise_stream

SIZE_HW = (240, 304)
RATE = 50_000_000 // 30  # events a second
PREPARATION = EventInput("stacked_histogram", timesteps=2, window_us=100_000)  # type: ignore[arg-type]
AT = (0.25, 0.5, 0.75, 1.0)
WAYS = {
    "as it is": [],
    "not drawn": ["--draw", "false"],
    "torch": ["--engine", "torch"],
    "onnxruntime": ["--engine", "onnxruntime"],
}
OF_A_BASELINE = ("as it is", "not drawn")
CHILD = """
import contextlib, sys, time
import spikeyolo.progress
from spikeyolo.cli.main import main
times = []
@contextlib.contextmanager
def timed(title, total=None, show=True):
    yield lambda done, of: times.append((time.perf_counter(), time.process_time()))
spikeyolo.progress.progress_bar = timed
code = main(sys.argv[1:])
(began, busy), (ended, done) = times[0], times[-1]
print("timed", ended - began, done - busy, len(times) - 1, flush=True)
sys.exit(code)
"""
"""Start and imports, and the first frame, are not those of a stream."""


@dataclass(frozen=True)
class Run:
    """What one run took.

    Attributes:
        factor: seconds for a second of the recording.
        cores: processor seconds for it.
        memory: in MiB, by kind.
        said: what was printed of latency.
    """

    factor: float
    cores: float
    memory: dict[str, list[float]]
    said: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="a model of recordings; an untrained t unless given")
    parser.add_argument("--seconds", type=int, default=30, help="of the recording, with 1.67 million events each")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--baseline", type=Path, help="the src folder of another commit")
    parser.add_argument("--baseline-weights", type=Path, help="a model for it, where it cannot read the other one")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "spikeyolo-streaming")
    given = parser.parse_args()
    recording, weights = _made(given.out, given.seconds, given.weights)
    own = Path(spikeyolo.__file__).parent.parent
    trees = ({"baseline": given.baseline} if given.baseline else {}) | {"this tree": own}
    runs: dict[tuple[str, str, str], list[Run]] = defaultdict(list)
    for _ in range(given.rounds):
        for carried, more in (("from rest", []), ("carried", ["--carry", "true"])):
            for way in given.ways:
                for tree, source in trees.items():
                    if tree == "baseline" and way not in OF_A_BASELINE:
                        continue
                    model = given.baseline_weights if tree == "baseline" else None
                    words = [
                        "predict",
                        "--weights",
                        str(model or weights),
                        "--source",
                        str(recording),
                        *more,
                        *WAYS[way],
                    ]
                    step_s = PREPARATION.window_us / 1e6 / (PREPARATION.timesteps if more else 1)
                    out = ["--out", str(given.out / "found"), "--overwrite", "true"]
                    runs[tree, carried, way].append(_watched(source, [*words, *out], step_s))
    print(f"{given.seconds * RATE:,} events in {given.seconds} s, {recording.stat().st_size / 1e6:,.0f} MB")
    _show(runs)


def _made(folder: Path, seconds: int, weights: Path | None) -> tuple[Path, Path]:
    """The recording and the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    recording = folder / f"noise{seconds}_td.dat"
    if not recording.exists():
        write_dat(recording, noise_stream(seconds * RATE, seconds * 1_000_000), SIZE_HW)
    if weights is None:
        weights = folder / "untrained.safetensors"
        model = spikeyolo.SpikeYOLO(
            "t-gen1", num_classes=2, in_channels=PREPARATION.channels, timesteps=PREPARATION.timesteps, input_levels=1
        )
        model.input = PREPARATION
        model.save(weights)
    return recording, weights


def _watched(source: Path, words: list[str], step_s: float) -> Run:
    """Run a command of a tree, and look at its memory every half second."""
    memory: dict[str, list[float]] = {"anonymous": [], "mapped": []}
    environment = {**os.environ, "PYTHONPATH": str(source)}
    command = [sys.executable, "-c", CHILD, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        while process.poll() is None:
            lines = dict(line.split(":", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
            if "RssAnon" in lines:
                for kind, name in (("anonymous", "RssAnon"), ("mapped", "RssFile")):
                    memory[kind].append(int(lines[name].split()[0]) / 1024)
            time.sleep(0.5)
        printed = process.stdout.read()
    if process.returncode:
        raise SystemExit(process.returncode)
    said = next(line for line in printed.splitlines() if line.startswith("a step of"))
    seconds, processor, steps = map(float, re.findall("^timed (.*)$", printed, re.MULTILINE)[0].split())
    length = steps * step_s
    return Run(seconds / length, processor / length, memory, said)


def _show(runs: dict[tuple[str, str, str], list[Run]]) -> None:
    """Print medians, ranges, memory of the last round, and what was said of latency."""
    table = Table(
        "potentials", "way", "tree", "real-time factor", "from..to", "cores", *(f"MiB at {at:.0%}" for at in AT)
    )
    for (tree, carried, way), taken in runs.items():
        factors = [run.factor for run in taken]
        held = taken[-1].memory["anonymous"]
        at = [f"{held[max(int(len(held) * share) - 1, 0)]:.0f}" for share in AT]
        spread = f"{min(factors):.2f}..{max(factors):.2f}"
        cores = f"{statistics.median(run.cores for run in taken):.2f}"
        table.add_row(carried, way, tree, f"{statistics.median(factors):.2f}", spread, cores, *at)
    console = Console(width=160)
    console.print(table)
    for (tree, carried, way), taken in runs.items():
        console.print(f"{carried}, {way}, {tree}: {taken[-1].said}", highlight=False)


if __name__ == "__main__":
    main()
