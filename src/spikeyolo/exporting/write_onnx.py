"""The format `onnx`."""

from __future__ import annotations

from pathlib import Path

from ..files import write_whole
from ..imaging.tensors import as_input
from ..model.detector import SpikeYOLO
from .calibration import calibrate
from .configs import GraphConfig, OnnxConfig
from .graph import read_graph
from .job import Job
from .onnx_format import build_onnx
from .quantise import Ranges


def write(job: Job, config: OnnxConfig, path: Path) -> SpikeYOLO:
    """Write the file; return the network in PyTorch that it is to equal."""
    model = job.folded(config)
    artefact = job.described(model, config, config.precision)
    written = build_onnx(read_graph(model), config, artefact, ranges_of(job, model, config))
    write_whole(path, written.SerializeToString())
    return model


def ranges_of(job: Job, model: SpikeYOLO, config: GraphConfig) -> Ranges | None:
    """Return what int8 needs to know of values that are no counts, from the samples."""
    if config.precision != "int8":
        return None
    return calibrate(model, as_input(job.samples, "cpu", model.dtype).split(1, dim=-4))
