"""The format `integer`."""

from __future__ import annotations

from pathlib import Path

from ..imaging.tensors import as_input
from ..model.detector import SpikeYOLO
from ..model.forms.form import Form
from .configs import IntegerConfig
from .integer import write_integer
from .job import Job


def write(job: Job, config: IntegerConfig, path: Path) -> SpikeYOLO:
    """Write the package; return the integer network that it equals."""
    model = job.in_form(Form.INTEGER, config.slot_code)
    write_integer(model, path, config, as_input(job.samples, "cpu", model.dtype), job.seen)
    return model
