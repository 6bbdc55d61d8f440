from __future__ import annotations

from pathlib import Path

import pytest
import torch

from spikeyolo.demo import ShapesConfig, write_shapes
from spikeyolo.training import TrainSettings


@pytest.fixture(scope="session")
def shapes(tmp_path_factory) -> Path:
    """Ten training and four validation pictures of 64 x 64 pixels; the data.yaml."""
    folder = tmp_path_factory.mktemp("shapes") / "data"
    return write_shapes(folder, ShapesConfig(seed=3, train=10, val=4, size=64))


def tiny_settings(shapes: Path) -> TrainSettings:
    """Two epochs of three batches: seconds."""
    return TrainSettings(
        data=str(shapes),
        model="t",
        epochs=2,
        batch=4,
        nominal_batch=8,
        imgsz=64,
        warmup_epochs=1,
        workers=0,
        device="cpu",
    )


@pytest.fixture
def tiny(shapes) -> TrainSettings:
    return tiny_settings(shapes)


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny tensors are faster so, above all beside other work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
