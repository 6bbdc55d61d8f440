"""`spikeyolo benchmark`: every form and every runtime side by side."""

from __future__ import annotations

from pathlib import Path

from ..terminal import say, show
from .options import Data, Overwrite, OwnNeuron, Split, Technology, Weights, own_neuron


def benchmark(
    weights: Weights,
    data: Data,
    split: Split = "val",
    formats: list[str] | None = None,
    batch: int = 8,
    repeats: int = 20,
    threads: int | None = None,
    sensor: list[int] | None = None,
    technology: Technology = "45nm-fp32",
    neuron: OwnNeuron = None,
    out: str | None = None,
    overwrite: Overwrite = False,
    given: frozenset[str] = frozenset(),
) -> None:
    """Measure every form of a network, in PyTorch and exported: size, average precision, latency, energy.

    Latencies are measured in turn, from the prepared image to boxes; what cannot be made says why.

    Args:
        formats: which, such as trained separable onnx openvino-int8; all unless given
        batch: images of a batch, beside single ones
        repeats: how often each latency is measured
        threads: that one run takes; as many as PyTorch takes unless given
        sensor: rows and columns of the event camera, for a network whose frames keep its size
        out: folder for benchmark.json, benchmark.md and benchmark.png; runs/benchmark, or the next free number

    Examples:
        spikeyolo benchmark --weights best.safetensors --data data.yaml
        spikeyolo benchmark --weights best.safetensors --data data.yaml --formats onnx openvino-int8
    """
    from ..benchmarking.benchmark import benchmark as measure
    from ..benchmarking.contenders import find_contenders
    from ..data.open import open_data
    from ..files import new_folder, numbered

    find_contenders(formats)  # before a folder is made
    reads: list[str | Path] = [weights, data, *open_data(data).files]
    named = None if out is None else new_folder(out, reads=reads, overwrite=overwrite)
    report = measure(
        weights,
        data,
        split=split,
        formats=formats,
        batch=batch,
        repeats=repeats,
        threads=threads,
        sensor=sensor,
        technology=technology,
        neuron=own_neuron(neuron, given),
        progress=lambda step: say(f"measuring {step}"),
    )
    files = report.write(named or numbered("runs/benchmark"))
    show(report.table())
    say(*report.failures())
    say(f"written: {', '.join(map(str, files))}")
