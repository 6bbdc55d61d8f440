"""Measuring contenders: accuracy one after the other, latency in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from ..data.data_set import Index
from ..data.loader import Loader
from ..data.sampler import EpochBatchSampler
from ..detection.thresholds import Thresholds
from ..errors import ConfigError, SpikeYOLOError
from ..evaluation.validate import ValidationSettings, validate
from ..exporting.parity import share_of_same
from ..limits import MAX_BATCH, MAX_WORKERS, check_range
from ..metering.measure import measure as measure_energy
from ..metering.report import to_json as energy_json
from ..metering.technology import Technology
from ..model.detecting import Detecting
from ..model.detector import SpikeYOLO
from ..model.forms.form import Form
from ..model.inputs import chosen_input
from ..structures import Batch, Detections
from .contenders import Contender, make, set_threads
from .report import Report, Row, machine

CALIBRATION = 16
"""Images on which the ranges of int8 are found, the first of the data."""

WARM_UP = 2
LONGEST_S = 60.0
"""After so many seconds the latency of a contender is known well enough."""


@dataclass(frozen=True)
class BenchmarkSettings:
    """How it is measured.

    Attributes:
        batch: images of a batch, beside single ones
        repeats: how often each latency is measured
        threads: that one run takes; as many as PyTorch takes unless given

    Raises:
        ConfigError: a value out of range.
    """

    batch: int = 8
    repeats: int = 20
    threads: int | None = None

    def __post_init__(self) -> None:
        check_range("batch", self.batch, 1, MAX_BATCH)
        check_range("repeats", self.repeats, 3, 100_000)
        if self.threads is not None:
            check_range("threads", self.threads, 1, MAX_WORKERS)


def measure_all(
    model: SpikeYOLO,
    index: Index,
    contenders: Sequence[Contender],
    settings: BenchmarkSettings,
    technology: Technology,
    said: Callable[[str], None] = lambda line: None,
    **how: Any,
) -> Report:
    """Measure all contenders on a data set.

    Args:
        model: in its trained form, on the CPU.
        index: what accuracy is measured on.
        contenders: what to measure.
        settings: how.
        technology: what operations cost.
        said: called with a line before each step.
        **how: further arguments of `export`.

    Raises:
        ConfigError: the model is not in its trained form, or sees other data.
    """
    if model.form is not Form.TRAINABLE:
        raise ConfigError(f"benchmark: needs the trained model, this file holds its {model.form} form")
    threads = set_threads(settings.threads)
    said("energy")
    energy = energy_json(measure_energy(model, index, batch=settings.batch), technology)
    said("trained network")
    trained = accuracy(model, index, settings)
    how["samples"] = next(batches(model, index, CALIBRATION)).images
    rows, runs = [], {}
    with TemporaryDirectory(prefix="spikeyolo-benchmark-") as folder:
        for contender in contenders:
            said(contender.name)
            row = Row(contender.name)
            rows.append(row)
            try:
                of_batch, row.bytes = make(contender, model, Path(folder), threads, **how)
                row.engine, row.form = of_batch(1).engine, str(of_batch(1).form)
                is_trained = contender.form is Form.TRAINABLE
                row.ap, found = trained if is_trained else accuracy(of_batch(1), index, settings)
                row.ap_difference, row.same = row.ap - trained[0], share_of_same(trained[1], found)
                runs[contender.name] = of_batch
            except SpikeYOLOError as error:
                row.status = str(error)
            _add_energy(row, contender, energy)
        said("latency")
        _add_latencies({row.name: row for row in rows}, runs, model, index, settings)
    return Report(rows, {**machine(threads), "batch": settings.batch, "technology": technology.label})


class _Recorded:
    """A model that is evaluated, and keeps what it finds at the usual thresholds."""

    def __init__(self, model: Detecting):
        self.model = model
        self.found: list[Detections] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def detect(self, outputs: Any, thresholds: Thresholds, placements: Any, **how: Any) -> list[Detections]:
        """Detect twice on one look."""
        self.found += self.model.detect(outputs, Thresholds(), placements)
        return self.model.detect(outputs, thresholds, placements, **how)


def accuracy(model: Detecting, index: Index, settings: BenchmarkSettings) -> tuple[float, list[Detections]]:
    """Return average precision, and what is found on each image at the usual thresholds."""
    recorded: Any = _Recorded(model)
    ap = validate(recorded, index, ValidationSettings(settings.batch, workers=0)).metrics.AP
    return ap, recorded.found


def batches(model: Detecting, index: Index, batch: int) -> Iterator[Batch]:
    """Yield the images of an index, in its order, as the model sees them."""
    seen = chosen_input(model)
    index = index.seen_by(seen)
    dataset = index.dataset(seen)
    yield from Loader(dataset, EpochBatchSampler(len(index), batch, shuffle=False), workers=0)


def _add_energy(row: Row, contender: Contender, energy: dict[str, Any]) -> None:
    if contender.energy == "spikes":
        row.firing_rate, row.millijoule = energy["firing_rate"], energy["snn_mJ"]
    elif contender.energy is not None:
        row.millijoule = energy["ann"][contender.energy]["mJ"]


@torch.inference_mode()
def _add_latencies(
    rows: dict[str, Row],
    runs: dict[str, Callable[[int], Detecting]],
    model: SpikeYOLO,
    index: Index,
    settings: BenchmarkSettings,
) -> None:
    """Measure from prepared images to boxes, contenders in turn, so that what else the machine does meets all alike."""
    for number in dict.fromkeys((1, settings.batch)):
        batch = next(batches(model, index, number))
        ready = {name: (one := of_batch(number), one.prepare(batch.images)) for name, of_batch in runs.items()}
        times: dict[str, list[float]] = {name: [] for name in ready}
        for turn in range(WARM_UP + settings.repeats):
            for name, (one, images) in ready.items():
                if sum(times[name]) > LONGEST_S and len(times[name]) >= 3:
                    continue
                start = time.perf_counter()
                outputs, _ = one.look(images)
                one.detect(outputs, Thresholds(), batch.placements)
                if turn >= WARM_UP:
                    times[name].append(time.perf_counter() - start)
        for name, taken in times.items():
            median, slow = (float(value) * 1e3 for value in np.percentile(taken, [50, 95]))
            if number == 1:
                rows[name].latency_ms = median, slow
            if number == settings.batch:
                rows[name].batch_ms, rows[name].images_per_s = (median, slow), batch.batch_size / median * 1e3
