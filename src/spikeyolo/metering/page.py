"""The report of an energy measurement as one HTML page that needs no network."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..files import write_whole
from ..text import visible
from .measure import Example, Measurement
from .report import (
    CODES,
    STEP_COLUMNS,
    code_rows,
    count_groups,
    headline,
    parameters_text,
    step_rows,
    steps_title,
    to_json,
)
from .technology import Technology

TEMPLATES = Path(__file__).parent
"""page.html is a whole page, energy.html what it says below its title, style.css how it looks."""


def image_address(rgb: np.ndarray, kind: Literal["png", "jpeg"] = "png") -> str:
    """Return an image, (H, W, 3) uint8 RGB, as an address that holds it whole."""
    import cv2

    written, content = cv2.imencode(f".{kind}", np.ascontiguousarray(rgb[..., ::-1]))
    assert written
    return f"data:image/{kind};base64,{base64.b64encode(content.tobytes()).decode()}"


def heat_colours(values: np.ndarray) -> np.ndarray:
    """Return values (H, W) as colours (H, W, 3) uint8 RGB, from none (dark) to the most."""
    import cv2

    levels = np.rint(255 * values / max(float(values.max()), 1e-12)).astype(np.uint8)
    return np.ascontiguousarray(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1])


def _heat(values: np.ndarray, image: np.ndarray) -> str:
    """Values in the size of the image."""
    import cv2

    size = (image.shape[1], image.shape[0])
    return image_address(cv2.resize(heat_colours(values), size, interpolation=cv2.INTER_NEAREST))


def _maps(example: Example, technology: Technology) -> dict[str, Any]:
    return {
        "image": image_address(example.image),
        "spikes": _heat(example.spikes, example.image),
        "additions": _heat(example.additions, example.image),
        "total_spikes": float(example.spikes.sum()),
        "energy": float(example.additions.sum()) * technology.ac_pj * 1e-9,
    }


def bars_of(values: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same with the length of each bar, in % of the longest."""
    most = max((bar["value"] for bar in values), default=0) or 1
    return [{**bar, "share": round(100 * bar["value"] / most, 2)} for bar in values]


def _totals(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Operations and memory traffic together, where both are known."""
    both = [(values["snn_mJ"], values["snn_memory_mJ"]), (values["ann_mJ"], values["ann_memory_mJ"])]
    labels = ("with spikes", "ANN, dense folded")
    bars = [
        {"label": label, "value": computing + memory, "snn": label == labels[0]}
        for label, (computing, memory) in zip(labels, both, strict=True)
        if computing is not None and memory is not None
    ]
    return bars_of(bars)


def _compared(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Operations alone."""
    bars = [
        {"label": "with spikes, additions as counted", "value": values["snn_mJ"], "snn": True},
        {"label": "with spikes, by the literature's formula", "value": values["snn_formula_mJ"], "snn": True},
        {"label": "ANN, folded as one would run it", "value": values["ann"]["separable"]["mJ"]},
        {"label": "ANN, batch norms not folded", "value": values["ann"]["unfolded"]["mJ"]},
        {"label": "ANN, dense folded", "value": values["ann"]["dense"]["mJ"]},
    ]
    return bars_of([bar for bar in bars if bar["value"] is not None])


def _parts(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Energy by part of the network: `backbone.stage1`, `neck.fuse`, ..., in the order in which they run."""
    sums: dict[str, float] = {}
    for layer in values["layers"]:
        part = ".".join(layer["name"].split(".")[:2])
        sums[part] = sums.get(part, 0.0) + layer["energy_mJ"]
    return bars_of([{"label": part, "value": value} for part, value in sums.items()])


def _counts(values: dict[str, Any]) -> list[dict[str, Any]]:
    """The shares of spike counts over all layers."""
    return bars_of([{"label": counts, "value": share} for counts, share in count_groups(values)])


def _histogram(layer: dict[str, Any]) -> Any:
    from markupsafe import Markup

    shares = np.mean(layer["histogram"], axis=0)[1:]
    heights = 18 * shares / max(float(shares.max()), 1e-12)
    step = max(2, min(6, 96 // len(shares)))
    bars = "".join(
        f'<rect x="{step * i}" y="{18 - h:.1f}" width="{step - 1}" height="{h:.1f}"/>' for i, h in enumerate(heights)
    )
    words = ", ".join(f"{count}: {share:.2%}" for count, share in enumerate(shares, start=1))
    width = step * len(shares)
    # Digits and fixed words alone: nothing of the user's goes in unescaped.
    return Markup(f'<svg width="{width}" height="18" role="img"><title>{words}</title>{bars}</svg>')


def _timestep_rate(layer: dict[str, Any], timestep: int) -> str:
    rates = layer["slot_rates"]
    return _percent(float(np.mean(rates[timestep]))) if timestep < len(rates) else "-"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def render(template: str, folder: Path = TEMPLATES, **values: Any) -> str:
    """Return a page made of a template, which may include those of this room.

    Args:
        template: its name.
        folder: where it lies.
        **values: what it shows.
    """
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(
        loader=FileSystemLoader([folder, TEMPLATES]), autoescape=True, trim_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {
        "one": lambda value: f"{value:.1f}",
        "three": lambda value: f"{value:.3f}",
        "four": lambda value: f"{value:.4f}",
        "percent": _percent,
    }
    return environment.get_template(template).render(**values)


def energy_values(found: Measurement, technology: Technology) -> dict[str, Any]:
    """Return what energy.html shows: energy beside the ANN's, rates and histograms by layer, maps, technologies."""
    values = to_json(found, technology)
    return {
        "v": values,
        "headline": headline(values),
        "parameters": parameters_text(values),
        "unit": found.unit,
        "an": "an" if found.unit == "image" else "a",
        "totals": _totals(values),
        "compared": _compared(values),
        "parts": _parts(values),
        "counts": _counts(values),
        "codes": code_rows(values),
        "codes_caption": CODES,
        "mean_of": found.mean_of,
        "steps": step_rows(values),
        "steps_title": steps_title(values),
        "step_columns": STEP_COLUMNS,
        "maps": [_maps(example, technology) for example in found.examples],
        "histogram": _histogram,
        "rate": _timestep_rate,
    }


def write_page(file: Path, found: Measurement, technology: Technology, title: str) -> None:
    """Write the report of an energy measurement as a page.

    Raises:
        WriteError: the file cannot be written.
    """
    write_whole(file, render("page.html", title=visible(title), **energy_values(found, technology)).encode())
