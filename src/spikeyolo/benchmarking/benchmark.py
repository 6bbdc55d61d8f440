"""From weights and a data set to a report."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from ..option_help import TRAINED, described

if TYPE_CHECKING:
    from .report import Report


@described(weights=f"{TRAINED}, in its trained form")
def benchmark(  # noqa: D417
    weights: Any,
    data: str | os.PathLike[str],
    *,
    split: Literal["train", "val", "test"] = "val",
    formats: Sequence[str] | None = None,
    batch: int = 8,
    repeats: int = 20,
    threads: int | None = None,
    sensor: Sequence[int] | None = None,
    technology: str = "45nm-fp32",
    neuron: str | None = None,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Callable[[str], None] = lambda step: None,
) -> Report:
    """Measure every form of a network, in PyTorch and exported: size, average precision, latency, energy.

    Latencies are measured in turn, from the prepared image to boxes; what cannot be made says why.

    Args:
        formats: which, such as trained, separable, onnx, openvino-int8; all unless given
        batch: images of a batch, beside single ones
        repeats: how often each latency is measured
        out: folder for benchmark.json, benchmark.md and benchmark.png; none unless given

    Raises:
        ConfigError: a name or setting that does not exist, or a model that is folded already.
        CheckpointError: the weights cannot be used.
        DataError: the data cannot be read.
        WriteError: nothing may be written there, or it cannot be.
    """
    from ..data.open import open_data
    from ..files import new_folder
    from ..interop.reference import load_any
    from ..metering.technology import find_technology
    from .contenders import find_contenders
    from .measure import BenchmarkSettings, measure_all

    chosen, costs = find_contenders(formats), find_technology(technology)
    settings = BenchmarkSettings(batch, repeats, threads)
    opened, is_file = open_data(str(data)), isinstance(weights, str | os.PathLike)
    reads = [*([weights] if is_file else []), data, *opened.files]
    folder = None if out is None else new_folder(out, reads=reads, overwrite=overwrite)
    model = load_any(weights, neuron) if is_file else weights
    how = {} if sensor is None else {"sensor": sensor}
    report = measure_all(model, opened.split(split), chosen, settings, costs, progress, **how)
    if folder is not None:
        report.write(folder)
    return report
