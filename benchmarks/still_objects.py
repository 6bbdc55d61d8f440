"""What following recordings is worth where things stand still: the same network trained on windows and on sequences.

Generated squares flicker and then stand still, for longer than a window is long (`synthetic/still_objects.py`). A
network is trained on windows from rest, another one on sequences with potentials carried, with as many steps of as many
rows; both are then measured in both ways, by both rules.

    python benchmarks/still_objects.py [--seeds 0 1 2] [--out FOLDER]

A training that is done is not done again, one that was interrupted goes on. One thread, on the CPU.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import mean

import torch
from rich.console import Console
from rich.table import Table

import spikeyolo
from spikeyolo.data.open import open_data
from spikeyolo.evaluation.validate import ValidationSettings, validate
from spikeyolo.synthetic.still_objects import write_still_objects
from spikeyolo.training.run import train
from spikeyolo.training.settings import TrainSettings

LENGTH = 8
"""Timesteps of 20 ms, from one label to the next."""

TRAINED = {"windows": None, "sequences": LENGTH}
RULES = ("prophesee", "plain_coco")


def settings_of(data: Path, sequence: int | None, seed: int, epochs: int) -> TrainSettings:
    """Of a training on windows of 40 ms, or on sequences of timesteps as long as theirs."""
    return TrainSettings(
        data=str(data),
        model="t-gen1",
        seed=seed,
        epochs=epochs,
        batch=4,
        nominal_batch=4,
        optimizer="adamw",
        lr=0.003,
        momentum=0.9,
        weight_decay=0.01,
        warmup_epochs=0.5,
        ema_decay=0.9,
        ema_ramp=20,
        val_every=epochs,
        workers=0,
        device="cpu",
        window_us=40_000,
        sequence=sequence,
        event_augmentation={"zoom": 0.0, "drop": 0.0},
    )


def trained(out: Path, name: str, seed: int, epochs: int) -> Path:
    """The best weights of a training, which is done unless it is there."""
    data = write_still_objects(out / f"data{seed}", seed, train=12, val=10, places=8)
    folder = out / f"{name}{seed}"
    best, last = folder / "best.safetensors", folder / "last.ckpt"
    if best.exists() and len((folder / "results.csv").read_text(encoding="utf-8").splitlines()) > epochs:
        return best
    settings = settings_of(data, TRAINED[name], seed, epochs)
    return train(settings, resume=folder).best if last.exists() else train(settings, folder).best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "spikeyolo-still-objects")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[tuple[str, str, str], list[float]] = {}
    for seed in given.seeds:
        for name in TRAINED:
            weights = trained(given.out, name, seed, given.epochs)
            index = open_data(given.out / f"data{seed}" / "data.yaml").split("val")
            for way, sequence in TRAINED.items():
                made = validate(spikeyolo.load(weights), index, ValidationSettings(workers=0, sequence=sequence))
                values = made.to_json()
                for rule in RULES:
                    found.setdefault((rule, name, way), []).append(100 * values[rule]["AP50"])
    for rule in RULES:
        table = Table(title=f"AP50 by {rule}, in percent")
        for column in ("trained on", "measured", *(f"seed {seed}" for seed in given.seeds), "mean"):
            table.add_column(column, justify="right" if column[:4] in ("seed", "mean") else "left")
        for (of, name, way), values in found.items():
            if of == rule:
                how = "by windows, from rest" if way == "windows" else "streamed, potentials carried"
                table.add_row(name, how, *(f"{value:.1f}" for value in values), f"{mean(values):.1f}")
        Console(width=110).print(table)


if __name__ == "__main__":
    main()
