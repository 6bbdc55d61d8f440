"""The numbers of an evaluation, over all classes and by class."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rich.table import Table

CONFIDENCES = np.linspace(0.0, 1.0, 501)


@dataclass(frozen=True, eq=False)
class Curves:
    """Precision, recall and F1 of each class at IoU 0.5. K classes; a class without boxes is a row of NaN.

    Attributes:
        class_names: K names.
        recalls: (101,) 0.00, 0.01, ... 1.00.
        interpolated: (K, 101) precision at those recalls, by COCO's interpolation; its mean is the class's AP50.
        confidences: (501,) 0..1.
        precision: (K, 501) of the detections with at least that score; NaN where there are none.
        recall: (K, 501).
        f1: (K, 501), 0 where nothing is found.
    """

    class_names: tuple[str, ...]
    recalls: np.ndarray
    interpolated: np.ndarray
    confidences: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray


@dataclass(frozen=True, eq=False)
class Ranking:
    """All detections of one class over all images, best first, the ignored ones left out.

    Attributes:
        scores: (N,) falling.
        matched: (N,) bool: on a labelled box.
        boxes: labelled boxes to be found.
    """

    scores: np.ndarray
    matched: np.ndarray
    boxes: int

    def at(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return precision, recall and F1 when the first `counts` detections are kept."""
        found = np.concatenate([[0], np.cumsum(self.matched)])[counts]
        with np.errstate(invalid="ignore", divide="ignore"):
            precision, recall = found / counts, found / self.boxes
            f1 = 2 * found / (counts + self.boxes)
        if self.boxes == 0:
            precision, recall, f1 = (np.full(len(counts), np.nan) for _ in range(3))
        return precision, recall, f1

    def over_confidence(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return precision, recall and F1 at each of CONFIDENCES."""
        return self.at(np.searchsorted(-self.scores, -CONFIDENCES, side="right"))

    def best(self) -> tuple[float, float, float, float]:
        """Return precision, recall, F1 and the score where F1 is best; NaN where there are no boxes or detections."""
        if self.boxes == 0:
            return np.nan, np.nan, np.nan, np.nan
        if len(self.scores) == 0:
            return np.nan, 0.0, 0.0, np.nan
        # Detections of equal score are kept or dropped together.
        counts = np.flatnonzero(np.append(np.diff(self.scores) != 0, True)) + 1
        precision, recall, f1 = self.at(counts)
        top = int(f1.argmax())
        return float(precision[top]), float(recall[top]), float(f1[top]), float(self.scores[counts[top] - 1])


@dataclass(frozen=True)
class ClassMetrics:
    """The numbers of one class; NaN where there is nothing to measure.

    Attributes:
        name: of the class.
        boxes: labelled boxes, crowds not counted.
        ap: average precision over IoU 0.50 to 0.95.
        ap50: average precision at IoU 0.5.
        precision: at IoU 0.5, where F1 is best.
        recall: at the same place.
        f1: the best F1 over all confidences, at IoU 0.5.
        confidence: the score at which F1 is best.
    """

    name: str
    boxes: int
    ap: float
    ap50: float
    precision: float = math.nan
    recall: float = math.nan
    f1: float = math.nan
    confidence: float = math.nan


@dataclass(frozen=True)
class Metrics:
    """COCO's twelve numbers in 0..1, NaN where there is nothing to measure (no box of that size, say).

    Attributes:
        AP: mean over classes and over IoU 0.50, 0.55, ... 0.95 of the average precision.
        AP50: at IoU 0.5.
        AP75: at IoU 0.75.
        APs: of boxes below 32 * 32 square pixels.
        APm: of boxes from 32 * 32 to 96 * 96.
        APl: of boxes above 96 * 96.
        AR1: average recall with 1 detection an image.
        AR10: with 10.
        AR100: with 100.
        ARs: with 100, of small boxes.
        ARm: of medium ones.
        ARl: of large ones.
        images: images evaluated.
        boxes: labelled boxes on them, crowds not counted.
        detections: detections on them.
        per_class: one entry a class, in the order of the labels.
        curves: precision, recall and F1 over confidence, where asked for.

    Source: https://cocodataset.org/#detection-eval
    """

    AP: float
    AP50: float
    AP75: float
    APs: float
    APm: float
    APl: float
    AR1: float
    AR10: float
    AR100: float
    ARs: float
    ARm: float
    ARl: float
    images: int
    boxes: int
    detections: int
    per_class: tuple[ClassMetrics, ...]
    curves: Curves | None = field(default=None, repr=False, compare=False)

    def twelve(self) -> dict[str, float]:
        """Return COCO's twelve numbers by name, in COCO's order."""
        return {name: getattr(self, name) for name in TWELVE}

    def to_json(self) -> dict[str, Any]:
        """Return everything but the curves as plain values; None for NaN, which JSON does not know."""
        values: dict[str, Any] = {name: _plain(value) for name, value in self.twelve().items()}
        values |= {"images": self.images, "boxes": self.boxes, "detections": self.detections}
        values["per_class"] = [
            {f.name: _plain(getattr(entry, f.name)) for f in fields(entry)} for entry in self.per_class
        ]
        return values


TWELVE = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _shown(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def class_table(metrics: Metrics, by: str = "", places: str = "on {} images") -> Table:
    """Return per-class numbers under those of all classes together, for `rich.print`.

    Args:
        metrics: the numbers.
        by: the rule they go by, where there are several.
        places: where the boxes are, with a place for their number.
    """
    from rich.table import Table
    from rich.text import Text

    title = f"{by}{': ' if by else ''}{metrics.boxes} boxes {places.format(metrics.images)}"
    table = Table(title=title, caption=_caption(metrics))
    table.add_column("class", overflow="fold")
    for column in ("boxes", "AP", "AP50", "precision", "recall", "F1", "at score"):
        table.add_column(column, justify="right")
    measured = [[c.precision, c.recall, c.f1] for c in metrics.per_class if not math.isnan(c.f1)]
    # A class of which nothing was found has no precision; the mean is over those that have one.
    means = [_mean_of_known(column) for column in np.array(measured).reshape(-1, 3).T]
    row = [_shown(value) for value in (metrics.AP, metrics.AP50, *means, math.nan)]
    table.add_row("all", str(metrics.boxes), *row, style="bold", end_section=True)
    for entry in metrics.per_class:
        values = (entry.ap, entry.ap50, entry.precision, entry.recall, entry.f1, entry.confidence)
        table.add_row(Text(entry.name), str(entry.boxes), *(_shown(value) for value in values))
    return table


def _mean_of_known(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def _caption(metrics: Metrics) -> str:
    named = [f"{name} {_shown(value)}" for name, value in metrics.twelve().items()]
    return "  ".join(named[2:6]) + "\n" + "  ".join(named[6:])
