"""The format `nir`."""

from __future__ import annotations

from pathlib import Path

from ..model.detector import SpikeYOLO
from .configs import NirConfig
from .job import Job
from .nir import write_nir


def write(job: Job, config: NirConfig, path: Path) -> SpikeYOLO:
    """Write the backbone; return the network that it is of."""
    write_nir(job.model, path, config, job.size_hw)
    return job.model
