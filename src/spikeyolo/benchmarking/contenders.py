"""What is measured: the forms of a network in PyTorch, and what is exported of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..errors import ConfigError
from ..exporting.export import export
from ..exporting.registry import find_format
from ..model.detecting import Detecting
from ..model.detector import SpikeYOLO
from ..model.forms.convert import converted
from ..model.forms.form import Form
from ..runtime.detector import ExportedDetector
from ..strict import closest


@dataclass(frozen=True)
class Contender:
    """A form in a runtime.

    Attributes:
        name: in the table.
        form: that runs.
        energy: where the report of energy has it: `spikes`, or a form of the ANN; None where no figure is known.
        format: that it is exported to; None: PyTorch.
        choices: of the export.
        compiled: by torch.compile.
    """

    name: str
    form: Form
    energy: str | None = None
    format: str | None = None
    choices: Mapping[str, Any] = field(default_factory=dict)
    compiled: bool = False


CONTENDERS = {
    each.name: each
    for each in (
        Contender("trained", Form.TRAINABLE, "unfolded"),
        Contender("separable", Form.SEPARABLE, "separable"),
        Contender("compiled", Form.SEPARABLE, "separable", compiled=True),
        Contender("dense", Form.DENSE, "dense"),
        Contender("spike-driven", Form.SPIKE_DRIVEN, "spikes"),
        Contender("integer", Form.INTEGER, "spikes"),
        Contender("onnx", Form.SEPARABLE, "separable", "onnx"),
        Contender("onnx-dense", Form.SPIKE_DRIVEN, None, "onnx", {"dense": True}),
        Contender("onnx-float16", Form.SEPARABLE, None, "onnx", {"precision": "float16"}),
        Contender("onnx-int8", Form.SEPARABLE, None, "onnx", {"precision": "int8"}),
        Contender("integer-onnx", Form.INTEGER, "spikes", "integer-onnx"),
        Contender("openvino", Form.SEPARABLE, "separable", "openvino"),
        Contender("openvino-dense", Form.SPIKE_DRIVEN, None, "openvino", {"dense": True}),
        Contender("openvino-int8", Form.SEPARABLE, None, "openvino", {"precision": "int8"}),
    )
}


def find_contenders(names: Sequence[str] | None) -> list[Contender]:
    """Return contenders by name, all of them unless some are named.

    Raises:
        ConfigError: there is no such one.
    """
    for name in names or ():
        if name not in CONTENDERS:
            raise ConfigError(f"formats: no {name!r}, {closest(name, CONTENDERS)}; known are {', '.join(CONTENDERS)}")
    return [CONTENDERS[name] for name in names or CONTENDERS]


def make(
    contender: Contender, model: SpikeYOLO, folder: Path, threads: int, **how: Any
) -> tuple[Callable[[int], Detecting], int]:
    """Return what predicts, by the number of images of a batch, and how many bytes it takes on disk.

    Args:
        contender: what to make.
        model: in its trained form.
        folder: for what is written.
        threads: that one run takes.
        **how: further arguments of `exporting.export.export`.

    Raises:
        SpikeYOLOError: it cannot be made of this network, or its package is missing.
    """
    if contender.format is not None:
        return _exported(contender, model, folder, threads, **how)
    made = model if contender.form is Form.TRAINABLE else converted(model, contender.form)
    file = folder / f"{contender.name}.safetensors"
    made.save(file)
    if contender.compiled:
        made.compile()
    return lambda batch: made, file.stat().st_size


def _exported(
    contender: Contender, model: SpikeYOLO, folder: Path, threads: int, **how: Any
) -> tuple[Callable[[int], Detecting], int]:
    """A graph for each number of images: those for one image are faster with that number fixed."""
    entry = find_format(str(contender.format))
    made: dict[int, ExportedDetector] = {}
    sizes: dict[int, int] = {}

    def of_batch(batch: int) -> Detecting:
        if batch not in made:
            out = folder / f"{contender.name}-{batch}{entry.suffix}"
            found = export(model, entry.name, out, batch=batch, **contender.choices, **how)
            sizes[batch] = found.size
            made[batch] = ExportedDetector(found.path, threads=threads)
        return made[batch]

    of_batch(1)
    return of_batch, sizes[1]


def set_threads(threads: int | None) -> int:
    """Let PyTorch take so many threads; return how many that are."""
    if threads is not None:
        torch.set_num_threads(threads)
    return torch.get_num_threads()
