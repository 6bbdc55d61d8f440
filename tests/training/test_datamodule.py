"""How batches get to the device."""

import pytest
import torch

from spikeyolo.structures import Batch, Placement, Targets
from spikeyolo.training.datamodule import DetectionDataModule


@pytest.fixture
def batch():
    targets = Targets(
        torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64), torch.tensor([[0.0, 0.0, 2.0, 2.0]]), 1
    )
    return Batch(torch.zeros(2, 1, 2, 32, 32, dtype=torch.int8), targets, (Placement((32, 32)),), (0,))


def test_no_batch_is_waited_for_and_bytes_stay_bytes(batch, monkeypatch):
    """Lightning waits for whatever is no plain tensor."""
    asked = []

    def to(self, device, dtype=None, non_blocking=False):
        asked.append((device, dtype, non_blocking))
        return self

    module = DetectionDataModule(None, None, None)
    monkeypatch.setattr(torch.Tensor, "to", to)
    moved = module.transfer_batch_to_device(batch, torch.device("cuda"), 0)
    assert moved.images.dtype == torch.int8
    assert asked == [(torch.device("cuda"), None, True)] * 4  # images, and the three of the boxes
