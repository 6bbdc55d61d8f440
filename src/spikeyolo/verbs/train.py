"""`spikeyolo.train`: a training, and the measurement of its best weights."""

from __future__ import annotations

import inspect
import os
from collections.abc import Collection, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..docstring import Docstring
from ..option_help import described
from ..training.settings import TrainSettings

if TYPE_CHECKING:
    from ..evaluation.metrics import Metrics
    from ..evaluation.validate import Validation
    from ..model.detector import SpikeYOLO
    from ..training.run_folder import RunFolder


@dataclass(frozen=True, eq=False, repr=False)
class TrainedRun:
    """A training that is done.

    Attributes:
        folder: what lies where: `folder.best`, `folder.last`, `folder.results`, `folder.config`.
        validation: of the best weights; None in the processes of a training of several that are not the first.
    """

    folder: RunFolder
    validation: Validation | None

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self.folder.path

    @property
    def best(self) -> Path:
        """The averaged weights of the best epoch, a safetensors file."""
        return self.folder.best

    @property
    def metrics(self) -> Metrics | None:
        """The numbers of the best weights."""
        return None if self.validation is None else self.validation.metrics

    def model(self, device: str = "cpu") -> SpikeYOLO:
        """Return the model with the best weights, ready to predict."""
        from ..model.detector import SpikeYOLO

        return SpikeYOLO.load(self.best, device)

    def __repr__(self) -> str:
        found = "" if self.metrics is None else f"AP {self.metrics.AP:.3f}, AP50 {self.metrics.AP50:.3f}; "
        return f"TrainedRun({found}best weights: {self.best})"

    def _repr_html_(self) -> str:
        from ..terminal import as_html

        return as_html(*([] if self.validation is None else self.validation.tables()), repr(self))


def train(  # noqa: D417
    *,
    config: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
    **settings: Any,
) -> TrainedRun:
    """Train a detector on labelled images, or on recordings of event cameras, and measure its best weights.

    As the command does, it prints what begins and a line an epoch; in a terminal or notebook a bar moves between them.

    Args:
        config: a recipe that comes with the package: published (the paper's, for COCO), small (for a few hundred
            images), or a YAML file with the same names; what is given beside it comes first
        out: folder for what is written; runs/train, or the next free number, unless given
        resume: folder of an interrupted run to continue, from its last.ckpt; with more epochs also a finished one

    Returns:
        The run: its folder, the best weights, and what they reach on the validation data.

    Raises:
        ConfigError: a setting that does not exist or does not fit, or a folder that is taken.
        DataError: images or labels that cannot be used.
        CheckpointError: weights or a checkpoint that cannot be used.
        TrainingError: a loss or gradient that is not finite; the batch is kept in the folder.
        MissingPackage: the extra `train` is not installed.
    """
    from ..errors import ConfigError
    from ..text_files import read_mapping

    if resume is not None and config is not None:
        raise ConfigError("train: resume takes the settings of the run; leave config out")
    if not isinstance(neuron := settings.get("neuron"), str | None):
        from ..spiking.spiking_neuron import neuron_name

        settings["neuron"] = neuron_name(neuron)
    recipe: Mapping[str, Any] = {} if config is None else read_mapping(find_config(str(config)))
    return run(TrainSettings.from_dict({**recipe, **settings}), out, resume, frozenset(settings))


def run(
    settings: TrainSettings,
    out: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
    given: Collection[str] | None = None,
) -> TrainedRun:
    """Do what `train` does, by settings that are made already; see `training.run.train`."""
    from ..interruption import advice
    from ..optional import require_extra

    require_extra("train")
    from ..training.devices import is_first_process
    from ..training.run import train as fit

    folder = fit(settings, Path(out) if out else None, Path(resume) if resume else None, given)
    if not is_first_process():
        return TrainedRun(folder, None)
    from ..training.run import validate_best

    with advice(f"the training is done; measure it by: {folder.resume_command}"):
        found = validate_best(folder)
        found.write(folder.path)
    return TrainedRun(folder, found)


def find_config(name: str) -> Path:
    """Return the file of that name, or the recipe of the package.

    Raises:
        ConfigError: neither.
    """
    from ..errors import ConfigError, quote
    from ..reading import file_kind, is_path
    from ..strict import nearest
    from ..training.settings import recipe_names, recipe_path

    if is_path(name) and file_kind(name, ConfigError) == "file":
        return Path(name)
    if name in recipe_names():
        return recipe_path(name)
    near = nearest(name, recipe_names())
    hint = f"did you mean {near!r}? " if near else ""
    raise ConfigError(
        f"config: no file {quote(name)}, and no such recipe; {hint}the recipes are {', '.join(recipe_names())}"
    )


def _tell_settings() -> None:
    """Give `train` the signature and the help of all settings: they are said once, where they are made."""
    own = [p for p in inspect.signature(train).parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    theirs = []
    for item in fields(TrainSettings):
        default = item.default if item.default_factory is MISSING else item.default_factory()
        kind = inspect.Parameter.KEYWORD_ONLY
        theirs.append(inspect.Parameter(item.name, kind, default=default, annotation=item.type))
    train.__signature__ = inspect.Signature([*theirs, *own], return_annotation="TrainedRun")  # type: ignore[attr-defined]
    described(**Docstring.of(TrainSettings).parameters)(train)


_tell_settings()
