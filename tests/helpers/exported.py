"""Exported networks for tests: written by the package's own exporter, and made by hand."""

import json

import numpy as np
import torch
from tests.helpers.networks import lively

from spikeyolo.exporting.configs import OnnxConfig
from spikeyolo.exporting.describe import describe
from spikeyolo.exporting.graph import read_graph
from spikeyolo.exporting.onnx_format import build_onnx


def finding(preset="t", **changes):
    """A folded network with random weights that finds something on any image."""
    model = lively(preset, dtype=torch.float32, **changes)
    with torch.no_grad():
        for branch in model.head.classes:
            for conv in branch.modules():
                if isinstance(conv, torch.nn.Conv2d) and conv.out_channels == model.config.num_classes:
                    conv.bias.fill_(-1.0)
    return model.fold()


def artefact_of(model, config, size_hw):
    return describe(
        model,
        model.input,
        size_hw=None if config.dynamic_size else size_hw,
        precision=config.precision,
        outputs=config.outputs,
        batch=None if config.dynamic_batch else config.batch,
        streaming=config.streaming,
    )


def onnx_model(model, size_hw, **choices):
    config = OnnxConfig(**choices)
    return build_onnx(read_graph(model), config, artefact_of(model, config, size_hw))


def write_onnx(path, model, size_hw, **choices):
    """A folded network as an ONNX file."""
    path.write_bytes(onnx_model(model, size_hw, **choices).SerializeToString())
    return path


def write_openvino(folder, model, size_hw, **choices):
    """The same as OpenVINO's files."""
    from spikeyolo.optional import import_openvino
    from spikeyolo.runtime.openvino_session import openvino_core

    openvino = import_openvino()

    folder.mkdir()
    content = onnx_model(model, size_hw, **choices)
    converted = openvino_core().read_model(content.SerializeToString(), b"")
    openvino.save_model(converted, folder / "network.xml", compress_to_fp16=False)
    (folder / "spikeyolo.json").write_text({entry.key: entry.value for entry in content.metadata_props}["spikeyolo"])
    return folder


def write_either(engine, folder, model, size_hw, **choices):
    """The network for `onnxruntime` or `openvino`, in a folder that exists."""
    if engine == "openvino":
        return write_openvino(folder / "network_openvino", model, size_hw, **choices)
    return write_onnx(folder / "network.onnx", model, size_hw, **choices)


def edited(path, **changes):
    """Change what an ONNX file says of itself."""
    import onnx

    model = onnx.load(path)
    (entry,) = (entry for entry in model.metadata_props if entry.key == "spikeyolo")
    entry.value = json.dumps({**json.loads(entry.value), **changes})
    path.write_bytes(model.SerializeToString())
    return path


def pixels(rows, columns, seed=0):
    """An image (rows, columns, 3) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)
