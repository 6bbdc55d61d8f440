"""How close what was written comes to PyTorch: measured on sample images, right after writing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..artefact import DETECTIONS, LOGITS
from ..detection.anchors import decode
from ..detection.boxes import box_iou
from ..detection.postprocess import Thresholds, postprocess
from ..imaging.tensors import as_input
from ..model.detector import SpikeYOLO
from ..placement import Placement
from ..runtime.detector import ExportedDetector
from ..runtime.session import OUTPUTS
from ..structures import STRIDES, Detections

SAME_OVERLAP, SAME_SCORE = 0.9, 0.1
"""Two detections are the same if they are of one class, overlap by so much, and their scores differ by no more."""


@dataclass(frozen=True)
class Parity:
    """What was measured.

    Attributes:
        samples: images or windows.
        largest: for logits, or for scores and boxes (in pixels), the largest difference.
        detections: found by PyTorch.
        same: share of the detections of both that are the same, 0..1; 1 where there are none.
    """

    samples: int
    largest: dict[str, float]
    detections: int
    same: float

    def __str__(self) -> str:
        differences = ", ".join(f"{name} {value:.2g}" for name, value in self.largest.items())
        found = f"{self.same:.1%} of {self.detections} detections the same" if self.detections else "nothing found"
        largest = f"largest difference {differences}; " if differences else ""
        return f"{self.samples} samples: {largest}{found}"


def share_of_same(ours: Sequence[Detections], theirs: Sequence[Detections]) -> float:
    """Return the share of the detections of both sides that the other side has too."""
    same = total = 0
    for one, other in zip(ours, theirs, strict=True):
        total += len(one) + len(other)
        if len(one) and len(other):
            pairs = box_iou(one.boxes.double(), other.boxes.double()) >= SAME_OVERLAP
            pairs &= one.labels[:, None] == other.labels
            pairs &= (one.scores[:, None] - other.scores).abs() <= SAME_SCORE
            same += int(pairs.any(1).sum()) + int(pairs.any(0).sum())
    return same / total if total else 1.0


@torch.inference_mode()
def measure_parity(path: Path, model: SpikeYOLO, samples: Tensor, thresholds: Thresholds | None = None) -> Parity:
    """Run what was written beside the network that it is to equal.

    Args:
        path: the file or folder.
        model: the network, in the form that was written.
        samples: (N, C, H, W) images or (T, N, C, H, W) frames; uint8, or floating point as `forward` takes them.
        thresholds: of the detections that are compared.
    """
    thresholds = thresholds or Thresholds()
    exported = ExportedDetector(path)
    names = OUTPUTS[exported.inferencer.artefact.outputs]
    largest: dict[str, float] = {}
    ours: list[Detections] = []
    theirs: list[Detections] = []
    for sample in samples.split(1, dim=-4):
        logits = model(as_input(sample, "cpu", model.dtype))
        boxes, scores = decode(logits, STRIDES)
        expected = {"boxes": boxes, "scores": scores, **dict(zip(LOGITS, logits, strict=True))}
        found, _ = exported.look(exported.prepare(sample))
        whole = [Placement(tuple(sample.shape[-2:]))]
        ours += postprocess(logits, thresholds, whole)
        theirs += exported.detect(found, thresholds, whole)
        for name, values in zip(names, found, strict=True) if names != DETECTIONS else ():
            kind = "logits" if name in LOGITS else name
            difference = float((values - expected[name]).abs().max())
            largest[kind] = max(largest.get(kind, 0.0), difference)
    return Parity(len(ours), largest, sum(map(len, ours)), share_of_same(ours, theirs))
