"""What comparisons of trainings share: commands of the package that are not repeated, and means with their spread."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Any


def epochs_done(folder: Path) -> int:
    """Epochs in the table of a run."""
    file = folder / "results.csv"
    return max(len(file.read_text(encoding="utf-8").splitlines()) - 1, 0) if file.exists() else 0


def command(words: list[str], folder: Path, *files: str) -> None:
    """Run a command of the package with one thread; its words go into a file beside the run."""
    log, made = folder.with_suffix(".log"), [sys.executable, "-m", "spikeyolo", *words, *files]
    log.parent.mkdir(parents=True, exist_ok=True)
    if words[0] != "train":
        made.append("--overwrite")
    with log.open("a", encoding="utf-8") as told:
        code = subprocess.run(
            made, stdout=told, stderr=told, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
        ).returncode
    if code:
        raise SystemExit(f"{' '.join(made)}: {code}; see {log}")


def trained(words: list[str], folder: Path, epochs: int) -> None:
    """Train by a command, unless that is done; what was interrupted goes on."""
    if not folder.exists():
        command(["train", *words], folder, "--epochs", str(epochs), "--out", str(folder))
    elif epochs_done(folder) < epochs:
        command(["train"], folder, "--resume", str(folder))


def measured_before(what: str, *files: Path | None) -> dict[tuple[str, int], dict[str, Any]]:
    """Rows of the files that exist, by what they are of, which is under that key, and seed; later files count more."""
    rows = {}
    for file in files:
        if file is not None and file.exists():
            rows |= {(row[what], row["seed"]): row for row in json.loads(file.read_text(encoding="utf-8"))}
    return rows


def spread(values: list[float], digits: int) -> str:
    """Mean and standard deviation."""
    return f"{mean(values):.{digits}f}" + (f" ± {stdev(values):.{digits}f}" if len(values) > 1 else "")
