"""The labelled instants of one split, and the samples that a network learns from or is evaluated on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError
from ...events.event_input import EventInput
from ...imaging.image_input import ImageInput
from ..data_set import expect_input
from .augmentation import EventAugmentation
from .columns import EventColumns
from .dataset import EventDataset
from .labels import BOX_DTYPE, clean_boxes
from .open_recordings import MAX_BYTES
from .stretch_dataset import StretchDataset

ARRAYS = ("durations_us", "decoded_bytes", "recording", "t_us", "starts")


@dataclass(frozen=True)
class EventIndex(EventColumns):
    """Recordings and what is labelled on them; see `EventColumns` for what it holds."""

    def dataset(
        self,
        input: ImageInput | EventInput,
        augmentation: EventAugmentation | None = None,
        *,
        seed: int = 0,
        epochs: int | None = None,
        cache_mb: float = 0,
    ) -> EventDataset:
        """Return the samples that a network with this input sees.

        Args:
            input: the network's.
            augmentation: what happens to recordings; None for evaluation.
            seed: of the randomness.
            epochs: without effect; for images.
            cache_mb: without effect; for images.

        Raises:
            ConfigError: the network takes images, or frames that the source does not have.
            DataError: no box in the region; to train on, more recordings that are decoded whole than fit in memory.
        """
        seen = expect_input(input, EventInput)
        if augmentation is not None:
            self._check_memory()
        return EventDataset(self.seen_by(seen), seen, augmentation, seed=seed)

    def stretches(
        self,
        input: ImageInput | EventInput,
        length: int,
        augmentation: EventAugmentation | None = None,
        *,
        seed: int = 0,
    ) -> StretchDataset:
        """Return the same recordings cut into stretches of so many timesteps that follow each other.

        Args:
            input: the network's.
            length: timesteps of a stretch.
            augmentation: what happens to a whole sequence; None for evaluation.
            seed: of the randomness.

        Raises:
            ConfigError: an input that cannot be streamed, or as of `dataset`.
            DataError: as of `dataset`.
        """
        seen = expect_input(input, EventInput)
        if augmentation is not None:
            self._check_memory()
        return StretchDataset(self.seen_by(seen), seen, length, augmentation, seed=seed)

    def seen_by(self, input: ImageInput | EventInput) -> EventIndex:
        """Return the index with the labels in the input's region alone; whole where it has none.

        Boxes are clipped to it and dropped as at the border of the sensor, and instants without a box left with them.

        Raises:
            ConfigError: a region that the sensor does not have.
            DataError: none of the boxes lies in it.
        """
        region = input.filters.region if isinstance(input, EventInput) else None
        if region is None:
            return self
        assert isinstance(input, EventInput)
        size_hw, (x0, y0) = input.filters.size_hw(self.sensor_size_hw), region[:2]
        boxes = self.boxes.copy()
        boxes["x"] -= x0
        boxes["y"] -= y0
        numbers = np.arange(len(boxes), dtype=np.uint32)  # in place of tracks, to know which are left
        tracks, boxes["track_id"] = boxes["track_id"].copy(), numbers
        boxes, _ = clean_boxes(boxes, size_hw)
        left = boxes["track_id"].astype(np.int64)
        boxes["track_id"] = tracks[left]
        boxes["x"] += x0
        boxes["y"] += y0
        instant = np.repeat(np.arange(len(self)), np.diff(self.starts))[left]
        instants, counts = np.unique(instant, return_counts=True)
        if not len(instants):
            raise DataError(
                f"region: none of the {len(self.boxes)} labelled boxes lies in {', '.join(map(str, region))}"
            )
        return replace(
            self,
            recording=self.recording[instants],
            t_us=self.t_us[instants],
            starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            boxes=boxes,
        )

    def train_augmentation(self, settings: Any) -> EventAugmentation:
        """Return what happens to recordings while training by these settings."""
        return settings.event_augmentation

    def _check_memory(self) -> None:
        """Refuse what would be decoded anew for nearly every sample: training takes instants in random order."""
        whole = np.flatnonzero(self.decoded_bytes)
        total = int(self.decoded_bytes.sum())
        if total <= MAX_BYTES:
            return
        first = self.recordings[whole[0]]
        raise DataError(
            f"{first}: {first.suffix} is decoded whole, and the {len(whole)} recordings of this kind take "
            f"{total / 1e6:,.0f} MB of at most {MAX_BYTES / 1e6:,.0f}; to train, replace each by a .dat, which is read "
            f"in parts: r = open_recording('{first.name}'), "
            f"write_dat('{first.stem.removesuffix('_td')}_td.dat', [r.window(0, r.duration_us)], r.sensor_size_hw)"
        )


def to_cache(index: EventIndex) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return an index as arrays and plain values, without what the description says.

    Boxes are kept field by field, which is smaller: neighbouring times, classes and tracks are alike.
    """
    arrays = {name: getattr(index, name) for name in ARRAYS}
    arrays |= {f"box_{name}": index.boxes[name] for name in BOX_DTYPE.names or ()}
    meta = {
        "names": index.names,
        "recordings": [str(path) for path in index.recordings],
        "sensor_size_hw": index.sensor_size_hw,
        "findings": index.findings,
    }
    return arrays, meta


def from_cache(arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> EventIndex:
    """Return an index; the inverse of `to_cache`.

    Raises:
        DataError: arrays or values that no reading finds.
    """
    boxes = np.empty(len(arrays["box_t"]), BOX_DTYPE)
    for name in BOX_DTYPE.names or ():
        boxes[name] = arrays[f"box_{name}"]
    index = EventIndex(
        names=tuple(meta["names"]),
        recordings=tuple(map(Path, meta["recordings"])),
        sensor_size_hw=(meta["sensor_size_hw"][0], meta["sensor_size_hw"][1]),
        findings=tuple(meta["findings"]),
        boxes=boxes,
        **{name: arrays[name] for name in ARRAYS},  # type: ignore[arg-type] # none of the others
    )
    _check(index)
    return index


def _check(index: EventIndex) -> None:
    recordings, instants, boxes = len(index.recordings), len(index), index.boxes
    shapes = {"durations_us": recordings, "decoded_bytes": recordings, "recording": instants, "starts": instants + 1}
    holds = (
        all(getattr(index, name).dtype.kind == "i" for name in ARRAYS)
        and index.t_us.ndim == 1
        and all(getattr(index, name).shape == (count,) for name, count in shapes.items())
        and ((index.recording >= 0) & (index.recording < recordings)).all()
        and (np.diff(index.recording) >= 0).all()
        and index.starts[0] == 0
        and index.starts[-1] == len(boxes)
        and (np.diff(index.starts) >= 0).all()
        and all(np.isfinite(boxes[name]).all() for name in ("x", "y", "w", "h"))
        and (boxes["class_id"] < len(index.names)).all()
        and all(type(side) is int and side > 0 for side in index.sensor_size_hw)
        and all(type(text) is str for text in (*index.names, *index.findings))
    )
    if not holds:
        raise DataError("the index does not hold what a reading finds")
