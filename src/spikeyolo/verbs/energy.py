"""`spikeyolo.energy`: spikes, operations and what they cost."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..option_help import TRAINED, described
from .runnable import Log, files_of, load_model, name_of, nothing

if TYPE_CHECKING:
    from ..metering.result import EnergyReport


@described(weights=f"{TRAINED}, in its trained form")
def energy(  # noqa: D417
    weights: Any,
    data: str | os.PathLike[str],
    *,
    split: Literal["train", "val", "test"] = "val",
    imgsz: int | None = None,
    batch: int = 8,
    device: str = "auto",
    workers: int = 1,
    processes: int = 1,
    technology: str = "45nm-fp32",
    neuron: Any = None,
    verify: bool = True,
    carry: bool = False,
    json: str | os.PathLike[str] | None = None,
    html: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Log = nothing,
) -> EnergyReport:
    """Count spikes and operations of a model on images or recordings, and what they cost, with spikes and as an ANN.

    Spikes are those of the unary slot code, as published; what the binary code needs for the same counts stands beside.
    In a terminal or notebook a bar shows how far it is.

    Args:
        processes: processes that count, on CPUs
        verify: also prove that the network runs on spikes and additions alone
        carry: on recordings, from start to last label, potentials kept from timestep to timestep; else windows from
            rest
        json: write everything into this file
        html: write the whole report as one page, with heat maps, into this file

    Returns:
        What was counted and what it costs: `to_json()`, `tables()`, `layers()`, `lines()`, `write_html(file)`.

    Raises:
        ConfigError: a setting that does not exist, is out of range or does not apply; a model that is folded already
            or has no spikes.
        CheckpointError: the weights cannot be used.
        DataError: the data cannot be read.
        VerificationError: a product that is not an addition of spikes.
        WriteError: nothing may be written there, or it cannot be.
    """
    from ..data.open import open_data
    from ..devices import one_device
    from ..files import new_file
    from ..metering.measure import measure
    from ..metering.result import EnergyReport
    from ..metering.technology import find_technology
    from ..progress import progress_bar

    costs = find_technology(technology)
    one_device(device)  # before anything is read or written
    opened = open_data(str(data))
    reads = [*files_of(weights, data, technology), *opened.files]
    numbers = None if json is None else new_file(json, [".json"], reads=reads, overwrite=overwrite)
    page = None if html is None else new_file(html, [".html", ".htm"], reads=reads, overwrite=overwrite)
    model, index = load_model(weights, device, neuron), opened.split(split)
    with progress_bar("counting", len(index)) as report:
        found = measure(
            model,
            index,
            imgsz,
            batch=batch,
            workers=workers,
            processes=processes,
            verify=verify,
            carry=carry,
            progress=report,
        )
    if found.audit is not None:
        progress(f"verified: {found.audit}")
    done = EnergyReport(found, costs, f"Energy of {name_of(weights)} on {Path(data).name}, {split}")
    if numbers is not None:
        done.write_json(numbers)
    if page is not None:
        done.write_html(page)
    return done
