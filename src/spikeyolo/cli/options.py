"""Options that several commands have: their types, with what the help says about them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal

from ..artefact import SlotCodeName

Weights = Annotated[str, "a saved model (.safetensors), or a published checkpoint (.pt)"]
Runnable = Annotated[
    str,
    "a saved model (.safetensors), a published checkpoint (.pt), or what export wrote: a .onnx, an OpenVINO folder, or "
    "a package for chips",
]
Data = Annotated[str, "a data.yaml (of images, or of recordings of an event camera), or a COCO annotation file"]
Split = Annotated[Literal["train", "val", "test"], "the part of the data set"]
ImageSize = Annotated[
    int | None,
    "side of the square that images are letter-boxed to, a multiple of 32; that of the training unless given",
]
Batch = Annotated[int, "images looked at together"]
Workers = Annotated[int, "processes that load images"]
Device = Annotated[str, "auto (a GPU where there is one), cpu, cuda, or the number of a GPU"]
EngineName = Annotated[
    Literal["auto", "torch", "onnxruntime", "openvino"],
    "what computes a model of images on a CPU: auto takes the fastest that is installed and finds the same",
]
Threads = Annotated[int | None, "processor threads that one run takes; as many as there are cores unless given"]
Provider = Annotated[str | None, "of ONNX Runtime, for an exported .onnx, by its name, in place of the device's"]
Fold = Annotated[bool, "fold the batch norms first, which is faster and gives the same result"]
Compile = Annotated[
    bool, "have PyTorch's compiler make faster code of the network, which takes minutes first; for GPUs and long runs"
]
SlotCode = Annotated[
    SlotCodeName | None,
    "how counts become slots in the forms that run on them: unary or binary, with the same results; the model's own "
    "unless given",
]
Preparation = Annotated[
    str | None, "how recordings become frames, by name (counts, gen1-published), in place of what the model says"
]
Sequence = Annotated[
    int | None,
    "follow recordings from start to end, so many timesteps at once, potentials carried on; windows from rest unless "
    "given",
]
Overwrite = Annotated[bool, "replace files that are there already, but never one that the command reads"]
OwnNeuron = Annotated[
    str | None, "package.module:Class of a model whose neuron is of your own; that module is imported, and so run"
]
Technology = Annotated[str, "what an operation costs; a name of the package's table, or a YAML file of your own"]

SHARED = {
    "weights": Weights,
    "data": Data,
    "split": Split,
    "imgsz": ImageSize,
    "batch": Batch,
    "workers": Workers,
    "device": Device,
    "engine": EngineName,
    "threads": Threads,
    "provider": Provider,
    "fold": Fold,
    "compile": Compile,
    "slot_code": SlotCode,
    "preparation": Preparation,
    "sequence": Sequence,
    "overwrite": Overwrite,
    "neuron": OwnNeuron,
    "technology": Technology,
}
"""What options of these names are, in commands that are twins of a function."""


def own_neuron(name: str | None, given: Collection[str]) -> str | None:
    """Import the neuron that a user names on the command line, and return its own name; others as they are.

    Args:
        name: `package.module:Class`, one of the package's, or None.
        given: the options of the command line; what a file says has nothing imported.
    """
    if name is None or ":" not in name or "neuron" not in given:
        return name
    from ..spiking.spiking_neuron import import_neuron

    return import_neuron(name)
