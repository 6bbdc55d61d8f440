"""Each unit of a float32 export beside PyTorch, given the same potentials: no flipped count is carried on."""

from itertools import product

import numpy as np
import pytest
import torch
from tests.helpers.networks import lively

from spikeyolo.artefact import IMAGES
from spikeyolo.exporting.configs import OnnxConfig
from spikeyolo.exporting.describe import describe
from spikeyolo.exporting.graph import INPUT, Add, Concatenate, MaxPool, Unit, Upsample, read_graph
from spikeyolo.exporting.onnx_format import build_onnx
from spikeyolo.exporting.onnx_network import NetworkWriter
from spikeyolo.imaging.image_input import ImageInput

onnx = pytest.importorskip("onnx")

CASES = [
    pytest.param(*case, marks=[] if case in (("t", 1, "relu"), ("t", 4, "gen1")) else [pytest.mark.long])
    for case in product(("t", "n", "s"), (1, 2, 4), ("coco", "gen1", "relu"))
]


def potentials(graph, given):
    """What each node holds, by what the units give."""
    found = dict(given)
    for node in graph.nodes:
        parts = [found[source] for source in node.sources]
        match node:
            case Add():
                found[node.name] = parts[0] + parts[1]
            case Concatenate():
                found[node.name] = torch.cat(parts, dim=1)
            case Upsample():
                found[node.name] = parts[0].repeat_interleave(2, 2).repeat_interleave(2, 3)
            case MaxPool(kernel_size=size):
                found[node.name] = torch.max_pool2d(parts[0], size, stride=1, padding=size // 2)
    return found


@pytest.fixture
def written(monkeypatch):
    """Names of the values of all units of the network written last."""
    values = {}
    write = NetworkWriter.write

    def noting(writer, images):
        result = write(writer, images)
        values.update({unit.name: writer.values[unit.name] for unit in writer.graph.units})
        return result

    monkeypatch.setattr(NetworkWriter, "write", noting)
    return values


@pytest.mark.long
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize(("preset", "timesteps", "neuron"), CASES)
def test_every_unit(preset, timesteps, neuron, engine, written):
    pytest.importorskip(engine)
    changes = {"timesteps": timesteps, "neuron": neuron, "input": ImageInput()}
    network = lively(preset, num_classes=3, dtype=torch.float32, **changes).fold()
    images, graph = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8), read_graph(network)
    config = OnnxConfig(outputs="logits", batch=2)
    artefact = describe(network, ImageInput(), size_hw=(64, 96), outputs="logits", batch=2)
    model = build_onnx(graph, config, artefact)
    known = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in set(written.values()) - known)
    content = model.SerializeToString()
    if engine == "onnxruntime":
        import onnxruntime

        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        found = dict(zip(written.values(), session.run(list(written.values()), {IMAGES: images.numpy()}), strict=True))
    else:
        from spikeyolo.runtime.openvino_session import openvino_core

        core = openvino_core()
        found = core.compile_model(core.read_model(content), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(
            {IMAGES: images.numpy()}
        )
    given = {name: torch.from_numpy(np.array(found[value])) for name, value in written.items()}
    given[INPUT] = images / 255
    held = potentials(graph, given)
    with torch.no_grad():
        for unit in graph.units:
            x = held[unit.sources[0]]
            x = x[None] if unit.sources[0] == INPUT else x.unflatten(0, (timesteps, 2))
            expected = network.get_submodule(unit.name)(x).flatten(0, 1)
            if unit.sources[0] == INPUT:
                expected = expected.repeat(timesteps, 1, 1, 1)
            assert isinstance(unit, Unit)
            assert expected.abs().max() > 0.01, unit.name
            torch.testing.assert_close(
                given[unit.name], expected, rtol=0, atol=1e-4, msg=lambda m, u=unit: f"{u.name}: {m}"
            )
