"""Tracks: numbers that stay with objects from frame to frame."""

from __future__ import annotations

import warnings
from typing import Any

import torch

from ..optional import optional_module
from ..structures import Detections


class Tracker:
    """Numbers that stay with objects from frame to frame of one source; ByteTrack through supervision.

    Args:
        fps: frames a second of the source.

    Raises:
        MissingPackage: the extra `track` is not installed.

    Source: Zhang et al., ByteTrack, ECCV 2022.
    """

    def __init__(self, fps: float):
        sv = optional_module("supervision", "track")  # costs 0.6 s to import

        with warnings.catch_warnings():  # it says that a later version will lack it; ours is pinned
            warnings.simplefilter("ignore", FutureWarning)
            self._tracker: Any = sv.ByteTrack(frame_rate=max(round(fps), 1))
        self._supervision = sv

    def follow(self, detections: Detections) -> tuple[Detections, tuple[int, ...]]:
        """Return the detections that belong to a track, and the track of each; call it for every frame, in order."""
        index = torch.arange(len(detections))
        found = self._tracker.update_with_detections(
            self._supervision.Detections(
                xyxy=detections.boxes.numpy(),
                confidence=detections.scores.numpy(),
                class_id=detections.labels.numpy(),
                data={"index": index.numpy()},
            )
        )
        if len(found) == 0:
            return detections[:0], ()
        kept = torch.as_tensor(found.data["index"], dtype=torch.int64)
        return detections[kept], tuple(int(number) for number in found.tracker_id)
