from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .cost import ann_millijoule, by_formula, layer_millijoule, memory_millijoule, snn_millijoule, storage
from .counting import LayerCount
from .measure import Measurement
from .technology import Technology, read_technologies

if TYPE_CHECKING:
    from rich.table import Table


def weighted_rate(layers: list[LayerCount]) -> float:
    """Share of the binary slots that hold a spike over all layers, each neuron the same weight."""
    slots = sum(layer.inputs * layer.timesteps * layer.max_count for layer in layers if layer.mean_count is not None)
    return sum(layer.spikes for layer in layers) / slots


def _layer_json(layer: LayerCount, technology: Technology) -> dict[str, Any]:
    memory = None if technology.sram_pj is None else memory_millijoule(layer, technology)
    values = {
        "name": layer.name,
        "macs": layer.macs,
        "mean_count": layer.mean_count,
        "firing_rate": layer.firing_rate,
        "ac": layer.ac,
        "formula_ac": layer.formula_ac,
        "mac": layer.mac,
        "energy_mJ": layer_millijoule(layer, technology),
        "memory_mJ": memory,
        "ann_mJ": ann_millijoule(layer.macs, technology),
        "silent": layer.silent,
        "saturated": layer.saturated,
        "slot_rates": layer.slot_rates,
        "histogram": layer.histogram,
    }
    for name in ("timesteps", "inputs", "outputs", "weights"):
        values[name] = getattr(layer, name)
    return values


def to_json(found: Measurement, technology: Technology) -> dict[str, Any]:
    """Everything that was measured, and its energy for an image, as plain values.

    `gmac` is that of the dense form, once an image; `snn_mJ` takes additions as counted, `snn_formula_mJ` as the
    literature estimates them; both are computation alone. `ann` holds the same network as an ANN: in the dense form,
    the comparison of the literature; in the separable form, which is what an ANN would really run; and not folded.
    """
    layers = found.layers
    memory = technology.sram_pj is not None
    unfolded = found.macs["unfolded"] + found.macs["norms"]
    ann = {"dense": found.macs["dense"], "separable": found.macs["separable"], "unfolded": unfolded}
    held = storage(layers, found.parameters, technology)
    return {
        "gmac": found.macs["dense"] / 1e9,
        "ann_mJ": ann_millijoule(found.macs["dense"], technology),
        "snn_mJ": snn_millijoule(layers, technology),
        "snn_formula_mJ": snn_millijoule(by_formula(layers), technology),
        "snn_memory_mJ": sum(memory_millijoule(x, technology) for x in layers) if memory else None,
        "ann_memory_mJ": sum(memory_millijoule(x, technology, ann=True) for x in layers) if memory else None,
        "ann": {form: {"gmac": macs / 1e9, "mJ": ann_millijoule(macs, technology)} for form, macs in ann.items()},
        "images": found.images,
        "size_hw": found.size_hw,
        "timesteps": found.timesteps,
        "max_count": found.max_count,
        "firing_rate": weighted_rate(layers),
        "synaptic_ops": sum(layer.ac for layer in layers),
        "parameters": found.parameters,
        "weight_bytes": held.weights,
        "potential_bytes": held.potentials,
        "technology": asdict(technology),
        "technologies": [
            {
                "name": other.name,
                "label": other.label,
                "source": other.source,
                "snn_mJ": snn_millijoule(layers, other),
                "ann_mJ": ann_millijoule(found.macs["dense"], other),
                "ann_separable_mJ": ann_millijoule(found.macs["separable"], other),
            }
            for other in read_technologies().values()
        ],
        "layers": [_layer_json(layer, technology) for layer in layers],
    }


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def layer_table(found: Measurement, technology: Technology) -> Table:
    """One row a layer, for `rich.print`."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    title = f"An image of {found.size_hw[0]} x {found.size_hw[1]}, mean of {found.images}"
    table = Table(title=title, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))  # fits 80 columns
    table.add_column("layer", overflow="fold")
    for column in ("MMAC", "mean count", "rate", "silent", "at D", "M additions", "by formula", "mJ"):
        table.add_column(column.replace(" ", "\n"), justify="right", no_wrap=True)
    for layer in found.layers:
        rate, silent, full = (
            "-" if v is None else f"{v:.1%}" for v in (layer.firing_rate, layer.silent, layer.saturated)
        )
        additions, formula = (
            "-" if layer.mean_count is None else f"{v / 1e6:.2f}" for v in (layer.ac, layer.formula_ac)
        )
        table.add_row(
            layer.name,
            f"{layer.macs / 1e6:.2f}",
            _number(layer.mean_count),
            rate,
            silent,
            full,
            additions,
            formula,
            f"{layer_millijoule(layer, technology):.4f}",
        )
    return table


def summary_table(found: Measurement, technology: Technology) -> Table:
    """The network with spikes and as an ANN, side by side, for `rich.print`."""
    from rich.table import Table

    values = to_json(found, technology)
    table = Table(title=f"Energy of an image: {technology.label}", caption=technology.source)
    for column in ("", "operations", "mJ"):
        table.add_column(column, justify="left" if not column else "right")
    first = sum(layer.mac for layer in found.layers)
    snn = f"{values['synaptic_ops'] / 1e9:.4g} G additions, {first / 1e9:.4g} GMAC"
    formula = sum(layer.formula_ac for layer in found.layers)
    table.add_row("with spikes, additions as counted", snn, _number(values["snn_mJ"]), style="bold")
    table.add_row(
        "with spikes, by the literature's formula", f"{formula / 1e9:.4g} G", _number(values["snn_formula_mJ"])
    )
    if values["snn_memory_mJ"] is not None:
        table.add_row("memory traffic of it (Lemaire et al.)", "", _number(values["snn_memory_mJ"]))
    table.add_section()
    labels = {
        "dense": "as an ANN, dense folded (the literature's comparison)",
        "separable": "as an ANN, folded as one would run it",
        "unfolded": "as an ANN, batch norms not folded",
    }
    for form, label in labels.items():
        table.add_row(label, f"{values['ann'][form]['gmac']:.4g} GMAC", _number(values["ann"][form]["mJ"]))
    if values["ann_memory_mJ"] is not None:
        table.add_row("memory traffic of the dense one", "", _number(values["ann_memory_mJ"]))
    return table
