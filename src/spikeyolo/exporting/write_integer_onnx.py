"""The format `integer-onnx`."""

from __future__ import annotations

from pathlib import Path

from ..files import write_whole
from ..model.detector import SpikeYOLO
from ..model.forms.form import Form
from .configs import GraphConfig, IntegerOnnxConfig
from .graph import read_graph
from .job import Job
from .onnx_format import build_integer_onnx


def write(job: Job, config: IntegerOnnxConfig, path: Path) -> SpikeYOLO:
    """Write the file; return the network in PyTorch that it is to equal."""
    model = job.in_form(Form.INTEGER, config.slot_code)
    around = GraphConfig(outputs=config.outputs, batch=config.batch, streaming=config.streaming)
    artefact = job.described(model, around, "integer")
    write_whole(path, build_integer_onnx(read_graph(model), config, artefact).SerializeToString())
    return model
