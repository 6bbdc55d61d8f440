"""A model in the engine that runs it fastest on this machine: written in memory, run by `runtime`."""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import Any, Literal

import torch

from ..artefact import Outputs
from ..errors import ConfigError
from ..model.detecting import Detecting
from ..model.detector import SpikeYOLO
from ..model.forms.form import Form
from ..model.inputs import Input
from ..optional import missing_package
from ..runtime.detector import ExportedDetector
from ..runtime.session import Session
from ..spiking import SpikingNeuron
from .configs import OnnxConfig, OpenVinoConfig
from .describe import describe
from .graph import read_graph

Size = tuple[int, int]

Engine = Literal["auto", "torch", "onnxruntime", "openvino"]

FASTEST: Engine = "openvino"
"""What `auto` takes where it is installed: the fastest on processors, and on a trained network 99 % of its detections
are PyTorch's; 95 % of ONNX Runtime's are, which adds in another order (`benchmarks/exported_accuracy.py`)."""

WORTH = 1e12
"""Parameters times pixels of all images from which writing and compiling a network, 1 to 2 s, takes less time than it
saves: 8 images of `t` at 256 x 256, 2 of `t` at 640 x 640, one of `s` at 640 x 640."""

FLOATING = (Form.TRAINABLE, Form.SEPARABLE, Form.DENSE)


def in_engine(
    model: SpikeYOLO,
    seen: Input | None,
    engine: Engine = "auto",
    images: int | None = None,
    *,
    sensor_size_hw: Size | None = None,
    carry: bool = False,
) -> Detecting:
    """Return a model as the engine runs it.

    Args:
        model: as it was loaded or folded; where it stays in PyTorch, itself.
        seen: its input, after what a user wants changed.
        engine: by name, or "auto": the fastest that is installed and finds the same.
            For models on a GPU, in other than float32, in forms that prove something, and for less work than is worth
            it, that is PyTorch.
        images: how many are coming, of recordings timesteps; None: many.
        sensor_size_hw: of recordings, which are left to PyTorch without it.
        carry: one timestep a run, potentials kept.

    Raises:
        ConfigError: an engine that does not run such a model.
        MissingPackage: it is not installed.
    """
    if engine == "torch":
        return model
    size_hw = _size_of(seen, sensor_size_hw)
    reason = _only_torch(model, seen, size_hw)
    if engine == "auto":
        there = find_spec(FASTEST) is not None and find_spec("onnx") is not None
        if reason or not there or not _worth_it(model, size_hw, images):
            return model
        engine = FASTEST
    elif reason:
        raise ConfigError(f"engine: {engine} runs {reason}; take torch")
    for package in ("onnx", engine):
        if find_spec(package) is None:
            raise missing_package(package, "export")
    assert seen is not None
    assert size_hw is not None
    return ExportedDetector(_session(model, seen, engine, size_hw, carry))


def _size_of(seen: Input | None, sensor_size_hw: Size | None) -> Size | None:
    """Rows and columns of what the network sees, where they are known."""
    if seen is None or not (seen.still or sensor_size_hw):
        return None
    return seen.canvas_hw(sensor_size_hw)


def _only_torch(model: SpikeYOLO, seen: Input | None, size_hw: Size | None) -> str | None:
    """What an engine would need that this model is not."""
    if model.device.type != "cpu":
        return "on processors alone, the model is on a GPU"
    if seen is None or size_hw is None:
        return "models of images here; export one of recordings to run it there"
    if model.dtype != torch.float32 or model.form not in FLOATING:
        return f"float32, the model is of {model.precision} in the {model.form} form; export it to run it there"
    if any(isinstance(part, SpikingNeuron) and part.as_ilif() is None for part in model.modules()):
        return f"I-LIF neurons, the model has {model.config.neuron}, which says by no as_ilif that it is one"
    return None


def _worth_it(model: SpikeYOLO, size_hw: Size | None, images: int | None) -> bool:
    if images is None or size_hw is None:
        return True
    numbers = sum(parameter.numel() for parameter in model.parameters())
    return numbers * math.prod(size_hw) * images >= WORTH


def _session(model: SpikeYOLO, seen: Input, engine: str, size_hw: Size, carry: bool) -> Session:
    """The graph of the model in an engine, with as many threads as PyTorch would have."""
    folded = model.fold() if model.form is Form.TRAINABLE else model
    graph, threads = read_graph(folded), torch.get_num_threads()
    outputs: Outputs = "boxes" if seen.still else "logits"  # of which `carry` needs the mean
    how: dict[str, Any] = {"outputs": outputs, "streaming": carry}
    artefact = describe(folded, seen, size_hw=size_hw, **how)
    if engine == "openvino":
        from ..runtime.openvino_session import OpenVinoSession
        from ..runtime.openvino_stream import OpenVinoStream
        from .openvino_format import build_openvino

        network = build_openvino(graph, OpenVinoConfig(**how), artefact)
        return (OpenVinoStream if carry else OpenVinoSession)(network, artefact, "the model", "cpu", threads)
    from ..runtime.onnx_session import OnnxSession
    from .onnx_format import build_onnx

    content = build_onnx(graph, OnnxConfig(**how), artefact).SerializeToString()
    return OnnxSession(content, "the model", "cpu", threads)
