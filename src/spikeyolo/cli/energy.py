"""`spikeyolo energy`: spikes, operations and what they cost."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..terminal import say, show
from .options import (
    Batch,
    Data,
    Device,
    ImageSize,
    Overwrite,
    OwnNeuron,
    Split,
    Technology,
    Weights,
    Workers,
    own_neuron,
)

if TYPE_CHECKING:
    from ..metering.measure import Measurement
    from ..metering.technology import Technology as CostTable


def energy(
    weights: Weights,
    data: Data,
    split: Split = "val",
    imgsz: ImageSize = None,
    batch: Batch = 8,
    device: Device = "auto",
    workers: Workers = 1,
    processes: int = 1,
    technology: Technology = "45nm-fp32",
    neuron: OwnNeuron = None,
    verify: bool = True,
    layers: bool = True,
    json: str | None = None,
    html: str | None = None,
    overwrite: Overwrite = False,
    given: frozenset[str] = frozenset(),
) -> None:
    """Count spikes and operations of a model on images or recordings, and what they cost, with spikes and as an ANN.

    Spikes are those of the unary slot code, as published; what the binary code needs for the same counts stands beside.

    Args:
        processes: processes that count, on CPUs
        verify: also prove that the network runs on spikes and additions alone
        layers: print a row for every layer
        json: write everything into this file
        html: write the whole report as one page, with heat maps, into this file

    Examples:
        spikeyolo energy --weights best.safetensors --data data.yaml
        spikeyolo energy --weights best.safetensors --data data.yaml --json energy.json --html energy.html
    """
    from ..data.open import open_data
    from ..devices import one_device
    from ..files import new_file
    from ..interop.reference import load_any
    from ..metering.measure import measure
    from ..metering.technology import find_technology
    from ..progress import progress_bar

    costs, chosen, own = find_technology(technology), one_device(device), own_neuron(neuron, given)
    opened = open_data(data)
    reads: list[str | Path] = [weights, data, technology, *opened.files]
    numbers = None if json is None else new_file(json, [".json"], reads=reads, overwrite=overwrite)
    page = None if html is None else new_file(html, [".html", ".htm"], reads=reads, overwrite=overwrite)
    model, index = load_any(weights, own).to(chosen), opened.split(split)
    with progress_bar("counting", len(index)) as report:
        found = measure(
            model,
            index,
            imgsz,
            batch=batch,
            workers=workers,
            processes=processes,
            verify=verify,
            progress=lambda done: report(done, len(index)),
        )
    _write(found, costs, f"Energy of {Path(weights).name} on {Path(data).name}, {split}", numbers, page)
    _print(found, costs, layers)


def _write(found: Measurement, costs: CostTable, title: str, numbers: Path | None, page: Path | None) -> None:
    from json import dumps

    from ..files import write_whole
    from ..metering.page import write_page
    from ..metering.report import to_json

    if numbers is not None:
        write_whole(numbers, dumps(to_json(found, costs), indent=1).encode())
    if page is not None:
        write_page(page, found, costs, title)


def _print(found: Measurement, costs: CostTable, layers: bool) -> None:
    from ..metering.report import code_table, counts_text, headline, layer_table, summary_table, to_json

    # A file or a pipe has no narrow screen: names of layers in one piece.
    width = None if sys.stdout.isatty() else 120
    if found.audit is not None:
        say(f"verified: {found.audit}")
    if layers:
        show(layer_table(found, costs), width=width)
    values = to_json(found, costs)
    show(summary_table(found, costs), code_table(values), width=width)
    say(counts_text(values))
    say(f"firing rate {values['firing_rate']:.1%}: share of the unary slots that hold a spike")
    say(*headline(values))
