"""Representations of events compared: the same network trained on each, with several T and windows, one budget.

    python benchmarks/representations.py --out runs/representations            # some minutes of one core a training
    python benchmarks/representations.py --out runs/representations --table    # what was measured, as Markdown

The recordings are generated and harder than the demo's: eight classes, things of no class, a camera that swings and
sees little light. Every representation is trained with the first seed; the best three by AP50 on `val` with the other
seeds, too. What is reported is of `test`: average precision; events a second that are read and drawn; milliseconds for
that and for the network, a window, on one thread; energy of a window. Times are taken of all ways in turns, after the
trainings, and again where all are trained already; medians of the rounds. The machine had better do nothing else then.

Each training is a command of the package, with one thread, `--jobs` of them side by side; what is there already is not
done again, and a training that was interrupted goes on, so the same line goes on after a stop. All that is measured is
in OUT/measured.json; `--known` of such a file trains only what is missing in it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
import yaml
from resumable import command, measured_before, spread, trained

import spikeyolo
from spikeyolo.data.open import open_data
from spikeyolo.events import EventInput
from spikeyolo.files import write_whole
from spikeyolo.progress import progress_bar
from spikeyolo.synthetic.event_camera import CameraConfig
from spikeyolo.synthetic.event_scene import EVENT_CLASSES, EventDifficulty
from spikeyolo.synthetic.recordings import RecordingsConfig, write_recordings

RECIPE = "--config events-demo"
"""Of every training, the demo's; `--seed` and `--val-every` come to it."""

NIGHT = CameraConfig(threshold_spread=0.04, noise_hz=4.0, hot_pixels=0.003)
HARDER = EventDifficulty(clutter=3, ego_speed=0.15, contrast=(0.45, 0.9))

STACK = {"name": "stacked_histogram", "bins": 5}
COMPARED: dict[str, tuple[dict[str, Any], int, int]] = {
    "count_frames": ({"name": "count_frames"}, 2, 100),
    "stacked_histogram": (STACK, 2, 100),
    "voxel_grid": ({"name": "voxel_grid", "bins": 5}, 2, 100),
    "time_surface": ({"name": "time_surface"}, 2, 100),
    "exponential_surfaces": ({"name": "exponential_surfaces"}, 2, 100),
    "leaky_sums": ({"name": "leaky_sums", "bins": 5}, 2, 100),
    "last_event_frame": ({"name": "last_event_frame"}, 2, 100),
    "stacked_histogram, T 1": (STACK, 1, 100),
    "stacked_histogram, T 4": (STACK, 4, 100),
    "stacked_histogram, 50 ms": (STACK, 2, 50),
    "stacked_histogram, 200 ms": (STACK, 2, 200),
    "leaky_sums, 200 ms": ({"name": "leaky_sums", "bins": 10}, 2, 200),
}
"""By name: the representation, T, and the window in milliseconds."""

REPEATED = 3
"""So many of them are trained with every seed."""

TIMED, ROUNDS = 30, 5
"""Windows that the network's time is taken on, and how often all ways take turns."""

COLUMNS = (("events_per_s", 1e6, ".1f"), ("read_ms", 1, ".2f"), ("network_ms", 1, ".1f"), ("mJ", 1, ".3f"))
"""What the last columns hold: the value, its unit, how it is written."""


def input_of(name: str) -> EventInput:
    """How recordings become frames."""
    representation, timesteps, window_ms = COMPARED[name]
    return EventInput.from_dict(
        {"representation": representation, "timesteps": timesteps, "window_us": 1000 * window_ms}
    )


def described(data: Path, name: str) -> Path:
    """A data.yaml beside the one of the recordings, by which they become frames in this way."""
    file = data.with_name(f"data-{name.replace(', ', '-').replace(' ', '')}.yaml")
    said = yaml.safe_load(data.read_text(encoding="utf-8"))
    said["preparation"] = input_of(name).to_dict()
    file.write_text(yaml.safe_dump(said, sort_keys=False), encoding="utf-8")
    return file


def run_of(out: Path, name: str, seed: int) -> Path:
    """Where it is trained."""
    return out / name.replace(", ", "-").replace(" ", "") / str(seed)


def measured(out: Path, file: Path, name: str, seed: int, epochs: int) -> dict[str, Any]:
    """Train and measure."""
    folder = run_of(out, name, seed)
    words = f"{RECIPE} --seed {seed} --val-every {epochs}".split()
    trained([*words, "--data", str(file)], folder, epochs)
    weights = ["--weights", str(folder / "best.safetensors"), "--data", str(file)]
    found: dict[str, Any] = {"name": name, "seed": seed, "epochs": epochs}
    for split in ("val", "test"):
        numbers = folder / f"{split}.json"
        command(["val", *weights, "--split", split, "--workers", "0", "--json", str(numbers)], folder)
        values = json.loads(numbers.read_text(encoding="utf-8"))
        found[split] = {key: values[key] for key in ("AP50", "AP")}
    energy = folder / "energy.json"
    command(["energy", *weights, "--split", "test", "--no-layers", "--no-verify", "--json", str(energy)], folder)
    counted = json.loads(energy.read_text(encoding="utf-8"))
    return found | {"mJ": counted["snn_mJ"]}


def times(out: Path, files: dict[str, Path], names: list[str], seed: int) -> dict[str, dict[str, float]]:
    """What `timed` says of each way, medians of rounds in which all take turns."""
    torch.set_num_threads(1)
    rounds = [
        {name: timed(files[name], name, run_of(out, name, seed) / "best.safetensors") for name in names}
        for _ in range(ROUNDS)
    ]
    return {name: {key: median(one[name][key] for one in rounds) for key in rounds[0][name]} for name in names}


def timed(file: Path, name: str, weights: Path) -> dict[str, float]:
    """What reading and drawing all windows of `test` takes of the processor, and the folded network for some."""
    index = open_data(file).split("test")
    seen = input_of(name)
    dataset = index.dataset(seen)
    seconds = processor_seconds(lambda instant: dataset[instant], len(index))
    model = spikeyolo.load(weights).fold()
    some = [model.prepare(dataset[instant].frames.unsqueeze(1)) for instant in range(min(TIMED, len(index)))]
    with torch.inference_mode():
        network = processor_seconds(lambda instant: model(some[instant]), len(some)) / len(some)
    counted = index.dataset(EventInput.of(None, timesteps=seen.timesteps, window_us=seen.window_us))
    events = sum(int(counted[instant].frames.sum()) for instant in range(len(index)))
    return {
        "events": events / len(index),
        "events_per_s": events / seconds,
        "read_ms": 1000 * seconds / len(index),
        "network_ms": 1000 * network,
    }


def processor_seconds(run: Callable[[int], Any], count: int) -> float:
    """Of all calls, after one that is not counted."""
    run(0)
    started = time.process_time()
    for number in range(count):
        run(number)
    return time.process_time() - started


def table_of(rows: list[dict[str, Any]]) -> str:
    """One row a way, best first, as Markdown."""
    columns = ("representation", "T", "window", "C", "seeds", "AP50", "AP", "M events/s", "read ms", "network ms", "mJ")
    lines = [f"| {' | '.join(columns)} |", f"|---{'|---:' * (len(columns) - 1)}|"]
    of = {name: [row for row in rows if row["name"] == name] for name in COMPARED}
    for name in sorted((name for name in of if of[name]), key=lambda name: -mean(r["test"]["AP50"] for r in of[name])):
        found, seen = of[name], input_of(name)
        of_all = {
            key: f"{mean(row[key] for row in found if key in row) / unit:{form}}"
            for key, unit, form in COLUMNS
            if any(key in row for row in found)
        }
        cells = (
            f"`{seen.representation.name}`",
            f"{seen.timesteps}",
            f"{seen.window_us / 1000:g} ms",
            f"{seen.channels}",
            f"{len(found)}",
            *(spread([100 * row["test"][key] for row in found], 1) for key in ("AP50", "AP")),
            *(of_all.get(key, "-") for key, _, _ in COLUMNS),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, type=Path, help="folder of the recordings, the runs and their numbers")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="the first for all, all for the best")
    parser.add_argument("--only", nargs="+", choices=COMPARED, metavar="NAME", help=", ".join(COMPARED))
    parser.add_argument("--train", type=int, default=240, help="recordings of a second to train on")
    parser.add_argument("--jobs", type=int, default=1, help="trainings side by side")
    parser.add_argument("--known", type=Path, help="a measured.json of before, of as many recordings")
    parser.add_argument("--table", action="store_true", help="print what was measured, and measure nothing")
    given = parser.parse_args()
    kept = given.out / "measured.json"
    rows = measured_before("name", given.known, kept)
    if given.table:
        print(table_of(list(rows.values())))
        return
    config = RecordingsConfig(
        train=given.train,
        val=30,
        test=60,
        size_hw=(96, 96),
        duration_us=1_000_000,
        label_every_us=200_000,
        classes=EVENT_CLASSES,
        difficulty=HARDER,
        camera=NIGHT,
    )
    with progress_bar("recordings") as report:
        data = write_recordings(given.out / "data", config, report)

    files = {name: described(data, name) for name in COMPARED}

    def row(way: tuple[str, int]) -> dict[str, Any]:
        known = rows.get(way, {"epochs": 0})
        return known if known["epochs"] == given.epochs else measured(given.out, files[way[0]], *way, given.epochs)

    def rows_of(names: Iterable[str], *seeds: int) -> list[dict[str, Any]]:
        ways = [(name, seed) for seed in seeds for name in names]
        for way, found in zip(ways, pool.map(row, ways), strict=True):
            rows[way] = found
            keep()
        return [rows[way] for way in ways]

    def keep() -> None:
        write_whole(kept, json.dumps(list(rows.values()), indent=1).encode())

    seed, *others = given.seeds
    with ThreadPoolExecutor(given.jobs) as pool:
        first = rows_of(given.only or COMPARED, seed)
        best = sorted(first, key=lambda found: -found["val"]["AP50"])[:REPEATED]
        rows_of([found["name"] for found in best], *others)
    here = [found["name"] for found in first if run_of(given.out, found["name"], seed).exists()]
    for name, found in times(given.out, files, here, seed).items():
        rows[name, seed] |= found
    keep()
    print(table_of(list(rows.values())))


if __name__ == "__main__":
    main()
