"""What happened in each epoch, and results.csv, which shows it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, float]

LOSSES = ("box_loss", "class_loss", "distribution_loss")
METRICS = ("AP", "AP50", "AP75", "AR100")
COLUMNS = ("epoch", "step", *LOSSES, "lr", "mean_count", *METRICS, "fitness")


def fitness(ap: float, ap50: float) -> float:
    """Return what the best epoch is chosen by: 0.9 AP + 0.1 AP50, where AP50 decides early, when AP is still near 0."""
    value = 0.9 * ap + 0.1 * ap50
    return value if math.isfinite(value) else 0.0


@dataclass
class EpochSums:
    """Sums over the batches of an epoch so far."""

    batches: int = 0
    losses: list[float] = field(default_factory=lambda: [0.0] * len(LOSSES))
    counts: list[float] = field(default_factory=list)
    terms: Row = field(default_factory=dict)

    def add(self, losses: list[float], mean_count: float, terms: Mapping[str, float] | None = None) -> None:
        """Take the three losses of a batch, its mean spike count unless that is NaN, and further terms by name.

        A batch whose losses are all 0 does not count: nothing in it was labelled. Where it is labelled that there is
        nothing, they are not.
        """
        self.batches += any(losses)
        for name, value in (terms or {}).items():
            self.terms[name] = self.terms.get(name, 0.0) + value
        self.losses = [total + value for total, value in zip(self.losses, losses, strict=True)]
        if not math.isnan(mean_count):
            self.counts.append(mean_count)

    def means(self) -> Row:
        """Return the means over the batches."""
        sums = {**dict(zip(LOSSES, self.losses, strict=True)), **self.terms}
        row = {name: total / max(self.batches, 1) for name, total in sums.items()}
        if self.counts:
            row["mean_count"] = sum(self.counts) / len(self.counts)
        return row


@dataclass
class History:
    """What results.csv shows: a row for each finished epoch. Kept in the checkpoint: no row is lost or repeated."""

    rows: list[Row] = field(default_factory=list)
    current: EpochSums = field(default_factory=EpochSums)

    def close_epoch(self, row: Row) -> None:
        """Add the row of an epoch, with the means of its batches, and start the next."""
        self.rows.append({**row, **self.current.means()})
        self.current = EpochSums()

    def to_csv(self) -> str:
        """Return the table; empty where an epoch has no value, as AP in one that was not validated.

        Further terms of the loss have columns where a run has them.
        """
        columns = dict.fromkeys([*COLUMNS, *(name for row in self.rows for name in row)])
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        for row in self.rows:
            writer.writerow([_shown(row.get(name)) for name in columns])
        return text.getvalue()

    def state_dict(self) -> dict[str, Any]:
        """Return plain values."""
        now = self.current
        current = [now.batches, list(now.losses), list(now.counts), dict(now.terms)]
        return {"rows": [dict(row) for row in self.rows], "current": current}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> History:
        """Return the history that `state_dict` gave; earlier versions had no further terms."""
        batches, losses, counts, *terms = state["current"]
        sums = EpochSums(batches, list(losses), list(counts), dict(*terms))
        return cls([dict(row) for row in state["rows"]], sums)


def _shown(value: float | None) -> str:
    if value is None or math.isnan(value):
        return ""
    return str(value) if isinstance(value, int) else f"{value:.6g}"
