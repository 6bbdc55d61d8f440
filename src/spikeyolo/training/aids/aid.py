"""What every aid is: it watches the network on a batch and gives further terms of the loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from torch import Tensor, nn

from ...model.detector import SpikeYOLO
from ..distributed import share_mean
from ..optimization import Position
from ..run_folder import RunFolder


@dataclass(frozen=True)
class Term:
    """A mean over a batch that is shown, and added to the loss where it has a gain.

    Attributes:
        total: scalar, the sum over this process's images.
        weight: what that of all processes is divided by, at least 1.
        gain: weight of the mean in the loss, after which it is shown; None: shown as it is and not minimised.
    """

    total: Tensor
    weight: Tensor | float
    gain: float | None = None


class TrainingAid(nn.Module, ABC):
    """Further terms of the loss.

    Its parameters are trained with the network's and kept in last.ckpt; the network itself never holds them.
    """

    @abstractmethod
    def lines(self) -> list[str]:
        """Return what the run says of it at the start."""

    def keep_record(self, folder: RunFolder) -> None:
        """Keep in a run's folder what a resumed run must find unchanged.

        Raises:
            ConfigError: it has changed.
        """

    @abstractmethod
    def watching(self, network: SpikeYOLO) -> AbstractContextManager[object]:
        """Inside, the network runs on one batch; the terms are those of what it did."""

    @abstractmethod
    def terms(self, images: Tensor, logits: Sequence[Tensor], position: Position) -> dict[str, Term]:
        """Return the terms of the batch by the names that results.csv has for them.

        Args:
            images: as the network saw them.
            logits: of the network.
            position: in the training's course.
        """


def add_terms(loss: Tensor, terms: Mapping[str, Term], images: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Add terms to the loss of this process's images.

    Returns:
        The loss to call backward on, and the means over the whole batch, scalars, each after its gain, to show.
    """
    shown = {}
    for name, term in terms.items():
        gain = 1.0 if term.gain is None else term.gain
        total, mean = share_mean(gain * term.total, term.weight, images)
        if term.gain:
            loss = loss + total
        shown[name] = mean
    return loss, shown
