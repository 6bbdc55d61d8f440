"""`spikeyolo benchmark`: every form and every runtime side by side."""

from __future__ import annotations

from typing import Any

from ..benchmarking.benchmark import benchmark as measure
from ..terminal import say, show
from .options import own_neuron
from .twin import twin_of


@twin_of(measure)
def benchmark(given: frozenset[str] = frozenset(), **options: Any) -> None:
    """Measure every form of a network, in PyTorch and exported: size, average precision, latency, energy.

    Latencies are measured in turn, from the prepared image to boxes; what cannot be made says why.

    Args:
        out: folder for benchmark.json, benchmark.md and benchmark.png; runs/benchmark, or the next free number

    Examples:
        spikeyolo benchmark --weights best.safetensors --data data.yaml
        spikeyolo benchmark --weights best.safetensors --data data.yaml --formats onnx openvino-int8
    """
    from ..files import numbered

    options["neuron"] = own_neuron(options.get("neuron"), given)
    report = measure(**options, progress=lambda step: say(f"measuring {step}"))
    folder = options.get("out") or numbered("runs/benchmark")
    if options.get("out") is None:
        report.write(folder)
    show(report.table())
    say(*report.failures())
    say(f"written to {folder}: benchmark.json, benchmark.md, benchmark.png")
