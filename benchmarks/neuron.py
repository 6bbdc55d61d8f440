"""What the neuron's options and the training aids give: the same training with and without each, several seeds.

    python benchmarks/neuron.py --data bccd/data.yaml --out runs/neuron --epochs 80 --seeds 0 1 2 --jobs 2
    python benchmarks/neuron.py --out runs/neuron --table

Each training, validation and count of energy is a command of the package, with one thread; what is there already is
not done again, and a training that was interrupted goes on, so the same line goes on after a stop. What was measured is
kept in one JSON file a run and in `measured.json`, from which the table is made without the runs. What was measured
before on BCCD for 40 epochs, on processors with AVX-512, is in `measured/neuron-bccd-40.json`, on cards for 30 in
`neuron-cards-30.json`: `--known` of it trains only what is missing, and what that begins with.

All but `small` train by `neuron.yaml`, the recipe `small` of the time when they were measured; `small` is the recipe as
it comes with the package.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resumable import command, measured_before, spread, trained
from rich.console import Console
from rich.table import Table

from spikeyolo.data.open import open_data
from spikeyolo.files import write_whole

WORDS = "--imgsz 256 --workers 1"
"""Of every training; recipe, `--model`, `--epochs` and `--seed` come to it."""

RECIPE = str(Path(__file__).with_name("neuron.yaml"))


@dataclass(frozen=True)
class Experiment:
    """One way to train.

    Attributes:
        words: options beside the recipe; `{NAME}` is the best file of another experiment, of the same seed.
        model: preset or file.
        share: of the epochs; the rest were spent by the experiment it starts from.
        code: slot code whose additions and energy are charged: what the network would be run in.
        networks: of this other experiment, charged in another code; nothing is trained.
        recipe: a file, or a name.
    """

    words: str = ""
    model: str = "t"
    share: float = 1.0
    code: str = "unary"
    networks: str = ""
    recipe: str = RECIPE

    @property
    def begins_with(self) -> list[str]:
        """Experiments whose weights it takes."""
        return [name for name in EXPERIMENTS if f"{{{name}}}" in f"{self.words} {self.model}"]

    @property
    def needs(self) -> list[str]:
        """Experiments that come first."""
        return self.begins_with + [self.networks] * bool(self.networks)


EXPERIMENTS = {
    "baseline": Experiment(),
    "twin": Experiment("--neuron relu"),
    "n": Experiment(model="n"),
    "binary": Experiment(networks="baseline", code="binary"),
    "D-7": Experiment("--max-count 7", code="binary"),
    "D-15": Experiment("--max-count 15", code="binary"),
    "scale-of-a-layer": Experiment("--learned-scale layer"),
    "scale-of-a-channel": Experiment("--learned-scale channel"),
    "tails": Experiment("--surrogate-width 0.5"),
    "taught-by-the-twin": Experiment("--teacher {twin}"),
    "taught-by-n": Experiment("--teacher {n}"),
    "from-the-twin": Experiment("--neuron coco --learned-scale layer", model="{short-twin}", share=0.25),
    "short-twin": Experiment("--neuron relu", share=0.75),
    "energy-10": Experiment("--energy-weight 10"),
    "energy-10-binary": Experiment(networks="energy-10", code="binary"),
    "energy-30": Experiment("--energy-weight 30"),
    "energy-100": Experiment("--energy-weight 100"),
    "together": Experiment("--max-count 7 --energy-weight 10 --energy-code binary", code="binary"),
    "small": Experiment(recipe="small"),
    "small-binary": Experiment(networks="small", code="binary"),
    "small-energy-10": Experiment("--energy-weight 10", recipe="small"),
    "small-twin": Experiment("--neuron relu", recipe="small"),
}
"""By name, those that others need first."""

SPLITS = ("val", "test")

Rows = dict[tuple[str, int], dict[str, Any]]
"""What was measured, by experiment and seed."""


@dataclass(frozen=True)
class Bench:
    """Where everything is, how long it is trained, and what is known already."""

    data: str
    out: Path
    epochs: int
    seeds: tuple[int, ...]
    known: Rows
    wanted: frozenset[str]

    def folder(self, name: str, seed: int) -> Path:
        """Of one training."""
        return self.out / name / str(seed)

    def best(self, name: str, seed: int) -> Path:
        """Its weights."""
        return self.folder(name, seed) / "best.safetensors"

    def is_known(self, name: str, seed: int) -> bool:
        """Whether it was measured before, after as many epochs."""
        epochs = round(self.epochs * EXPERIMENTS[name].share)
        return (name, seed) in self.known and self.known[name, seed]["epochs"] == epochs

    def lacks_weights(self, name: str, seed: int) -> bool:
        """Whether something that is still to be trained begins with its weights, which are not here."""
        others = [other for other, one in EXPERIMENTS.items() if name in one.begins_with and other in self.wanted]
        return not self.best(name, seed).exists() and not all(self.is_known(other, seed) for other in others)

    def run(self, name: str, seed: int) -> dict[str, Any]:
        """Train, unless that is done, and measure; what was measured."""
        folder, experiment = self.folder(name, seed), EXPERIMENTS[name]
        kept = folder.with_suffix(".json")
        if kept.exists():
            found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
            return found
        if experiment.networks:
            return {**self.run(experiment.networks, seed), "experiment": name}
        if self.is_known(name, seed) and not self.lacks_weights(name, seed):
            return self.known[name, seed]
        files = {other: str(self.best(other, seed)) for other in experiment.needs}
        epochs = round(self.epochs * experiment.share)
        words = f"{WORDS} --seed {seed} --model {experiment.model} {experiment.words}".split()
        trained(
            ["--config", experiment.recipe, *(w.format(**files) for w in words), "--data", self.data], folder, epochs
        )
        found = {"experiment": name, "seed": seed, "epochs": epochs, **self.measure(folder)}
        write_whole(kept, json.dumps(found, indent=1).encode())
        return found

    def measure(self, folder: Path) -> dict[str, Any]:
        """AP on the splits that the data set has, and what spikes cost on `val`."""
        weights, found = str(folder / "best.safetensors"), {}
        relu = "neuron: relu" in (folder / "config.yaml").read_text(encoding="utf-8")
        for split in (split for split in SPLITS if split in open_data(self.data).splits):
            file = folder / f"{split}.json"
            command(["val"], folder, "--weights", weights, "--data", self.data, "--split", split, "--json", str(file))
            values = json.loads(file.read_text(encoding="utf-8"))
            found[split] = {key: values[key] for key in ("AP50", "AP")}
        if relu:
            return found
        file = folder / "energy.json"
        command(["energy"], folder, "--weights", weights, "--data", self.data, "--json", str(file), "--no-layers")
        values = json.loads(file.read_text(encoding="utf-8"))
        keys = ("firing_rate", "histogram", "slot_codes", "ann_mJ", "max_count")
        return {**found, "energy": {key: values[key] for key in keys}}


def table_of(rows: list[dict[str, Any]]) -> Table:
    """Mean and spread over the seeds of each experiment."""
    table = Table(title="mean and standard deviation over seeds; spikes, additions and energy of an image of val")
    for column in ("what", "seeds", "val AP50", "val AP", "test AP50", "test AP", "rate", "M additions", "mJ"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for name, experiment in EXPERIMENTS.items():
        found = [row for row in rows if row["experiment"] == name]
        if not found:
            continue
        cells = [
            spread([100 * row[split][key] for row in found], 1) if all(split in row for row in found) else ""
            for split in SPLITS
            for key in ("AP50", "AP")
        ]
        if all("energy" in row for row in found):
            codes = [row["energy"]["slot_codes"][experiment.code] for row in found]
            cells += [
                spread([100 * code["firing_rate"] for code in codes], 1),
                spread([(code["synaptic_ops"] + code["doublings"]) / 1e6 for code in codes], 1),
                spread([code["snn_mJ"] for code in codes], 4),
            ]
        else:
            cells += ["", "", ""]
        table.add_row(name, str(len(found)), *cells)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="a data.yaml with train, val and test")
    parser.add_argument("--out", required=True, type=Path, help="folder of the runs and of measured.json")
    parser.add_argument("--epochs", type=int, default=80)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=EXPERIMENTS, metavar="NAME", help=", ".join(EXPERIMENTS))
    parser.add_argument("--jobs", type=int, default=2, help="trainings side by side")
    parser.add_argument("--known", type=Path, help="a measured.json of before")
    parser.add_argument("--table", action="store_true", help="print what was measured, and measure nothing")
    given = parser.parse_args()

    kept = given.out / "measured.json"
    rows: Rows = measured_before("experiment", given.known, kept)
    if not given.table:
        if given.data is None:
            parser.error("--data: which data set?")
        wanted = set(given.only or EXPERIMENTS)
        wanted |= {need for name in wanted for need in EXPERIMENTS[name].needs}
        bench = Bench(given.data, given.out, given.epochs, tuple(given.seeds), dict(rows), frozenset(wanted))
        with ThreadPoolExecutor(given.jobs) as pool:
            futures: dict[tuple[str, int], Future[dict[str, Any]]] = {}
            for seed in bench.seeds:
                for name in order(wanted):
                    waited = [futures[need, seed] for need in EXPERIMENTS[name].needs]
                    futures[name, seed] = pool.submit(after, waited, bench, name, seed)
            for (name, seed), future in futures.items():
                rows[name, seed] = future.result()
                write_whole(kept, json.dumps(list(rows.values()), indent=1).encode())
    Console(width=130).print(table_of(list(rows.values())))


def after(waited: list[Future[dict[str, Any]]], bench: Bench, name: str, seed: int) -> dict[str, Any]:
    """Run once those before are done; they were handed in earlier, so one of them always runs."""
    for future in waited:
        future.result()
    return bench.run(name, seed)


def order(names: set[str]) -> list[str]:
    """Those that others need first."""
    return sorted(names, key=lambda name: (len(EXPERIMENTS[name].needs), list(EXPERIMENTS).index(name)))


if __name__ == "__main__":
    main()
