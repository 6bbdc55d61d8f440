"""Average precision on recordings of event cameras, by the rule that the data set names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.events.index import EventIndex
from ..errors import ConfigError, DataError
from ..strict import closest
from ..structures import Detections
from .ground_truth import ImageId
from .metrics import Metrics
from .plots import plot_curves
from .prophesee import (
    GEN1,
    ONE_MPX,
    ONE_MPX_HALVED,
    UNFILTERED,
    EventMetrics,
    PropheseeEvaluator,
    Protocol,
    protocol_tables,
)

if TYPE_CHECKING:
    from rich.table import Table

HEADLINE = ("AP", "AP50", "AP75", "images", "boxes")
"""What the numbers of every evaluation hold, whatever it was on."""

RULES = {"gen1": GEN1, "1mpx": ONE_MPX, "1mpx-halved": ONE_MPX_HALVED, "none": UNFILTERED}
"""What the names of protocols stand for that a data.yaml may hold (`data.events.description`)."""


def protocol_of(name: str, class_names: Sequence[str]) -> Protocol:
    """Return the rule of that name for these classes; "none" counts every label and only fits detections in time.

    Raises:
        ConfigError: a name that does not exist.
    """
    if name not in RULES:
        raise ConfigError(f"protocol: no such rule {name!r}; {closest(name, tuple(RULES))}")
    return replace(RULES[name], class_names=tuple(class_names), class_ids=tuple(range(len(class_names))))


@dataclass(frozen=True, eq=False)
class EventEvaluation:
    """The numbers of a model on labelled instants of recordings.

    Attributes:
        protocol: the name of the rule of the headline.
        both: the numbers by that rule, and by plain COCO.
    """

    protocol: str
    both: EventMetrics

    @property
    def metrics(self) -> Metrics:
        """The numbers by the protocol: what a training is judged by, and papers report."""
        return self.both.prophesee

    def to_json(self) -> dict[str, Any]:
        """Return those of HEADLINE by the protocol, its name, and both rules whole, each under its name."""
        numbers = self.metrics.to_json()
        return {**{name: numbers[name] for name in HEADLINE}, "protocol": self.protocol, **self.both.to_json()}

    def tables(self) -> list[Table]:
        """Return a table for each rule, for `rich.print`."""
        return protocol_tables(self.both)

    def write(self, folder: Path) -> list[Path]:
        """Write the curves (where computed), by the protocol, as PNGs.

        Raises:
            WriteError: a file cannot be written.
        """
        return plot_curves(self.metrics.curves, folder)


class EventEvaluator:
    """Collects detections under the numbers of labelled instants, and evaluates them by the index's protocol.

    Args:
        index: the instants.

    Raises:
        ConfigError: a protocol that does not exist.
    """

    def __init__(self, index: EventIndex) -> None:
        self.index = index
        self._rule = protocol_of(index.protocol, index.names)
        self.reset()

    def reset(self) -> None:
        """Forget all detections."""
        self.collected = PropheseeEvaluator(self._rule)
        for number in range(len(self.index.recordings)):
            labels = self.index.labels_of(number)
            self.collected.add_labels(self.index.recording_id(number), labels, self.index.sensor_size_hw)

    def update(self, image_ids: Sequence[ImageId], detections: Sequence[Detections]) -> None:
        """Take detections in pixels of the sensor, by the numbers of their instants."""
        for image_id, found in zip(image_ids, detections, strict=True):
            instant = int(image_id)
            self.collected.update(
                self.index.recording_id(int(self.index.recording[instant])),
                int(self.index.t_us[instant]),
                Detections(found.boxes.float().cpu(), found.scores.float().cpu(), found.labels.cpu()),
            )

    def gather(self) -> None:
        """Take over the detections of all processes."""
        self.collected.gather()

    def compute(self, curves: bool = False) -> EventEvaluation:
        """Return the numbers by the protocol and by plain COCO.

        Raises:
            DataError: some instants of the index were not given.
        """
        both = self.collected.compute(curves=curves)
        if both.instants_without_output:
            raise DataError(f"{both.instants_without_output} of {len(self.index)} instants were not evaluated")
        return EventEvaluation(self.index.protocol, both)
