"""Trainings that take seconds."""

from __future__ import annotations

from pathlib import Path

from spikeyolo.training.settings import TrainSettings


def tiny_settings(data: Path) -> TrainSettings:
    """Two epochs of three batches."""
    return TrainSettings(
        data=str(data),
        model="t",
        epochs=2,
        batch=4,
        nominal_batch=8,
        imgsz=64,
        warmup_epochs=1,
        workers=0,
        device="cpu",
    )
