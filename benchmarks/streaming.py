"""A stream of events through `spikeyolo predict`: memory over time, and latency beside the recording's own pace.

A generated recording of 304 x 240 pixels, 50 million events in 30 seconds unless told otherwise, is looked at window by
window, from rest and with potentials carried. Memory is the program's own (`anonymous`) and that of files which it has
mapped, which the system takes back when it needs it: at a quarter, half, three quarters and the end of the time.
Linux only.

    python benchmarks/streaming.py [--weights MODEL] [--events 50000000] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import spikeyolo
from spikeyolo.events import EventInput, write_dat
from spikeyolo.synthetic.event_stream import noise_stream

SIZE_HW = (240, 304)
PREPARATION = EventInput("stacked_histogram", timesteps=2, window_us=100_000)  # type: ignore[arg-type]
AT = (0.25, 0.5, 0.75, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="a model of recordings; an untrained t unless given")
    parser.add_argument("--events", type=int, default=50_000_000)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "spikeyolo-streaming")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    recording, weights = given.out / f"noise{given.events}_td.dat", given.weights or given.out / "untrained.safetensors"
    if not recording.exists():
        write_dat(recording, noise_stream(given.events), SIZE_HW)
    if given.weights is None:
        model = spikeyolo.SpikeYOLO(
            "t-gen1", num_classes=2, in_channels=PREPARATION.channels, timesteps=PREPARATION.timesteps, input_levels=1
        )
        model.input = PREPARATION
        model.save(weights)
    print(f"{given.events:,} events in 30 s, {recording.stat().st_size / 1e6:,.0f} MB")
    for title, more in (("from rest", []), ("carried", ["--carry", "true"])):
        words = ["predict", "--weights", str(weights), "--source", str(recording), "--out", str(given.out / "found")]
        seconds, memory, printed = _watched([*words, *more])
        for kind in ("anonymous", "mapped"):
            held = [memory[max(int(len(memory) * share) - 1, 0)][kind] for share in AT]
            print(f"{title:<10} {kind:<10} " + "  ".join(f"{value:6.0f} MiB" for value in held))
        print(f"{title:<10} {seconds:.0f} s; {printed.splitlines()[-1]}")


def _watched(words: list[str]) -> tuple[float, list[dict[str, float]], str]:
    """Seconds, memory in MiB every half second, and what a command printed."""
    started, memory = time.perf_counter(), []
    with subprocess.Popen([sys.executable, "-m", "spikeyolo", *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while process.poll() is None:
            lines = dict(line.split(":", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
            if "RssAnon" in lines:
                kinds = {"anonymous": "RssAnon", "mapped": "RssFile"}
                memory.append({kind: int(lines[name].split()[0]) / 1024 for kind, name in kinds.items()})
            time.sleep(0.5)
        printed = process.stdout.read()
    if process.returncode:
        raise SystemExit(process.returncode)
    return time.perf_counter() - started, memory, printed


if __name__ == "__main__":
    main()
