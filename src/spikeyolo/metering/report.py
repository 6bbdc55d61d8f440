"""What was measured, as plain values, tables and sentences."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..spiking import SlotCode
from .cost import ann_millijoule, by_formula, layer_millijoule, memory_millijoule, snn_millijoule, storage
from .layer_count import LayerCount, count_shares, in_code
from .measure import Measurement
from .technology import Technology, read_technologies

if TYPE_CHECKING:
    from rich.table import Table


def weighted_rate(layers: list[LayerCount]) -> float:
    """Return the share of the binary slots that hold a spike over all layers, each neuron the same weight."""
    slots = sum(layer.inputs * layer.timesteps * layer.slots for layer in layers if layer.mean_count is not None)
    return sum(layer.spikes for layer in layers) / slots


def _layer_json(layer: LayerCount, technology: Technology) -> dict[str, Any]:
    values = {
        "name": layer.name,
        "macs": layer.macs,
        "mean_count": layer.mean_count,
        "firing_rate": layer.firing_rate,
        "ac": layer.ac,
        "formula_ac": layer.formula_ac,
        "mac": layer.mac,
        "energy_mJ": layer_millijoule(layer, technology),
        "memory_mJ": _memory([layer], technology),
        "ann_mJ": ann_millijoule(layer.macs, technology),
        "silent": layer.silent,
        "saturated": layer.saturated,
        "slot_rates": layer.slot_rates,
        "histogram": layer.histogram,
    }
    for name in ("timesteps", "inputs", "outputs", "weights"):
        values[name] = getattr(layer, name)
    values["slot_codes"] = {str(code): _layer_code_json(layer.in_code(code), technology) for code in SlotCode}
    return values


def _layer_code_json(layer: LayerCount, technology: Technology) -> dict[str, Any]:
    """What differs between the slot codes."""
    return {
        "spikes": layer.spikes,
        "firing_rate": layer.firing_rate,
        "slot_rates": layer.slot_rates,
        "ac": layer.ac,
        "doublings": layer.doublings,
        "energy_mJ": layer_millijoule(layer, technology),
        "memory_mJ": _memory([layer], technology),
    }


def _code_json(found: Measurement, technology: Technology, code: SlotCode) -> dict[str, Any]:
    """The whole network in a slot code."""
    layers, weights = in_code(found.layers, code), code.weights(found.max_count)
    return {
        "slot_weights": weights,
        "slots": found.timesteps * len(weights),
        "spikes": sum(layer.spikes for layer in layers),
        "firing_rate": weighted_rate(layers),
        "synaptic_ops": sum(layer.ac for layer in layers),
        "doublings": sum(layer.doublings for layer in layers),
        "snn_mJ": snn_millijoule(layers, technology),
        "snn_memory_mJ": _memory(layers, technology),
    }


def _memory(layers: list[LayerCount], technology: Technology, ann: bool = False) -> float | None:
    """Their memory traffic, where it is known."""
    return None if technology.sram_pj is None else sum(memory_millijoule(layer, technology, ann) for layer in layers)


def to_json(found: Measurement, technology: Technology) -> dict[str, Any]:
    """Return everything that was measured, and its energy for an image (or window: see `unit`), as plain values.

    `gmac` is that of the dense form, once an image; `snn_mJ` takes additions as counted, `snn_formula_mJ` as the
    literature estimates them; both are computation alone. `ann` holds the same network as an ANN: in the dense form,
    the comparison of the literature; in the separable form, which is what an ANN would really run; and not folded.
    `slot_codes` holds what spikes cost in each code, whose counts are the same; all else is of the unary code.
    `histogram` is the share of all counts that are 0, 1, ..., D. `by_timestep` holds operations alone. Where potentials
    are `carried`, `images` are timesteps, all else is of a window of T of them.
    """
    layers = found.layers
    unfolded = found.macs["unfolded"] + found.macs["norms"]
    ann = {"dense": found.macs["dense"], "separable": found.macs["separable"], "unfolded": unfolded}
    held = storage(layers, found.parameters, technology)
    return {
        "gmac": found.macs["dense"] / 1e9,
        "ann_mJ": ann_millijoule(found.macs["dense"], technology),
        "snn_mJ": snn_millijoule(layers, technology),
        "snn_formula_mJ": snn_millijoule(by_formula(layers), technology),
        "snn_memory_mJ": _memory(layers, technology),
        "ann_memory_mJ": _memory(layers, technology, ann=True),
        "ann": {form: {"gmac": macs / 1e9, "mJ": ann_millijoule(macs, technology)} for form, macs in ann.items()},
        "images": found.images,
        "unit": found.unit,
        "size_hw": found.size_hw,
        "timesteps": found.timesteps,
        "max_count": found.max_count,
        "firing_rate": weighted_rate(layers),
        "synaptic_ops": sum(layer.ac for layer in layers),
        "slot_codes": {str(code): _code_json(found, technology, code) for code in SlotCode},
        "histogram": count_shares(layers),
        "carried": found.carried,
        "by_timestep": [step.to_json(found.max_count, technology) for step in found.by_timestep],
        "parameters": found.parameters,
        "trained_parameters": found.trained_parameters,
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


def headline(values: dict[str, Any]) -> list[str]:
    """Return what the energy comes to, in sentences, the whole before its parts.

    Args:
        values: from `to_json`.
    """
    one, snn, ann = values["unit"], values["snn_mJ"], values["ann_mJ"]
    one = f"{'An' if one == 'image' else 'A'} {one}"
    if ann is None:
        return [f"{one} costs {snn:.3f} mJ with spikes, operations alone; an ANN cannot run on this hardware."]
    operations = f"{snn:.3f} mJ with spikes, {ann:.3f} mJ as a dense ANN ({_times(snn, ann)})"
    snn_memory, ann_memory = values["snn_memory_mJ"], values["ann_memory_mJ"]
    if snn_memory is None:
        return [f"{one} costs {operations}: operations alone; memory traffic is not known for this technology."]
    total, ann_total = snn + snn_memory, ann + ann_memory
    return [
        f"{one} costs {total:.3f} mJ with spikes and {ann_total:.3f} mJ as a dense ANN, operations and memory traffic "
        f"together: {_times(total, ann_total)}.",
        f"Operations alone: {operations}.",
        f"Memory traffic alone: {snn_memory:.3f} mJ with spikes, {ann_memory:.3f} mJ as a dense ANN "
        f"({_times(snn_memory, ann_memory)}).",
    ]


def _times(snn: float, ann: float) -> str:
    """How the two compare, in words."""
    if snn > ann:
        return f"spikes cost {snn / ann:.2f} times as much"
    return f"the ANN costs {ann / snn:.2f} times as much"


def parameters_text(values: dict[str, Any]) -> str:
    """Return both numbers of parameters: of the form that is counted, and as trained."""
    dense, trained = values["parameters"] / 1e6, values["trained_parameters"] / 1e6
    return f"{dense:.1f} M parameters of the dense form ({trained:.1f} M as trained)"


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def layer_table(found: Measurement, technology: Technology) -> Table:
    """Return one row a layer, for `rich.print`."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    rows, columns = found.size_hw
    title = f"{'An' if found.unit == 'image' else 'A'} {found.unit} of {rows} x {columns}, mean of {found.mean_of}"
    table = Table(title=title, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))  # fits 80 columns
    table.add_column("layer", overflow="fold")
    for column in ("MMAC", "mean count", "rate", "silent", "at D", "M additions", "by formula", "mJ"):
        table.add_column(column.replace(" ", "\n"), justify="right", no_wrap=True)
    for layer in found.layers:
        spiking = layer.mean_count is not None
        table.add_row(
            layer.name,
            f"{layer.macs / 1e6:.2f}",
            _number(layer.mean_count),
            *map(_percent, (layer.firing_rate, layer.silent, layer.saturated)),
            *(_number(value / 1e6 if spiking or value else None, 2) for value in (layer.ac, layer.formula_ac)),
            _number(layer_millijoule(layer, technology), 4),
        )
    return table


STEP_COLUMNS = ("timestep", "counted", "M spikes", "firing rate", "M additions", "mJ of operations")


def step_rows(values: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return what each timestep does, as text, by `STEP_COLUMNS`; none where there is one alone.

    Args:
        values: from `to_json`.
    """
    steps = values["by_timestep"]
    return [
        (
            f"{step['timestep']}{' and later' if step['later'] else ''}",
            str(step["samples"]),
            _number(step["spikes"] / 1e6),
            _percent(step["firing_rate"]),
            _number(step["synaptic_ops"] / 1e6, 2),
            _number(step["snn_mJ"], 4),
        )
        for step in (steps if len(steps) > 1 else [])
    ]


def steps_title(values: dict[str, Any]) -> str:
    """Return what stands over them."""
    return "By timestep, counted from rest" + (", potentials carried" if values["carried"] else "")


def step_table(values: dict[str, Any]) -> Table:
    """Return the timesteps one by one, for `rich.print`.

    Args:
        values: from `to_json`.
    """
    from rich.table import Table

    table = Table(title=steps_title(values))
    for column in STEP_COLUMNS:
        table.add_column(column.replace(" ", "\n", 1), justify="right")
    for row in step_rows(values):
        table.add_row(*row)
    return table


CODE_ROWS = {
    "slots": "slots",
    "spikes": "M spikes",
    "firing_rate": "firing rate",
    "synaptic_ops": "M additions",
    "doublings": "M doublings",
    "snn_mJ": "mJ of operations",
    "snn_memory_mJ": "mJ of memory",
}
"""What the two slot codes are compared by: the key in `to_json`, and what it is called."""

MOST_COUNTS = 9
"""Spike counts that are named one by one."""

CODES = "The same counts, potentials and outputs in both; a doubling is charged as an addition, though it is a shift."


def code_rows(values: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return what an image costs in the unary and in the binary code, and the ratio, as text, row by row.

    Args:
        values: from `to_json`.
    """
    unary, binary = (values["slot_codes"][code] for code in SlotCode)
    weights = f"{len(unary['slot_weights'])} of 1", ", ".join(map(str, binary["slot_weights"]))
    rows: list[tuple[str, ...]] = [("weights of a timestep's slots", *weights, "")]
    for key, label in CODE_ROWS.items():
        if unary[key] is not None:
            ratio = f"{binary[key] / unary[key]:.3f}" if unary[key] else ""
            rows.append((label, *(_of_code(key, c[key]) for c in (unary, binary)), ratio))
    return rows


def _of_code(key: str, value: float) -> str:
    if key == "slots":
        return str(value)
    return f"{value:.1%}" if key == "firing_rate" else _number(value if key.endswith("mJ") else value / 1e6)


def count_groups(values: dict[str, Any]) -> list[tuple[str, float]]:
    """Return spike counts and their shares over all layers, the large counts together.

    Args:
        values: from `to_json`.
    """
    shares = values["histogram"]
    groups = [(str(count), share) for count, share in enumerate(shares[:MOST_COUNTS])]
    return groups + ([(f"{MOST_COUNTS}+", sum(shares[MOST_COUNTS:]))] if len(shares) > MOST_COUNTS else [])


def counts_text(values: dict[str, Any]) -> str:
    """Return the same in a sentence."""
    return "spike counts: " + ", ".join(f"{counts}: {share:.1%}" for counts, share in count_groups(values))


def code_table(values: dict[str, Any]) -> Table:
    """Return both slot codes side by side, for `rich.print`.

    Args:
        values: from `to_json`.
    """
    from rich.table import Table

    one = "An image" if values["unit"] == "image" else "A window"
    table = Table(title=f"{one} in both slot codes", caption=CODES)
    for column in ("", *map(str, SlotCode), "ratio"):
        table.add_column(column, justify="right" if column else "left")
    for row in code_rows(values):
        table.add_row(*row)
    return table


def summary_table(found: Measurement, technology: Technology) -> Table:
    """Return the network with spikes and as an ANN, side by side, operations and memory traffic, for `rich.print`."""
    from rich.table import Table

    values = to_json(found, technology)
    one = "an image" if found.unit == "image" else "a window"
    caption = technology.source
    if values["snn_memory_mJ"] is not None:
        caption += "; memory traffic after Lemaire et al. (2022)"
    table = Table(title=f"Energy of {one}: {technology.label}", caption=caption)
    for column in ("", "operations", "mJ of\noperations", "mJ of\nmemory", "mJ\nin all"):
        table.add_column(column, justify="left" if not column else "right")

    def add(label: str, operations: str, computing: float | None, memory: float | None = None, style: str = "") -> None:
        total = None if computing is None or memory is None else computing + memory
        table.add_row(label, operations, *map(_number, (computing, memory, total)), style=style)

    first = sum(layer.mac for layer in found.layers)
    formula = sum(layer.formula_ac for layer in found.layers)
    counted = f"{values['synaptic_ops'] / 1e9:.4g} G additions\n{first / 1e9:.4g} GMAC"
    add("with spikes, additions as counted", counted, values["snn_mJ"], values["snn_memory_mJ"], "bold")
    add("with spikes, by the literature's formula", f"{formula / 1e9:.4g} G additions", values["snn_formula_mJ"])
    table.add_section()
    memory = {"dense": values["ann_memory_mJ"]}
    labels = {
        "dense": "ANN, dense folded, as in the literature",
        "separable": "ANN, folded as one would run it",
        "unfolded": "ANN, batch norms not folded",
    }
    for form, label in labels.items():
        ann = values["ann"][form]
        add(label, f"{ann['gmac']:.4g} GMAC", ann["mJ"], memory.get(form))
    return table
