"""Exported networks beside the network as trained in PyTorch: how many times as fast, and where the time goes.

    python benchmarks/deployment.py --preset s --size 640 --threads 1 2 --rounds 15
    python benchmarks/deployment.py --profile --forms "onnxruntime int8" "openvino int8"

All take turns on the same image, so that whatever else the machine does falls on each alike. `cpu` counts the seconds
of processors, which other programs do not lengthen as much; with several threads it also counts their waiting, and on a
machine that others use PyTorch waits most: its threads share the work in equal parts.
Random weights: the time does not depend on them, nor on the ranges of "ranges", where chains are int8 to their end.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime
import openvino
import torch
from rich.console import Console
from rich.table import Table

from spikeyolo import SpikeYOLO
from spikeyolo.artefact import IMAGES
from spikeyolo.exporting.calibration import calibrate
from spikeyolo.exporting.configs import GraphConfig, IntegerOnnxConfig, OnnxConfig, OpenVinoConfig
from spikeyolo.exporting.describe import describe
from spikeyolo.exporting.graph import read_graph
from spikeyolo.exporting.onnx_format import build_integer_onnx, build_onnx
from spikeyolo.exporting.openvino_format import build_openvino
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.model.presets import IMAGE_PRESETS
from spikeyolo.runtime.openvino_session import openvino_core

BASELINE = "torch trained"
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}

Run = Callable[[], object]


class Networks:
    """The network in its forms, each made once and when it is first asked for."""

    def __init__(self, preset: str, size: int):
        torch.manual_seed(0)
        self.trained = SpikeYOLO(preset).eval()
        self.size_hw = size, size
        self.pixels = torch.randint(0, 256, (1, 3, size, size), dtype=torch.uint8)
        self.image = self.pixels / 255
        self._folded: dict[bool, SpikeYOLO] = {}

    def folded(self, dense: bool) -> SpikeYOLO:
        """The network with as few operations, or with one convolution a unit."""
        if dense not in self._folded:
            self._folded[dense] = self.trained.fold(dense)
        return self._folded[dense]

    def graph(self, config: GraphConfig, ranges: bool) -> tuple[Any, ...]:
        """What `build_onnx` takes."""
        exact = config.dense and config.precision == "float32"
        model = self.trained.to_spike_driven() if exact else self.folded(config.dense)
        artefact = describe(model, ImageInput(), size_hw=self.size_hw, precision=config.precision)
        return read_graph(model), config, artefact, calibrate(model, [self.image]) if ranges else None

    def integer_onnx(self) -> Any:
        """The network of integers alone, as an ONNX model."""
        model = self.trained.to_integer()
        artefact = describe(model, ImageInput(), size_hw=self.size_hw, precision="integer")
        return build_integer_onnx(read_graph(model), IntegerOnnxConfig(), artefact)


def torch_run(model: SpikeYOLO, networks: Networks) -> Run:
    def run() -> None:
        with torch.inference_mode():
            model(networks.image)

    return run


def onnx_session(model: Any, threads: int, profile: Path | None = None) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    # Threads that wait for their next work without sleeping would take the processors of whoever is next.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, str(profile / "profile")
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def openvino_compiled(model: Any, threads: int, hint: str = "f32", profile: bool = False) -> Any:
    options = {
        "INFERENCE_PRECISION_HINT": hint,
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "PERF_COUNT": profile,
    }
    return openvino_core().compile_model(model, "CPU", options)


TORCH = {
    BASELINE: lambda networks: networks.trained,
    "torch separable": lambda networks: networks.folded(False),
    "torch dense": lambda networks: networks.folded(True),
}

ONNX = {
    "onnxruntime f32": lambda networks: build_onnx(*networks.graph(OnnxConfig(), False)),
    "onnxruntime f32 dense": lambda networks: build_onnx(*networks.graph(OnnxConfig(dense=True), False)),
    "onnxruntime int8": lambda networks: build_onnx(*networks.graph(OnnxConfig(precision="int8"), False)),
    "onnxruntime int8 ranges": lambda networks: build_onnx(*networks.graph(OnnxConfig(precision="int8"), True)),
    "onnxruntime int8 dense": lambda networks: build_onnx(
        *networks.graph(OnnxConfig(precision="int8", dense=True), False)
    ),
    "onnxruntime integer-onnx": Networks.integer_onnx,
}

OPENVINO = {
    "openvino f32": lambda networks: build_openvino(*networks.graph(OpenVinoConfig(), False)),
    "openvino f32 dense": lambda networks: build_openvino(*networks.graph(OpenVinoConfig(dense=True), False)),
    "openvino bf16": lambda networks: build_openvino(*networks.graph(OpenVinoConfig(), False)),
    "openvino int8": lambda networks: build_openvino(*networks.graph(OpenVinoConfig(precision="int8"), False)),
    "openvino int8 ranges": lambda networks: build_openvino(*networks.graph(OpenVinoConfig(precision="int8"), True)),
    "openvino int8 dense": lambda networks: build_openvino(
        *networks.graph(OpenVinoConfig(precision="int8", dense=True), False)
    ),
}

FORMS = [*TORCH, *ONNX, *OPENVINO]


def hint_of(name: str) -> str:
    return "bf16" if name.endswith("bf16") else "f32"


def make(name: str, networks: Networks, threads: int) -> Run:
    """What runs one form once."""
    if name in TORCH:
        return torch_run(TORCH[name](networks), networks)
    pixels = networks.pixels.numpy()
    if name in ONNX:
        session = onnx_session(ONNX[name](networks), threads)
        return lambda: session.run(None, {IMAGES: pixels})
    request = openvino_compiled(OPENVINO[name](networks), threads, hint_of(name)).create_infer_request()
    return lambda: request.infer({IMAGES: pixels})


def measure(names: list[str], networks: Networks, threads: int, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Seconds of each run by both clocks."""
    torch.set_num_threads(threads)
    runs = {name: make(name, networks, threads) for name in names}
    seconds: dict[str, dict[str, list[float]]] = {name: {clock: [] for clock in CLOCKS} for name in names}
    for number in range(rounds + 1):
        for name, run in runs.items():
            starts = {clock: now() for clock, now in CLOCKS.items()}
            run()
            if number:  # the first round warms up
                for clock, now in CLOCKS.items():
                    seconds[name][clock].append(now() - starts[clock])
    return seconds


def table_of(seconds: dict[str, dict[str, list[float]]], title: str) -> Table:
    table = Table("form", "ms", "95 %", "least", "times", "times (least)", "cpu ms", "times (cpu)", title=title)
    base = {clock: seconds[BASELINE][clock] for clock in CLOCKS} if BASELINE in seconds else None
    for name, clocks in seconds.items():
        wall, cpu = clocks["wall"], clocks["cpu"]
        times = ["", "", ""]
        if base is not None:
            pairs = (
                (statistics.median(base["wall"]), statistics.median(wall)),
                (min(base["wall"]), min(wall)),
                (statistics.median(base["cpu"]), statistics.median(cpu)),
            )
            times = [f"{whole / part:.2f}" for whole, part in pairs]
        late = float(np.quantile(wall, 0.95))
        milliseconds = [f"{1e3 * value:.0f}" for value in (statistics.median(wall), late, min(wall))]
        table.add_row(name, *milliseconds, times[0], times[1], f"{1e3 * statistics.median(cpu):.0f}", times[2])
    return table


def profile_onnx(model: Any, pixels: np.ndarray, threads: int, rounds: int) -> dict[tuple[str, str], float]:
    """Least seconds of each node, by kind and name."""
    with TemporaryDirectory() as folder:
        session = onnx_session(model, threads, Path(folder))
        for _ in range(rounds):
            session.run(None, {IMAGES: pixels})
        events = json.loads(Path(session.end_profiling()).read_text())
    least: dict[tuple[str, str], float] = {}
    for event in events:
        if event.get("cat") == "Node" and "op_name" in event.get("args", {}):
            key = event["args"]["op_name"], event["name"]
            least[key] = min(least.get(key, float("inf")), event["dur"] / 1e6)
    return least


def profile_openvino(compiled: Any, pixels: np.ndarray, rounds: int) -> dict[tuple[str, str], float]:
    """The same; a kind is said with the kernel that was chosen."""
    request = compiled.create_infer_request()
    least: dict[tuple[str, str], float] = {}
    for _ in range(rounds):
        request.infer({IMAGES: pixels})
        for node in request.profiling_info:
            spent = node.real_time.total_seconds()
            if spent:
                key = f"{node.node_type} {node.exec_type}", node.node_name
                least[key] = min(least.get(key, float("inf")), spent)
    return least


def profile(name: str, networks: Networks, threads: int, rounds: int) -> Table:
    pixels = networks.pixels.numpy()
    if name in ONNX:
        least = profile_onnx(ONNX[name](networks), pixels, threads, rounds)
    else:
        compiled = openvino_compiled(OPENVINO[name](networks), threads, hint_of(name), profile=True)
        least = profile_openvino(compiled, pixels, rounds)
    kinds = {kind for kind, _ in least}
    totals = {kind: [spent for (one, _), spent in least.items() if one == kind] for kind in kinds}
    whole = sum(least.values())
    table = Table("operator", "number", "ms", "share", title=f"{name}, {threads} threads: least time of each node")
    for kind, spent in sorted(totals.items(), key=lambda item: -sum(item[1])):
        table.add_row(kind, str(len(spent)), f"{1e3 * sum(spent):.1f}", f"{sum(spent) / whole:.1%}")
    return table


def machine() -> str:
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    has = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8") if flag in flags]
    versions = f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}, openvino {openvino.__version__}"
    return f"{model} ({', '.join(has)}), {os.cpu_count()} cores; {versions}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="s", choices=sorted(IMAGE_PRESETS))
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--forms", nargs="+", default=FORMS, choices=FORMS, metavar="FORM", help=", ".join(FORMS))
    parser.add_argument("--profile", action="store_true", help="time by operator in place of the race")
    options = parser.parse_args()

    console = Console()
    console.print(machine(), highlight=False)
    networks = Networks(options.preset, options.size)
    for threads in options.threads:
        if options.profile:
            for name in options.forms:
                if name not in TORCH:
                    console.print(profile(name, networks, threads, options.rounds))
            continue
        before = os.getloadavg()[0]
        seconds = measure(options.forms, networks, threads, options.rounds)
        title = f"{options.preset} at {options.size}, batch 1, {threads} threads, {options.rounds} rounds"
        loads = f"load of the machine {before:.1f} before, {os.getloadavg()[0]:.1f} after"
        console.print(table_of(seconds, f"{title}; {loads}"))


if __name__ == "__main__":
    main()
