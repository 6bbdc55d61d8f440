"""OpenVINO: the graph of ONNX as OpenVINO's own files, with what they say of themselves beside them.

Whoever runs them sets INFERENCE_PRECISION_HINT to f32: on processors with bf16 OpenVINO computes in that else.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ..artefact import KEY, Artefact
from ..optional import import_openvino
from ..runtime.openvino_session import DESCRIPTION, NETWORK, openvino_core
from .configs import OpenVinoConfig
from .graph import Graph
from .onnx_format import build_onnx
from .quantise import Ranges


def build_openvino(graph: Graph, config: OpenVinoConfig, artefact: Artefact, ranges: Ranges | None = None) -> Any:
    """Return OpenVINO's model.

    Args:
        graph: of a folded network.
        config: how it is written; float16 is of the weights in the file, see `write_openvino`.
        artefact: what it says of itself.
        ranges: of int8, see `build_onnx`.

    Raises:
        ConfigError: choices that do not fit the network.
    """
    if config.precision == "float16":
        config = replace(config, precision="float32")
    written = build_onnx(graph, config, artefact, ranges)
    model = openvino_core().read_model(written.SerializeToString())
    model.set_rt_info(artefact.to_json(), [KEY])
    return model


def write_openvino(
    graph: Graph, config: OpenVinoConfig, artefact: Artefact, folder: Path, ranges: Ranges | None = None
) -> None:
    """Write the three files.

    Args:
        graph: of a folded network.
        config: how it is written.
        artefact: what it says of itself.
        folder: which is there.
        ranges: of int8, see `build_onnx`.

    Raises:
        ConfigError: choices that do not fit the network.
    """
    model = build_openvino(graph, config, artefact, ranges)
    openvino = import_openvino()
    openvino.save_model(model, folder / NETWORK, compress_to_fp16=config.precision == "float16")
    (folder / DESCRIPTION).write_text(artefact.to_json(), encoding="utf-8")
