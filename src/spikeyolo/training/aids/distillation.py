"""Distillation: the training learns from another detector, on the same augmented images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ...detection.distillation import distillation_sums
from ...detection.gains import DistillationGains
from ...model.detector import SpikeYOLO
from ...structures import STRIDES
from ..optimization import Position
from ..run_folder import RunFolder
from .aid import Term, TrainingAid
from .neck import Levels, neck_features
from .teacher import Teacher


class Distillation(TrainingAid):
    """The distance to a teacher: of the features of the neck, and of logits as soft targets.

    A 1x1 convolution a level projects the student's features, averaged over its timesteps, to the teacher's channels.
    It is used in training alone. See `detection.distillation` for the distances.

    Args:
        teacher: to learn from; no part of the module, so that it is neither trained nor averaged nor saved.
        student: that learns.
        gains: weights of the parts.
        seed: of the projectors' weights.
    """

    def __init__(self, teacher: Teacher, student: SpikeYOLO, gains: DistillationGains, seed: int) -> None:
        super().__init__()
        self.teacher, self.gains = teacher, gains
        # Without their loss projectors would get no gradient, which several processes do not take.
        necks = (student.neck, teacher.network.neck) if gains.features else ()
        widths = zip(*(neck.out_channels for neck in necks), strict=True)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.projectors = nn.ModuleList(nn.Conv2d(mine, theirs, 1) for mine, theirs in widths)
        self._features: Levels = ()

    def lines(self) -> list[str]:
        """Return what the run says of it at the start."""
        gains = self.gains
        return [
            f"learns from {self.teacher}: features weigh {gains.features:g}, class scores {gains.classes:g}, "
            f"box distributions {gains.boxes:g}"
        ]

    def keep_record(self, folder: RunFolder) -> None:
        """Keep which file the teacher is; a resumed run must have the same."""
        self.teacher.keep_record(folder.teacher_record)

    @contextmanager
    def watching(self, network: SpikeYOLO) -> Iterator[None]:
        """Keep the features of the network's neck."""
        with neck_features(network) as found:
            yield
        self._features = found[0]

    def terms(self, images: Tensor, logits: Sequence[Tensor], position: Position) -> dict[str, Term]:
        """Return the distances that have a gain, means over anchor points, weighted by the teacher's scores."""
        features, wanted = self.teacher.look(images)
        mine, self._features = self._features, ()
        projected = [project(level) for project, level in zip(self.projectors, mine, strict=False)]
        sums = distillation_sums(projected, logits, features, wanted, STRIDES)
        gains = self.gains
        terms = {
            "feature_loss": Term(sums.features, sums.weight, gains.features),
            "soft_class_loss": Term(sums.classes, sums.weight, gains.classes),
            "soft_box_loss": Term(sums.boxes, sums.weight, gains.boxes),
        }
        return {name: term for name, term in terms.items() if term.gain}
