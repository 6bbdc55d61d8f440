"""The format `openvino`."""

from __future__ import annotations

from pathlib import Path

from ..model.detector import SpikeYOLO
from .configs import OpenVinoConfig
from .graph import read_graph
from .job import Job
from .openvino_format import write_openvino
from .write_onnx import ranges_of


def write(job: Job, config: OpenVinoConfig, path: Path) -> SpikeYOLO:
    """Write the files; return the network in PyTorch that they are to equal."""
    model = job.folded(config)
    artefact = job.described(model, config, config.precision)
    write_openvino(read_graph(model), config, artefact, path, ranges_of(job, model, config))
    return model
