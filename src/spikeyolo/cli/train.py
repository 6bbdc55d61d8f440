from __future__ import annotations

from pathlib import Path
from typing import Any

from ..training.settings import TrainSettings


def train(out: str | None = None, resume: str | None = None, **settings: Any) -> None:
    """Trains a detector; --config also takes the name of a recipe that comes with the package: published, small.

    Args:
        out: folder for what is written; runs/train, or the next free number, unless given
        resume: folder of a run to go on with after it was interrupted, from its last.ckpt
        **settings: the recipe, see TrainSettings
    """
    from ..training.devices import is_first_process
    from ..training.run import train as run
    from ..training.settings import read_settings

    chosen = TrainSettings(**settings)
    folder = run(chosen, Path(out) if out else None, Path(resume) if resume else None)
    if not is_first_process():
        return
    from .val import val

    val(str(folder.best), data=read_settings(folder.config).data, out=str(folder.path))
    print(f"written to {folder.path}; best weights: {folder.best}")
    print(f"next: spikeyolo predict --weights {folder.best} --source FILES")
