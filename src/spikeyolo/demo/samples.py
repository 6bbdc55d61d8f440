"""Data to try the shipped models on: images that come with the package, and recordings made from a seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ..files import own_folder, write_whole
from ..weights.shipped import SAMPLES, shipped_models

SEED = 1000
"""Of sample recordings: that of no training."""


@dataclass(frozen=True)
class SampleData:
    """A few labelled images or recordings, none of which a shipped model was trained on.

    Attributes:
        data: the data.yaml; they are its split `test`.
        source: what `predict` takes.
        is_recording: whether they are recordings.
    """

    data: Path
    source: Path
    is_recording: bool


def write_samples(name: str, folder: Path) -> SampleData:
    """Write what a shipped model can be tried on into a folder of its own within a folder.

    Raises:
        WriteError: it cannot be written.
    """
    if shipped_models()[name].unit != "an image":
        return _write_recordings(folder / "recordings")
    target = own_folder(folder, SAMPLES.name)
    for file in sorted(SAMPLES.rglob("*")):
        place = target / file.relative_to(SAMPLES)
        if file.is_dir():
            own_folder(place.parent, place.name)
        else:
            write_whole(place, file.read_bytes())
    return SampleData(target / "data.yaml", target / "images", False)


def _write_recordings(folder: Path) -> SampleData:
    from ..synthetic.recordings import write_recordings
    from .events import DEMO_RECORDINGS

    data = write_recordings(folder, replace(DEMO_RECORDINGS, seed=SEED, train=1, val=1, test=4))
    return SampleData(data, min((folder / "test").glob("*_td.dat")), True)
