"""The aids that the settings ask for."""

from __future__ import annotations

from ...model.detector import SpikeYOLO
from ...model.inputs import Input
from ...spiking.slots import SlotCode
from ..settings import TrainSettings
from .aid import TrainingAid
from .distillation import Distillation
from .energy_term import EnergyTerm
from .teacher import Teacher


def chosen_aids(settings: TrainSettings, network: SpikeYOLO, input: Input) -> list[TrainingAid]:
    """Return the aids of a training.

    Args:
        settings: the recipe.
        network: to train.
        input: what it sees.

    Raises:
        CheckpointError: a teacher's file that cannot be used.
        ConfigError: a teacher of other classes or another input, or an energy term for a network without spikes.
    """
    aids: list[TrainingAid] = []
    if settings.teacher is not None:
        teacher = Teacher(settings.teacher, network.names, input)
        aids.append(Distillation(teacher, network, settings.distillation, settings.seed))
    if settings.energy_weight > 0:
        aids.append(EnergyTerm(network.config, settings.energy_weight, SlotCode.of(settings.energy_code)))
    return aids
