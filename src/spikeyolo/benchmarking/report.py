"""What a benchmark found: as a table, markdown, JSON and a plot."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..evaluation.plots import save_figure
from ..files import write_whole
from ..optional import optional_module
from ..terminal import as_html
from ..version import __version__

if TYPE_CHECKING:
    from rich.table import Table


@dataclass
class Row:
    """What was measured of one contender.

    Attributes:
        name: of the contender.
        status: "ok", or why it failed.
        engine: what ran it, with its version.
        form: of the network.
        bytes: on disk.
        ap: average precision.
        ap_difference: to that of the trained network.
        same: share of the detections that are those of the trained network.
        latency_ms: of one image, from the prepared image to boxes: median, and 95 %.
        batch_ms: the same of a batch.
        images_per_s: of a batch.
        firing_rate: share of the binary slots that hold a spike, where it runs on spikes.
        millijoule: of an image, operations alone, in the technology that the report names.
    """

    name: str
    status: str = "ok"
    engine: str = ""
    form: str = ""
    bytes: int | None = None
    ap: float | None = None
    ap_difference: float | None = None
    same: float | None = None
    latency_ms: tuple[float, float] | None = None
    batch_ms: tuple[float, float] | None = None
    images_per_s: float | None = None
    firing_rate: float | None = None
    millijoule: float | None = None

    def cells(self) -> list[str]:
        """Return what stands in a table."""
        if self.status != "ok":
            return [self.name, self.status, *[""] * (len(COLUMNS) - 2)]
        latency = self.latency_ms and f"{self.latency_ms[0]:.1f} ({self.latency_ms[1]:.1f})"
        return [
            self.name,
            self.engine,
            _shown(self.bytes and self.bytes / 1e6, ".1f"),
            _shown(self.ap, ".4f"),
            _shown(self.ap_difference, "+.4f"),
            _shown(self.same, ".1%"),
            latency or "-",
            _shown(self.batch_ms and self.batch_ms[0], ".1f"),
            _shown(self.images_per_s, ".1f"),
            _shown(self.firing_rate, ".1%"),
            _shown(self.millijoule, ".3f"),
        ]


COLUMNS = (
    "form",
    "runs in",
    "MB",
    "AP",
    "difference",
    "same detections",
    "ms (95 %)",
    "ms a batch",
    "images/s",
    "firing rate",
    "mJ",
)

IN_TERMINAL = {
    "form": "form",
    "MB": "MB",
    "AP": "AP",
    "difference": "differs",
    "same detections": "same",
    "ms (95 %)": "ms (95 %)",
    "images/s": "images/s",
    "mJ": "mJ",
}
"""Columns that a terminal has room for, with the names that they have there."""


def _shown(value: float | None, how: str) -> str:
    return "-" if value is None else format(value, how)


@dataclass(frozen=True)
class Report:
    """All rows.

    Attributes:
        rows: in the order in which they were asked for.
        machine: processor, system, threads, versions, size of a batch, technology of the energy.
    """

    rows: list[Row]
    machine: dict[str, Any]

    def __repr__(self) -> str:
        rows = [
            row.name if row.ap is None else f"{row.name} AP {row.ap:.3f}" for row in self.rows if row.status == "ok"
        ]
        failed = len(self.rows) - len(rows)
        return f"Report({', '.join(rows)}{f'; {failed} could not be measured' if failed else ''})"

    def _repr_html_(self) -> str:
        return as_html(self.table(), *self.failures())

    @property
    def caption(self) -> str:
        """Where and how it was measured."""
        said = self.machine
        return (
            f"{said['processor']}, {said['threads']} threads, {said['system']}, Python {said['python']}, spikeyolo "
            f"{said['spikeyolo']}; a batch has {said['batch']} images; energy of operations alone, {said['technology']}"
        )

    def table(self) -> Table:
        """Return a table for `rich.print`, narrow enough for a terminal; `markdown` has all columns."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), caption=self.caption, caption_justify="left")
        shown = [COLUMNS.index(column) for column in IN_TERMINAL]
        for i, column in enumerate(IN_TERMINAL.values()):
            table.add_column(column, justify="right" if i else "left", no_wrap=True)
        for row in self.rows:
            cells = row.cells()
            table.add_row(*(cells[i] for i in shown) if row.status == "ok" else cells[:1])
        return table

    def failures(self) -> list[str]:
        """Return a line for each contender that could not be measured."""
        return [f"{row.name}: {row.status}" for row in self.rows if row.status != "ok"]

    def markdown(self) -> str:
        """Return the same as text for a README."""
        lines = [COLUMNS, ["---"] * len(COLUMNS), *(row.cells() for row in self.rows)]
        escaped = ([cell.replace("|", "\\|") for cell in line] for line in lines)
        return "\n".join([*(f"| {' | '.join(line)} |" for line in escaped), "", self.caption, ""])

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"machine": self.machine, "rows": [asdict(row) for row in self.rows]}

    def write(self, folder: Path) -> list[Path]:
        """Write benchmark.json, benchmark.md and benchmark.png into a folder; return them.

        Raises:
            WriteError: a file cannot be written.
        """
        files = [folder / f"benchmark.{suffix}" for suffix in ("json", "md", "png")]
        write_whole(files[0], json.dumps(self.to_json(), indent=1).encode())
        write_whole(files[1], self.markdown().encode())
        self._plot(files[2])
        return files

    def _plot(self, file: Path) -> None:
        """Draw average precision against latency, a point for each contender."""
        figure = optional_module("matplotlib.figure", "train").Figure(figsize=(8, 5), layout="constrained")
        axes = figure.subplots()
        names = []
        for row in self.rows:
            if row.latency_ms is not None and row.ap is not None:
                place = row.latency_ms[0], row.ap
                (point,) = axes.plot(*place, "o")
                how = {"xytext": (5, 4), "textcoords": "offset points", "color": point.get_color()}
                names.append(axes.annotate(row.name, place, **how))
        axes.set(xlabel="latency of one image, ms (logarithmic)", ylabel="AP", xscale="log")
        axes.xaxis.set_major_locator(optional_module("matplotlib.ticker", "train").LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
        axes.margins(x=0.15, y=0.1)
        axes.grid(alpha=0.3)
        _set_apart(figure, names)
        save_figure(figure, file)


def _set_apart(figure: Any, names: Sequence[Any]) -> None:
    """Move names up, the slower first, until none lies on another."""
    figure.draw_without_rendering()
    placed: list[Any] = []
    for name in sorted(names, key=lambda name: -name.xy[0]):
        while any(name.get_window_extent().overlaps(other) for other in placed):
            right, up = name.get_position()
            name.set_position((right, up + 6))
        placed.append(name.get_window_extent())


def machine(threads: int) -> dict[str, Any]:
    """Return what results depend on."""
    return {
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "threads": threads,
        "python": platform.python_version(),
        "spikeyolo": __version__,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} ({len(names)} cores)" if names else platform.processor() or platform.machine()
