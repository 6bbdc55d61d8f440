"""Numbers written by the published code; tests/golden/README.md says what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

NETWORKS = ("tiny", "tiny_t4", "gen1_tiny")
GOLDEN = Path(__file__).parents[1] / "golden"


def golden_arrays(name: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / name) as arrays:
        return dict(arrays)


def golden_json(name: str) -> dict[str, Any]:
    return json.loads((GOLDEN / name).read_text())


def golden_input(name, dtype):
    image = torch.tensor(golden_arrays(f"{name}/forward.npz")["image"])
    if image.dtype == torch.uint8:  # event frames (B, T, C, H, W), as the network saw them
        image = (image.float() / 255).transpose(0, 1)
    return image.to(dtype)
