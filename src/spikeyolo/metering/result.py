"""A measurement with what its operations cost: the object that `spikeyolo.energy` gives."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files import write_whole
from ..terminal import as_html
from .measure import Measurement
from .page import write_page
from .report import code_table, counts_text, headline, layer_table, step_rows, step_table, summary_table, to_json
from .technology import Technology

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, eq=False, repr=False)
class EnergyReport:
    """What a network does on a data set, and what that costs, with spikes and as an ANN.

    Attributes:
        measurement: operations and spikes, by layer, and the proof that additions suffice where that was asked for.
        technology: what an operation costs.
        title: of the page.
    """

    measurement: Measurement
    technology: Technology
    title: str

    def __repr__(self) -> str:
        values = self.to_json()
        return f"EnergyReport({headline(values)[0].rstrip('.')}; firing rate {values['firing_rate']:.1%})"

    def _repr_html_(self) -> str:
        return as_html(*self.tables(), *self.lines())

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values, energy in mJ an image; see `metering.report.to_json`."""
        return to_json(self.measurement, self.technology)

    def layers(self) -> Table:
        """Return a row a layer, for `rich.print`."""
        return layer_table(self.measurement, self.technology)

    def tables(self) -> list[Table]:
        """Return the network with spikes and as an ANN, in both slot codes, and by timestep, for `rich.print`."""
        values = self.to_json()
        steps = [step_table(values)] if step_rows(values) else []
        return [summary_table(self.measurement, self.technology), code_table(values), *steps]

    def lines(self) -> list[str]:
        """Return what it comes to, in sentences."""
        values = self.to_json()
        return [
            counts_text(values),
            f"firing rate {values['firing_rate']:.1%}: share of the unary slots that hold a spike",
            *headline(values),
        ]

    def write_json(self, file: str | os.PathLike[str]) -> None:
        """Write `to_json`.

        Raises:
            WriteError: the file cannot be written.
        """
        write_whole(Path(file), json.dumps(self.to_json(), indent=1).encode())

    def write_html(self, file: str | os.PathLike[str]) -> None:
        """Write the whole report as one page that needs no network, with heat maps.

        Raises:
            WriteError: the file cannot be written.
        """
        write_page(Path(file), self.measurement, self.technology, self.title)
