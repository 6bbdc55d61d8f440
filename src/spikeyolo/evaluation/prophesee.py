"""The Prophesee protocol: average precision on recordings of event cameras, as papers on Gen1 and 1 Mpx report it.

An instant is a moment of a recording at which at least one box is labelled; it plays the part of an image.

1. Boxes of classes that are not evaluated, boxes at or before 0.5 s, and boxes below a smallest diagonal or side are
   dropped, from the labels and from the detections alike (each by its own time and size).
2. A detection belongs to the nearest instant, of the earlier one where two are equally near, if it lies no more than
   50 ms away, borders included; others belong to none and do not count.
3. Only instants of which a label is left are evaluated; an instant for which nothing was found counts as missed.
4. COCO's average precision over these instants.

Prophesee's own program differs in 2 where instants lie 100 ms or less apart: there it takes each label and each
detection into every instant within reach, which at the 60 Hz of 1 Mpx gives an AP of 0 to perfect detections
(https://github.com/prophesee-ai/prophesee-automotive-dataset-toolbox/issues/29). Where they lie farther apart the two
agree. Detections given at several times around one instant all belong to it, in both: give them once for an instant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.events.labels import BOX_DTYPE
from ..errors import ConfigError, DataError, ShapeError
from ..structures import Detections
from .coco import CocoEvaluator, all_gathered, detection_rows
from .ground_truth import GroundTruth
from .metrics import Metrics, class_table

if TYPE_CHECKING:
    from rich.table import Table

Moment = tuple[str, int]
"""A recording and a time in it, in microseconds."""


@dataclass(frozen=True)
class Boxes:
    """Labels, or detections, of all recordings in the order of their instants.

    Attributes:
        instant: (N,) int64, the instant a box belongs to, numbered through all recordings.
        t_us: (N,) int64, its own time.
        xyxy: (N, 4) float64 pixels.
        class_ids: (N,) int64.
        scores: (N,) float64; 1 for labels.
    """

    instant: np.ndarray
    t_us: np.ndarray
    xyxy: np.ndarray
    class_ids: np.ndarray
    scores: np.ndarray

    @property
    def sides(self) -> np.ndarray:
        """(N, 2) width and height."""
        return self.xyxy[:, 2:] - self.xyxy[:, :2]

    def __getitem__(self, mask: np.ndarray) -> Boxes:
        return Boxes(*(getattr(self, field.name)[mask] for field in fields(self)))

    @classmethod
    def joined(cls, parts: Sequence[Boxes]) -> Boxes:
        """Return one after the other."""
        none = np.zeros(0, np.int64)
        parts = [cls(none, none, np.zeros((0, 4)), none, np.zeros(0)), *parts]
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


@dataclass(frozen=True)
class Protocol:
    """What counts. Sizes are in pixels of the frames that the network sees.

    Attributes:
        class_names: the classes evaluated.
        class_ids: for each of them its id, in the label files and in `Detections.labels` alike.
        skip_us: boxes at or before this time do not count: the network has seen too little yet.
        min_diagonal: boxes with a shorter diagonal do not count.
        min_side: boxes with a shorter width or height do not count.
        tolerance_us: how far a detection may lie from the instant it belongs to.

    Raises:
        ConfigError: names and ids that do not belong together, or a number below 0.

    Sources: 0.5 s, and the diagonals of labels and results alike,
    https://github.com/prophesee-ai/prophesee-automotive-dataset-toolbox ("Evaluation using the COCO API"), after Perot
    et al., NeurIPS 2020 (arXiv 2009.13436); sides https://github.com/uzh-rpg/RVT/issues/13 and /issues/56, after Gehrig
    and Scaramuzza, CVPR 2023 (arXiv 2212.05598); 50 ms .../prophesee-automotive-dataset-toolbox/issues/29.
    """

    class_names: tuple[str, ...]
    class_ids: tuple[int, ...]
    skip_us: int = 500_000
    min_diagonal: float = 30.0
    min_side: float = 10.0
    tolerance_us: int = 50_000

    def __post_init__(self) -> None:
        if not len(self.class_names) == len(self.class_ids) == len(set(self.class_ids)) > 0:
            raise ConfigError(f"class_ids: {self.class_ids} beside the names {self.class_names}; give one id a class")
        for name in ("skip_us", "min_diagonal", "min_side", "tolerance_us"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}: {getattr(self, name)} is below 0")

    def scaled(self, factor: float) -> Protocol:
        """Return the same for frames of `factor` times the width and height."""
        return replace(self, min_diagonal=self.min_diagonal * factor, min_side=self.min_side * factor)

    def kept(self, boxes: Boxes) -> np.ndarray:
        """Return (N,) bool: which of the boxes count."""
        sides = boxes.sides
        large = (np.hypot(sides[:, 0], sides[:, 1]) >= self.min_diagonal) & (sides >= self.min_side).all(axis=1)
        return large & (boxes.t_us > self.skip_us) & np.isin(boxes.class_ids, self.class_ids)


# Ids and names: https://arxiv.org/abs/2001.08499 (Gen1), and for 1 Mpx, where 3 to 6 are truck, bus, traffic sign and
# traffic light, https://github.com/prophesee-ai/prophesee-automotive-dataset-toolbox/issues/23.
GEN1 = Protocol(("car", "pedestrian"), (0, 1))
ONE_MPX = Protocol(("pedestrian", "two wheeler", "car"), (0, 1, 2), min_diagonal=60.0, min_side=20.0)
ONE_MPX_HALVED = ONE_MPX.scaled(0.5)
"""For frames of 640 x 360. Source: https://github.com/uzh-rpg/RVT/issues/56."""
UNFILTERED = Protocol(("object",), (0,), skip_us=0, min_diagonal=0.0, min_side=0.0)
"""Every label counts."""


@dataclass(frozen=True)
class EventMetrics:
    """Average precision by the two rules; the name of each stands beside its numbers in `to_json`.

    Attributes:
        prophesee: by the Prophesee protocol: what papers report.
        plain_coco: the same detections without any filter of time or size, at every instant that has labels of the
            classes evaluated.
        protocol: the constants behind `prophesee`.
        instants_without_output: instants near which no output was given at all, not even an empty one; in both
            numbers they count as missed.
        outputs_without_instant: outputs given near no instant, which count in neither number.
    """

    prophesee: Metrics
    plain_coco: Metrics
    protocol: Protocol
    instants_without_output: int
    outputs_without_instant: int

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "prophesee": {**self.prophesee.to_json(), "protocol": asdict(self.protocol)},
            "plain_coco": self.plain_coco.to_json(),
            "instants_without_output": self.instants_without_output,
            "outputs_without_instant": self.outputs_without_instant,
        }


class PropheseeEvaluator:
    """Collects labels and detections, recording by recording, and gives both average precisions.

    Args:
        protocol: the constants, such as GEN1 or ONE_MPX_HALVED.
    """

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self._labels: dict[str, tuple[np.ndarray, tuple[int, int]]] = {}
        self._rows: dict[Moment, np.ndarray] = {}

    def add_labels(self, recording_id: str, boxes: np.ndarray, sensor_size_hw: tuple[int, int]) -> None:
        """Take all labelled boxes of a recording: (N,) BOX_DTYPE, in pixels of the frames; none is an empty array.

        Boxes are taken as they are: those that reach beyond the sensor are clipped, if so wanted, before.

        Raises:
            ShapeError: another type of array.
            DataError: a recording given twice, or a coordinate that is not finite.
        """
        if boxes.dtype != BOX_DTYPE or boxes.ndim != 1:
            raise ShapeError(f"{recording_id}: boxes: expected BOX_DTYPE (N,), got {boxes.dtype} {boxes.shape}")
        if recording_id in self._labels:
            raise DataError(f"recording {recording_id!r}: its labels were given before")
        if not all(np.isfinite(boxes[field]).all() for field in ("x", "y", "w", "h")):
            raise DataError(f"recording {recording_id!r}: a label with a coordinate that is not finite")
        self._labels[recording_id] = (np.sort(boxes, order="t", kind="stable"), sensor_size_hw)

    def update(self, recording_id: str, t_us: int, detections: Detections) -> None:
        """Take what was found at one moment of a recording, in pixels of the frames; nothing is an empty Detections.

        Raises:
            DataError: given before for this moment, or a number that is not finite.
        """
        key, rows = (recording_id, int(t_us)), detection_rows(detections)
        if key in self._rows:
            raise DataError(f"recording {recording_id!r}: detections at {t_us} us were given before")
        if not np.isfinite(rows).all():
            raise DataError(f"recording {recording_id!r}: a detection at {t_us} us with a number that is not finite")
        self._rows[key] = rows

    def state(self) -> dict[Moment, np.ndarray]:
        """Return the detections collected, to be sent to another process and merged there."""
        return dict(self._rows)

    def merge(self, states: Iterable[Mapping[Moment, np.ndarray]]) -> None:
        """Take over what others have collected; of a moment that several have, the first is kept."""
        for state in states:
            for key, rows in state.items():
                self._rows.setdefault(key, rows)

    def gather(self) -> None:
        """Merge the detections of all processes into each of them; each has all labels already."""
        states, self._rows = all_gathered(self._rows), {}
        self.merge(states)

    def compute(self, *, curves: bool = True) -> EventMetrics:
        """Return both average precisions over all recordings given.

        Raises:
            DataError: detections on a recording whose labels were not given.
        """
        unknown = sorted({recording_id for recording_id, _ in self._rows} - self._labels.keys())
        if unknown:
            raise DataError(
                f"{len(unknown)} recordings with detections but without labels, such as {unknown[0]!r}; "
                "call add_labels for each, with an empty array where nothing is labelled"
            )
        sizes_hw, labels, found, output_instants = self._matched()
        # Without filters, but of the same classes: there is no name for the others.
        labels, found = (boxes[np.isin(boxes.class_ids, self.protocol.class_ids)] for boxes in (labels, found))
        large_labels, large_found = (boxes[self.protocol.kept(boxes)] for boxes in (labels, found))
        return EventMetrics(
            prophesee=self._average_precision(sizes_hw, large_labels, large_found, curves),
            plain_coco=self._average_precision(sizes_hw, labels, found, curves),
            protocol=self.protocol,
            instants_without_output=len(np.setdiff1d(labels.instant, output_instants)),
            outputs_without_instant=int((output_instants < 0).sum()),
        )

    def _matched(self) -> tuple[np.ndarray, Boxes, Boxes, np.ndarray]:
        """Puts labels and detections at their instants, which are numbered through all recordings.

        Returns:
            sizes_hw: (I, 2) of each instant's sensor.
            labels: all of them.
            found: the detections that belong to an instant.
            output_instants: for each call of `update` the instant, or -1.
        """
        outputs: dict[str, list[tuple[int, np.ndarray]]] = {}
        for (recording_id, t_us), rows in self._rows.items():
            outputs.setdefault(recording_id, []).append((t_us, rows))
        sizes, labels, found, output_instants = [np.zeros((0, 2), np.int64)], [], [], [np.zeros(0, np.int64)]
        first = 0
        for recording_id in sorted(self._labels):
            boxes, size_hw = self._labels[recording_id]
            times = np.unique(boxes["t"])
            labels.append(_labelled(boxes, first + np.searchsorted(times, boxes["t"])))
            given = sorted(outputs.get(recording_id, []), key=lambda output: output[0])
            place = nearest_instant(times, np.array([t for t, _ in given], np.int64), self.protocol.tolerance_us)
            place[place >= 0] += first
            found += [_detected(rows, t, at) for (t, rows), at in zip(given, place.tolist(), strict=True) if at >= 0]
            output_instants.append(place)
            sizes.append(np.tile(np.array(size_hw, np.int64), (len(times), 1)))
            first += len(times)
        return np.concatenate(sizes), Boxes.joined(labels), Boxes.joined(found), np.concatenate(output_instants)

    def _average_precision(self, sizes_hw: np.ndarray, labels: Boxes, found: Boxes, curves: bool) -> Metrics:
        """COCO's numbers over the instants of `labels`."""
        counted, image_index = np.unique(labels.instant, return_inverse=True)
        sides = labels.sides
        truth = GroundTruth(
            image_ids=tuple(range(len(counted))),
            sizes_hw=sizes_hw[counted],
            image_index=image_index,
            boxes=labels.xyxy,
            labels=self._class_index(labels),
            crowd=np.zeros(len(sides), dtype=bool),
            areas=sides.prod(axis=1),
            class_names=self.protocol.class_names,
            category_ids=self.protocol.class_ids,
        )
        found = found[np.isin(found.instant, counted)]
        rows = np.column_stack([found.xyxy, found.scores, self._class_index(found)])
        # The rows lie in the order of the instants: split them where the next instant begins.
        parts = np.split(rows, np.searchsorted(found.instant, counted[1:])) if len(counted) else []
        evaluator = CocoEvaluator(truth)
        evaluator.merge([dict(enumerate(parts))])
        return evaluator.compute(curves=curves)

    def _class_index(self, boxes: Boxes) -> np.ndarray:
        return (boxes.class_ids[:, None] == np.array(self.protocol.class_ids)).argmax(axis=1)


def protocol_tables(metrics: EventMetrics) -> list[Table]:
    """Return a table by the protocol and one by plain COCO, for `rich.print`; one alone where they are the same."""
    places = "at {} labelled instants"
    plain = class_table(metrics.plain_coco, "plain COCO, nothing filtered", places)
    p = metrics.protocol
    if not (p.skip_us or p.min_diagonal or p.min_side):
        return [plain]
    rule = f"Prophesee protocol (after {p.skip_us / 1e6:g} s, diagonal >= {p.min_diagonal:g}, sides >= {p.min_side:g})"
    return [class_table(metrics.prophesee, rule, places), plain]


def nearest_instant(instants: np.ndarray, t_us: np.ndarray, tolerance_us: int) -> np.ndarray:
    """Return for each time (N,) the index of the nearest rising instant (I,), the earlier of two, or -1 if too far."""
    if len(instants) == 0:
        return np.full(len(t_us), -1)
    after = np.searchsorted(instants, t_us).clip(max=len(instants) - 1)
    before = (after - 1).clip(min=0)
    nearest = np.where(np.abs(instants[before] - t_us) <= np.abs(instants[after] - t_us), before, after)
    return np.where(np.abs(instants[nearest] - t_us) <= tolerance_us, nearest, -1)


def _labelled(boxes: np.ndarray, instant: np.ndarray) -> Boxes:
    left_top, sides = (np.column_stack([boxes[a], boxes[b]]).astype(np.float64) for a, b in (("x", "y"), ("w", "h")))
    xyxy = np.concatenate([left_top, left_top + sides], axis=1)
    return Boxes(instant, boxes["t"], xyxy, boxes["class_id"].astype(np.int64), np.ones(len(boxes)))


def _detected(rows: np.ndarray, t_us: int, instant: int) -> Boxes:
    at, t = np.full(len(rows), instant, np.int64), np.full(len(rows), t_us, np.int64)
    return Boxes(at, t, rows[:, :4].astype(np.float64), rows[:, 5].astype(np.int64), rows[:, 4].astype(np.float64))
