from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..data.events.index import EventIndex
from ..errors import DataError
from ..structures import Detections
from .metrics import Metrics
from .prophesee import GEN1, ONE_MPX, ONE_MPX_HALVED, EventMetrics, PropheseeEvaluator, Protocol

PUBLISHED = {"gen1": GEN1, "1mpx": ONE_MPX, "1mpx-halved": ONE_MPX_HALVED}


def protocol_of(name: str, class_names: Sequence[str]) -> Protocol:
    """The rule of that name for these classes; "none" counts every label and only fits detections in time."""
    names, ids = tuple(class_names), tuple(range(len(class_names)))
    if name in PUBLISHED:
        return replace(PUBLISHED[name], class_names=names, class_ids=ids)
    return Protocol(names, ids, skip_us=0, min_diagonal=0.0, min_side=0.0)


@dataclass
class EventEvaluation:
    """An evaluator for the labelled instants of an index.

    Attributes:
        index: the instants.
        protocol: what counts.
        evaluator: of the Prophesee protocol, and of plain COCO beside it.
    """

    index: EventIndex
    protocol: Protocol
    evaluator: PropheseeEvaluator

    @classmethod
    def of(cls, index: EventIndex) -> EventEvaluation:
        """An empty one, by the protocol of the index."""
        rule = protocol_of(index.protocol, index.names)
        evaluation = cls(index, rule, PropheseeEvaluator(rule))
        evaluation.reset()
        return evaluation

    def reset(self) -> None:
        """Forgets all detections."""
        self.evaluator = PropheseeEvaluator(self.protocol)
        for number in range(len(self.index.recordings)):
            self.evaluator.add_labels(
                self.index.recording_id(number), self.index.labels_of(number), self.index.sensor_size_hw
            )

    def update(self, image_ids: Sequence[int | str], found: Sequence[Detections]) -> None:
        """Takes detections in pixels of the sensor, by the numbers of their instants."""
        for image_id, detections in zip(image_ids, found, strict=True):
            instant = int(image_id)
            self.evaluator.update(
                self.index.recording_id(int(self.index.recording[instant])),
                int(self.index.t_us[instant]),
                Detections(detections.boxes.float().cpu(), detections.scores.float().cpu(), detections.labels.cpu()),
            )

    def gather(self) -> None:
        """Takes over the detections of all processes."""
        self.evaluator.gather()

    def compute_both(self, curves: bool = False) -> EventMetrics:
        """By the protocol and by plain COCO.

        Raises:
            DataError: some instants of the index were not given.
        """
        metrics = self.evaluator.compute(curves=curves)
        if metrics.instants_without_output:
            raise DataError(f"{metrics.instants_without_output} of {len(self.index)} instants were not evaluated")
        return metrics

    def compute(self, curves: bool = False) -> Metrics:
        """By the protocol: what a training is judged by."""
        return self.compute_both(curves).prophesee
