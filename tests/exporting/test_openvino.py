"""Networks as OpenVINO's own files beside the network in PyTorch."""

import numpy as np
import pytest
import torch
from tests.helpers.int8 import emulated
from tests.helpers.networks import lively

from spikeyolo.artefact import BOXES, IMAGES, KEY, LOGITS, NEW_STATE, STATE, read_artefact
from spikeyolo.detection.anchors import decode
from spikeyolo.events import EventInput
from spikeyolo.exporting.calibration import calibrate
from spikeyolo.exporting.configs import OpenVinoConfig
from spikeyolo.exporting.describe import describe
from spikeyolo.exporting.graph import Neuron, read_graph
from spikeyolo.exporting.onnx_builder import Builder
from spikeyolo.exporting.onnx_int8 import QdqArithmetic
from spikeyolo.exporting.openvino_format import write_openvino
from spikeyolo.exporting.quantise import quantise
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.runtime.openvino_session import DESCRIPTION, NETWORK, openvino_core
from spikeyolo.spiking import NeuronState, ilif
from spikeyolo.structures import STRIDES

pytest.importorskip("onnx")
openvino = pytest.importorskip("openvino")

FRAMES = EventInput.of("counts", timesteps=2)
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


def runner(network, config, folder, seen=None, ranges=None):
    """The network as it is read back from its files."""
    artefact = describe(
        network,
        seen or ImageInput(),
        size_hw=None if config.dynamic_size else (64, 96),
        precision=config.precision,
        outputs=config.outputs,
        batch=None if config.dynamic_batch else config.batch,
        streaming=config.streaming,
    )
    write_openvino(read_graph(network), config, artefact, folder, ranges)
    core = openvino_core()
    model = core.read_model(folder / NETWORK)
    assert read_artefact(model.get_rt_info(KEY).astype(str), NETWORK) == artefact
    assert read_artefact((folder / DESCRIPTION).read_text(encoding="utf-8"), DESCRIPTION) == artefact
    return core.compile_model(model, "CPU", EXACT)


def assert_equal(found, names, expected, atol=1e-4):
    for name, one in zip(names, expected, strict=True):
        np.testing.assert_allclose(found[name], one.detach().numpy(), rtol=0, atol=atol)


@pytest.mark.few(1)
@pytest.mark.parametrize("changes", [{}, {"timesteps": 4}, {"neuron": "relu"}], ids=str)
def test_logits_and_boxes(changes, tmp_path):
    network = lively("t", num_classes=3, dtype=torch.float32, **changes).fold()
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    logits = network(images / 255)
    run = runner(network, OpenVinoConfig(outputs="logits", batch=2), tmp_path)
    assert_equal(run({IMAGES: images.numpy()}), LOGITS, logits)
    run = runner(network, OpenVinoConfig(dynamic_batch=True, dynamic_size=True), tmp_path)
    assert_equal(run({IMAGES: images.numpy()}), BOXES, decode(logits, STRIDES), 1e-3)
    smaller = torch.zeros(1, 3, 32, 64, dtype=torch.uint8)
    assert_equal(run({IMAGES: smaller.numpy()}), BOXES, decode(network(smaller / 255), STRIDES), 1e-3)


def test_half_precision_is_of_the_file(tmp_path):
    network = lively("t", num_classes=3, dtype=torch.float32, neuron="relu").fold()
    images = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    run = runner(network, OpenVinoConfig(precision="float16", outputs="logits"), tmp_path)
    assert_equal(run({IMAGES: images.numpy()}), LOGITS, network(images / 255), 0.05)
    weights = sum(parameter.numel() for parameter in network.parameters())
    assert (tmp_path / NETWORK).with_suffix(".bin").stat().st_size < 2.2 * weights


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("changes", "known"), [({}, True), ({"timesteps": 2}, False), ({"neuron": "relu"}, False)], ids=str
)
def test_int8_is_the_network_with_rounded_weights(changes, known, tmp_path):
    network = lively("t", num_classes=3, dtype=torch.float32, **changes).fold()
    images = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    ranges = calibrate(network, [images / 255]) if known else None
    run = runner(network, OpenVinoConfig(precision="int8", outputs="logits"), tmp_path, ranges=ranges)
    assert_equal(run({IMAGES: images.numpy()}), LOGITS, emulated(network, ranges)(images.double() / 255))
    nodes = [op.get_rt_info() for op in run.get_runtime_model().get_ordered_ops()]
    floats = [node for node in nodes if node["layerType"] == "Convolution" and node["runtimePrecision"] == "f32"]
    expected = [conv for unit in quantise(read_graph(network), ranges).units for conv in unit.convolutions]
    assert len(floats) == sum(conv.scale is None for conv in expected)


@pytest.mark.few(1)
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_stream_is_the_stream_of_the_network(precision, tmp_path):
    network = lively("t-gen1", dtype=torch.float32, in_channels=2, input=FRAMES).fold()
    config = OpenVinoConfig(precision=precision, outputs="logits", streaming=True)
    run = runner(network, config, tmp_path, seen=FRAMES)
    names = {value.get_any_name(): value.get_shape() for value in run.inputs}
    state = {name: np.zeros(shape, np.float32) for name, shape in names.items() if name != IMAGES}
    own, slow = NeuronState(), emulated(network) if precision == "int8" else network
    for _ in range(2):
        frames = torch.randint(0, 4, (1, 1, 2, 64, 96)).float()
        logits, own = slow(frames.double() if precision == "int8" else frames, own)
        found = run({IMAGES: frames.numpy(), **state})
        assert_equal(found, LOGITS, logits)
        state = {name: found[name.replace(STATE, NEW_STATE)].copy() for name in state}
    for name, potentials in own.items():
        np.testing.assert_allclose(state[STATE + name], potentials.detach().numpy(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("max_count", [1, 4, 16, 63])
def test_counts_are_those_of_the_neuron_at_ties_and_far_outside(max_count):
    around = [0.49999997, 0.50000006, 1.4999999, 1.5000001, -300.0, 300.0, 1e9, -1e9]
    h = torch.cat([torch.arange(-20, 41) / 2, torch.tensor(around)])
    build, neuron = Builder(), Neuron("n", max_count)
    counts = QdqArithmetic(build, np.uint8, memory=False).fire(build.input("x", np.float32, [len(h)]), neuron)
    build.output("y", counts, np.float32, [len(h)])
    core = openvino_core()
    run = core.compile_model(core.read_model(build.model("m", {}, "0").SerializeToString()), "CPU", EXACT)
    expected = ilif(h[None], decay=0.25, gain=1.0, max_count=max_count)[0]
    np.testing.assert_array_equal(run({"x": h.numpy()})["y"], expected.numpy())
