"""What every evaluation offers, whatever it is of, and the one place that asks what an index holds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..data.events.index import EventIndex
from ..data.images.index import ImageIndex
from ..structures import Detections
from .event_evaluator import EventEvaluator
from .ground_truth import ImageId
from .image_evaluator import ImageEvaluator
from .metrics import Metrics

if TYPE_CHECKING:
    from rich.table import Table


class Evaluation(Protocol):
    """The numbers of a model on a data set, and how they are shown."""

    @property
    def metrics(self) -> Metrics:
        """The headline: what a training is judged by."""

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain values: at least AP, AP50, AP75, images and boxes."""

    def tables(self) -> list[Table]:
        """Return the numbers as tables, for `rich.print`."""

    def write(self, folder: Path) -> list[Path]:
        """Write plots, and what else belongs to this kind of data, into a folder that exists; return the files.

        Raises:
            WriteError: a file cannot be written.
        """


class Evaluator(Protocol):
    """Collects detections batch by batch, in one process or several."""

    def reset(self) -> None:
        """Forget all detections."""

    def update(self, image_ids: Sequence[ImageId], detections: Sequence[Detections]) -> None:
        """Take detections in pixels of the original images (or of the sensor), under the ids of their `Batch`."""

    def gather(self) -> None:
        """Take over the detections of all processes."""

    def compute(self, curves: bool = False) -> Evaluation:
        """Return the numbers over everything in the index; with `curves` also the plots can be written.

        Raises:
            DataError: something in the index was not given.
        """


@singledispatch
def make_evaluator(index: object) -> Evaluator:
    """Return an empty evaluator for the images, or labelled instants, of an index."""
    raise TypeError(f"no evaluator for {type(index).__name__}")


make_evaluator.register(ImageIndex, ImageEvaluator)
make_evaluator.register(EventIndex, EventEvaluator)
