"""Models that come with the package: which there are, what is known of them, and the file behind a name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..errors import CheckpointError
from ..hub import fetch, is_address
from ..strict import build, nearest
from ..text_files import read_mapping, read_yaml

FOLDER = Path(__file__).parent
MODELS, PUBLISHED = FOLDER / "models.yaml", FOLDER / "published.yaml"
SAMPLES = FOLDER / "samples" / "bccd"


@dataclass(frozen=True)
class ShippedModel:
    """A model, as `benchmarks/ship_weights.py` measured it, in the very form in which it is shipped.

    Attributes:
        name: by which it is loaded.
        about: what it finds, and on what.
        names: of its classes.
        sees: its input, in words.
        bits: in which its weights are kept.
        parameters: weights and biases as trained.
        timesteps: T.
        max_count: D.
        measured_on: what it was measured on: data, split, number of images, protocol.
        AP: averaged over thresholds of overlap, 0.50 to 0.95.
        AP50: at 0.50.
        AP_float32: before its weights were kept in few bits.
        AP50_float32: the same.
        firing_rate: share of the unary slots that hold a spike.
        unit: what an energy is of, image or window.
        technology: by which energies are computed.
        snn_millijoule: of operations and of memory traffic, with spikes in the unary slot code.
        binary_millijoule: the same in the binary code.
        ann_millijoule: the same of the dense ANN, with which the literature compares.
        ann_separable_millijoule: of operations of the ANN folded as one would run it.
        data: what it was trained on, and the licence of that.
        licence: of the weights.
        recipe: the command that trained it.
    """

    name: str
    about: str
    names: list[str]
    sees: str
    bits: int
    parameters: int
    timesteps: int
    max_count: int
    measured_on: str
    AP: float
    AP50: float
    AP_float32: float
    AP50_float32: float
    firing_rate: float
    unit: str
    technology: str
    snn_millijoule: list[float]
    binary_millijoule: list[float]
    ann_millijoule: list[float]
    ann_separable_millijoule: float
    data: str
    licence: str
    recipe: str

    @property
    def file(self) -> Path:
        """The weights."""
        return FOLDER / f"{self.name}.safetensors"

    def lines(self) -> list[str]:
        """Return what is known of it, to print."""
        unary, binary, ann = map(sum, (self.snn_millijoule, self.binary_millijoule, self.ann_millijoule))
        dense, separable = (
            cost / self.binary_millijoule[0] for cost in (self.ann_millijoule[0], self.ann_separable_millijoule)
        )
        return [
            f"{self.about}: {', '.join(self.names)}",
            f"{self.file.stat().st_size / 1e6:.2f} MB, {self.parameters / 1e6:.2f} M parameters in {self.bits} bits; "
            f"T = {self.timesteps}, D = {self.max_count}; it sees {self.sees}",
            f"AP {self.AP:.3f}, AP50 {self.AP50:.3f} on {self.measured_on} "
            f"(with weights of float32: {self.AP_float32:.3f}, {self.AP50_float32:.3f})",
            f"firing rate {self.firing_rate:.1%}; {self.unit} {binary:.2f} mJ with spikes in binary slots, "
            f"{unary:.2f} mJ in unary ones, {ann:.2f} mJ as the dense ANN ({self.technology}, memory traffic "
            f"included): the ANN costs {ann / binary:.1f} times as much as binary slots, in operations alone "
            f"{dense:.1f} times, or {separable:.1f} if it is folded as one would run it",
            f"trained on {self.data}; weights {self.licence}",
            f"by {self.recipe}",
        ]


@dataclass(frozen=True)
class PublishedModel:
    """A checkpoint that others publish.

    Attributes:
        name: what it is called here.
        about: what it is, and what its authors report.
        where: the page on which it is had.
        convert: the command that makes a file of this package of it.
    """

    name: str
    about: str
    where: str
    convert: str


@cache
def shipped_models() -> dict[str, ShippedModel]:
    """Return the models that come with the package, by name."""
    return {name: build(ShippedModel, {"name": name, **values}, name) for name, values in read_mapping(MODELS).items()}


def published_models() -> list[PublishedModel]:
    """Return the checkpoints that the authors of SpikeYOLO publish."""
    return [build(PublishedModel, values) for values in read_yaml(PUBLISHED)]


def is_shipped(weights: str | os.PathLike[str]) -> bool:
    """Whether this is the name of a shipped model, and nothing of that name lies on the disk."""
    return str(os.fspath(weights)) in shipped_models() and not os.path.lexists(weights)


def sample_images(weights: str | os.PathLike[str]) -> list[Path]:
    """Return the images that come with a shipped model; none for other weights, and for a model of recordings."""
    if not is_shipped(weights) or shipped_models()[str(weights)].unit != "an image":
        return []
    return sorted((SAMPLES / "images").glob("*.jpg"))


def weights_file(weights: str | os.PathLike[str]) -> Path:
    """Return the file of weights as users name them: itself, that of a shipped model, or one fetched from the Hub.

    Raises:
        CheckpointError: nothing is there, and it is nearly the name of a shipped model; or it is not to be had.
    """
    if is_address(weights):
        return fetch(weights)
    path, given = Path(weights), os.fspath(weights)
    if is_shipped(weights):
        return shipped_models()[str(given)].file
    bare = not os.path.dirname(given) and path.suffix in ("", ".safetensors") and not os.path.lexists(path)
    if bare and (near := nearest(path.stem, shipped_models())):
        raise CheckpointError(f"{path}: no such file; did you mean {near!r}, which comes with the package?")
    return path


def lasting_name(weights: str) -> str:
    """Return weights so that they mean the same in any working directory: a file by its whole path."""
    return weights if is_shipped(weights) or is_address(weights) else str(Path(weights).resolve())
