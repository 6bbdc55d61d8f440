"""The format `onnx`."""

from __future__ import annotations

from pathlib import Path

from ..files import write_whole
from ..model.detector import SpikeYOLO
from .configs import OnnxConfig
from .graph import read_graph
from .job import Job
from .onnx_format import build_onnx


def write(job: Job, config: OnnxConfig, path: Path) -> SpikeYOLO:
    """Write the file; return the network in PyTorch that it is to equal."""
    model = job.folded(config)
    artefact = job.described(model, config, config.precision)
    write_whole(path, build_onnx(read_graph(model), config, artefact).SerializeToString())
    return model
