from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
    """All detections of one class over all pictures, best first, the ignored ones left out.

    Attributes:
        scores: (N,) falling.
        matched: (N,) bool: on a labelled box.
        boxes: labelled boxes to be found.
    """

    scores: np.ndarray
    matched: np.ndarray
    boxes: int

    def at(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Precision, recall and F1 when the first `counts` detections are kept."""
        found = np.concatenate([[0], np.cumsum(self.matched)])[counts]
        with np.errstate(invalid="ignore", divide="ignore"):
            precision, recall = found / counts, found / self.boxes
            f1 = 2 * found / (counts + self.boxes)
        if self.boxes == 0:
            precision, recall, f1 = (np.full(len(counts), np.nan) for _ in range(3))
        return precision, recall, f1

    def over_confidence(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Precision, recall and F1 at each of CONFIDENCES."""
        return self.at(np.searchsorted(-self.scores, -CONFIDENCES, side="right"))

    def best(self) -> tuple[float, float, float, float]:
        """Precision, recall, F1 and the score where F1 is best; NaN without boxes, precision NaN without detections."""
        if self.boxes == 0:
            return np.nan, np.nan, np.nan, np.nan
        if len(self.scores) == 0:
            return np.nan, 0.0, 0.0, np.nan
        # Detections of equal score are kept or dropped together.
        counts = np.flatnonzero(np.append(np.diff(self.scores) != 0, True)) + 1
        precision, recall, f1 = self.at(counts)
        top = int(f1.argmax())
        return float(precision[top]), float(recall[top]), float(f1[top]), float(self.scores[counts[top] - 1])
