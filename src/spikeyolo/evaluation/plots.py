"""Plots of an evaluation. Drawn with matplotlib's objects: no global figure, no display."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..files import write_whole
from ..imaging.lettering import shown_names
from ..optional import optional_module
from .confusion import ConfusionMatrix
from .metrics import Curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEGEND_CLASSES = 12  # more colours than that cannot be told apart
_SINGLED_OUT = 4  # with more classes: so many of the best and of the worst are named
_NUMBERED_CLASSES = 25  # in a larger matrix the numbers could not be read


def _new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = optional_module("matplotlib.figure", "train").Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure as a PNG, whole or not at all.

    Raises:
        WriteError: the file cannot be written.
    """
    write_whole(Path(path), png_of(figure))
    return Path(path)


def png_of(figure: Figure) -> bytes:
    """Return a figure as a PNG."""
    from .canvas import PlainCanvas

    PlainCanvas(figure)
    content = io.BytesIO()
    figure.savefig(content, dpi=130, format="png")
    return content.getvalue()


def _colours(count: int) -> list[tuple[float, ...]]:
    name = "tab10" if count <= 10 else "tab20"
    return [optional_module("matplotlib", "train").colormaps[name](index) for index in range(count)]


def _mean_curve(values: np.ndarray) -> np.ndarray:
    """Mean over classes (rows) that have boxes; all NaN when none has."""
    known = values[~np.isnan(values).all(axis=1)]
    return known.mean(axis=0) if len(known) else np.full(values.shape[1], np.nan)


def _draw_classes(axes: Axes, x: np.ndarray, values: np.ndarray, marks: np.ndarray, names: tuple[str, ...]) -> None:
    """A line a class, named with its mark: all of them, or the best and the worst when there are many."""
    names = shown_names(names)
    known = np.flatnonzero(~np.isnan(marks))
    ranked = known[np.argsort(-marks[known], kind="stable")]
    named = ranked
    if len(ranked) > _LEGEND_CLASSES:
        named = np.concatenate([ranked[:_SINGLED_OUT], ranked[-_SINGLED_OUT:]])
        for k in ranked[_SINGLED_OUT:-_SINGLED_OUT]:
            axes.plot(x, values[k], color="0.7", linewidth=0.6, alpha=0.7)
    for place, (colour, k) in enumerate(zip(_colours(len(named)), named, strict=True)):
        if len(named) < len(ranked) and place == _SINGLED_OUT:
            axes.plot([], [], " ", label="...")
        axes.plot(x, values[k], color=colour, linewidth=1.3, label=f"{marks[k]:.3f}  {names[k]}")


def _draw_mean(axes: Axes, x: np.ndarray, mean: np.ndarray, mark: float) -> None:
    axes.plot(x, mean, color="black", linewidth=2.6, zorder=3, label=f"{mark:.3f}  all classes")


def _finish(axes: Axes, title: str, x: str, y: str, legend_title: str) -> None:
    axes.set(title=title, xlabel=x, ylabel=y, xlim=(0, 1), ylim=(0, 1.02))
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            title=legend_title,
            loc="upper left",
            bbox_to_anchor=(1.01, 1.0),
            frameon=False,
            fontsize=9,
            alignment="left",
        )


def plot_precision_recall(curves: Curves, path: str | os.PathLike[str]) -> Path:
    """Draw precision over recall at IoU 0.5 for each class and their mean, as a PNG; the area under it is the AP50."""
    figure, axes = _new_figure(8.5, 5.5)
    areas = curves.interpolated.mean(axis=1)
    mean = _mean_curve(curves.interpolated)
    if not np.isnan(mean).all():
        _draw_mean(axes, curves.recalls, mean, mean.mean())
    _draw_classes(axes, curves.recalls, curves.interpolated, areas, curves.class_names)
    _finish(axes, "Precision over recall, IoU 0.5", "recall", "precision", "AP50")
    return save_figure(figure, path)


def plot_f1(curves: Curves, path: str | os.PathLike[str]) -> Path:
    """Draw F1 over confidence at IoU 0.5 for each class and their mean, the best confidence marked, as a PNG."""
    figure, axes = _new_figure(8.5, 5.5)
    mean = _mean_curve(curves.f1)
    if not np.isnan(mean).all():
        best = int(mean.argmax())
        _draw_mean(axes, curves.confidences, mean, mean[best])
        axes.axvline(curves.confidences[best], color="black", linewidth=0.8, linestyle=":")
        axes.annotate(
            f"best at {curves.confidences[best]:.2f}",
            (curves.confidences[best], 1.0),
            xytext=(4, 0),
            textcoords="offset points",
            va="top",
            fontsize=9,
        )
    _draw_classes(axes, curves.confidences, curves.f1, curves.f1.max(axis=1), curves.class_names)
    _finish(axes, "F1 over confidence, IoU 0.5", "confidence", "F1", "best F1")
    return save_figure(figure, path)


def plot_curves(curves: Curves | None, folder: Path) -> list[Path]:
    """Write the two plots above into a folder as precision_recall.png and f1.png; nothing where there are no curves.

    Raises:
        WriteError: a file cannot be written.
    """
    if curves is None:
        return []
    return [plot_precision_recall(curves, folder / "precision_recall.png"), plot_f1(curves, folder / "f1.png")]


def plot_confusion(matrix: ConfusionMatrix, path: str | os.PathLike[str]) -> Path:
    """Draw the confusion matrix as a PNG: colour is the share of the row, numbers are counts where they can be read."""
    names = [*shown_names(matrix.class_names), "background"]
    size = len(names)
    side = min(max(4.5, 2.5 + 0.42 * size), 18.0)
    figure, axes = _new_figure(side + 1.2, side)
    totals = matrix.counts.sum(axis=1, keepdims=True)
    shares = matrix.counts / np.maximum(totals, 1)
    image = axes.imshow(np.where(matrix.counts > 0, shares, np.nan), cmap="Blues", vmin=0.0, vmax=1.0)
    font = 9 if size <= _NUMBERED_CLASSES else 7
    axes.set_xticks(range(size), names, rotation=90, fontsize=font)
    axes.set_yticks(range(size), names, fontsize=font)
    axes.set_xticks(np.arange(size + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(size + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="0.9", linewidth=0.4)
    axes.tick_params(which="minor", length=0)
    for place in (axes.axhline, axes.axvline):
        place(size - 1.5, color="0.4", linewidth=1.0)
    if size - 1 <= _NUMBERED_CLASSES:
        for (row, column), count in np.ndenumerate(matrix.counts):
            if count:
                ink = "white" if shares[row, column] > 0.55 else "black"
                axes.text(column, row, str(count), ha="center", va="center", fontsize=8, color=ink)
    axes.set(
        xlabel="predicted (background: missed)",
        ylabel="true (background: nothing there)",
        title=f"Confusions at confidence {matrix.confidence:g}, IoU {matrix.iou:g}",
    )
    figure.colorbar(image, ax=axes, label="share of the row", shrink=0.7, pad=0.02)
    return save_figure(figure, path)
