"""The formats, as a table: what each is, what it needs, and how it is chosen. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..errors import ConfigError
from ..optional import require_packages
from ..strict import build, closest
from .configs import IntegerConfig, IntegerOnnxConfig, NirConfig, OnnxConfig, OpenVinoConfig, QonnxConfig, WebConfig
from .web_runtime import MACHINE, PROGRAM

MOST_SAMPLES = 12
"""Images that a page shows to try it on."""

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".avif")
"""Of images that browsers read."""


@dataclass(frozen=True)
class Format:
    """A format that networks are exported to.

    Attributes:
        name: as on the command line.
        about: a line about it.
        config: what can be chosen, a dataclass.
        module: of this package, with a function `write`.
        packages: that must be installed, to write it and to measure what was written.
        suffix: of the file; empty for a folder.
        files: in the folder: what may be replaced if the user says so; a folder with others in it is refused.
        runs: whether a runtime of this package runs it, so that it can be measured beside PyTorch.
    """

    name: str
    about: str
    config: type[Any]
    module: str
    packages: tuple[str, ...]
    suffix: str = ""
    files: tuple[str, ...] = ()
    runs: bool = True


FORMATS = {
    entry.name: entry
    for entry in (
        Format(
            "onnx",
            "a graph for ONNX Runtime, TensorRT and others",
            OnnxConfig,
            "write_onnx",
            ("onnx", "onnxruntime"),
            ".onnx",
        ),
        Format(
            "integer-onnx",
            "the integer network as ONNX of integer operators alone",
            IntegerOnnxConfig,
            "write_integer_onnx",
            ("onnx", "onnxruntime"),
            ".onnx",
        ),
        Format(
            "qonnx",
            "the integer network at T = 1 with MultiThreshold nodes, for FINN",
            QonnxConfig,
            "write_qonnx",
            ("onnx",),
            ".onnx",
            runs=False,
        ),
        Format(
            "openvino",
            "a folder for OpenVINO",
            OpenVinoConfig,
            "write_openvino",
            ("onnx", "openvino"),
            files=("network.xml", "network.bin", "spikeyolo.json", "run.py"),
        ),
        Format(
            "integer",
            "a folder from which hardware can be written: integers, manifest, golden values, a program that checks",
            IntegerConfig,
            "write_integer",
            (),
            files=(
                "manifest.json",
                "manifest.schema.json",
                "weights.safetensors",
                "golden.safetensors",
                "reference.py",
                "README.md",
                "run.py",
            ),
        ),
        Format(
            "web",
            "a page for browsers, which finds objects on images and from the camera",
            WebConfig,
            "write_web",
            ("onnx", "onnxruntime"),
            files=(
                *("index.html", "style.css", "start.js", "page.js", "view.js", "charts.js", "worker.js", "detect.js"),
                *("page.json", "network.onnx", PROGRAM.served, MACHINE.served, "LICENSE-onnxruntime.txt"),
                *(f"sample{number}{ending}" for number in range(1, MOST_SAMPLES + 1) for ending in IMAGE_ENDINGS),
            ),
        ),
        Format(
            "nir",
            "the backbone for neuromorphic simulators and chips: NIR holds no more",
            NirConfig,
            "write_nir",
            ("nir",),
            ".nir",
            runs=False,
        ),
    )
}


def find_format(name: str) -> Format:
    """Return a format by its name.

    Raises:
        ConfigError: there is none.
    """
    if name not in FORMATS:
        raise ConfigError(f"format: no format {name!r}, {closest(name, FORMATS)}; known are {', '.join(FORMATS)}")
    return FORMATS[name]


def chosen(entry: Format, choices: Mapping[str, Any]) -> Any:
    """Return the config of a format; whatever cannot work is refused here, before anything heavy is imported.

    Args:
        entry: the format.
        choices: by name; those of `thresholds` as `conf`, `iou` and `max_det`.

    Raises:
        ConfigError: a choice that the format does not have, or that does not go with the others.
        MissingPackage: what the format needs is not installed.
    """
    known = {field.name for field in fields(entry.config)}
    given = dict(choices)
    if "thresholds" in known and "thresholds" not in given:
        kept = {name: given.pop(name) for name in ("conf", "iou", "max_det") if name in given}
        if kept:
            given["thresholds"] = kept
    for name in given:
        if name not in known:
            having = [other for other, one in FORMATS.items() if name in {f.name for f in fields(one.config)}]
            of = f", it is of {', '.join(having)}" if having else ""
            raise ConfigError(
                f"{name}: does not apply to {entry.name}{of}; {entry.name} has {', '.join(sorted(known))}"
            )
    config = build(entry.config, given)
    require_packages(entry.packages, "export")
    return config
