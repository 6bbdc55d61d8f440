"""Shared fixtures: golden numbers in the repository, and real data beside it, which may be absent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings

GOLDEN = Path(__file__).parent / "golden"
SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"

settings.register_profile("default", deadline=None, max_examples=60)
settings.load_profile("default")

torch.set_num_threads(1)  # the tests themselves run in parallel


@pytest.fixture(scope="session")
def golden() -> Path:
    return GOLDEN


def golden_arrays(name: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / name) as arrays:
        return dict(arrays)


def golden_json(name: str) -> dict[str, Any]:
    return json.loads((GOLDEN / name).read_text())


@pytest.fixture
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip("the real data sets do not lie beside the repository")
    return SHARED_DATA
