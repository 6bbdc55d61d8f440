"""The loss of a batch: a detector's own, and what aids add to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor

from ..detection.losses import detection_loss
from ..model.detector import SpikeYOLO
from ..spiking.monitor import watch_counts
from ..structures import STRIDES, Targets
from .aids.aid import TrainingAid, add_terms
from .distributed import share_loss
from .history import LOSSES
from .optimization import Position
from .settings import TrainSettings


@dataclass(frozen=True)
class BatchLoss:
    """The loss of a batch, which several processes may share.

    Attributes:
        total: scalar, to call backward on.
        shown: scalars by name, without gradient: the three parts of the detector's loss, then what aids add.
        mean_count: scalar, mean spike count of this process's images; None unless it was measured.
    """

    total: Tensor
    shown: dict[str, Tensor]
    mean_count: Tensor | None


def batch_loss(
    network: SpikeYOLO,
    aids: Iterable[TrainingAid],
    images: Tensor,
    targets: Targets,
    position: Position,
    settings: TrainSettings,
    watched: bool = False,
    look: Callable[[Tensor], Sequence[Tensor]] | None = None,
) -> BatchLoss:
    """Run a network on a batch in the precision that is on, and return the loss, which is of float32 at least.

    Args:
        network: to train.
        aids: what adds further terms.
        images: (B, C, H, W) or (T, B, C, H, W), as the network takes them.
        targets: the boxes on them.
        position: in the training's course.
        settings: of the training.
        watched: measure the mean spike count.
        look: how the network gets from images to the logits of the targets' images; unless given it is called on them.
    """
    with ExitStack() as watching:
        counts = watching.enter_context(watch_counts(network, active=watched))
        for aid in aids:
            watching.enter_context(aid.watching(network))
        logits = (look or network)(images)
    terms = {name: term for aid in aids for name, term in aid.terms(images, logits, position).items()}
    with torch.autocast(images.device.type, enabled=False):
        own = share_loss(detection_loss(logits, targets, STRIDES, settings.gains), targets.num_images)
        total, further = add_terms(own.total, terms, targets.num_images)
    return BatchLoss(total, {**dict(zip(LOSSES, own.parts, strict=True)), **further}, counts.scalar())
