"""ONNX graphs in ONNX Runtime beside the network in PyTorch."""

import numpy as np
import pytest
import torch
from tests.helpers.golden import NETWORKS, golden_input
from tests.helpers.networks import lively

from spikeyolo import load_reference
from spikeyolo.artefact import BOXES, IMAGES, KEY, LOGITS, NEW_STATE, STATE, read_artefact
from spikeyolo.detection.anchors import decode
from spikeyolo.detection.postprocess import Thresholds, postprocess
from spikeyolo.errors import ConfigError
from spikeyolo.events import EventInput
from spikeyolo.exporting.configs import OnnxConfig
from spikeyolo.exporting.describe import describe
from spikeyolo.exporting.graph import read_graph
from spikeyolo.exporting.onnx_format import build_onnx
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.spiking import NeuronState
from spikeyolo.structures import STRIDES

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

FRAMES = EventInput.of("counts", timesteps=2)


def session(model, config, seen, size_hw):
    """The network in ONNX Runtime, and what it says of itself."""
    artefact = describe(
        model,
        seen,
        size_hw=None if config.dynamic_size else size_hw,
        precision=config.precision,
        outputs=config.outputs,
        batch=None if config.dynamic_batch else config.batch,
        streaming=config.streaming,
    )
    written = build_onnx(read_graph(model), config, artefact)
    onnx.checker.check_model(written, full_check=True)
    assert {domain.domain for domain in written.opset_import} == {""}
    made = onnxruntime.InferenceSession(written.SerializeToString(), providers=["CPUExecutionProvider"])
    assert read_artefact(made.get_modelmeta().custom_metadata_map[KEY], "model.onnx") == artefact
    return made


def assert_equal(found, expected, atol):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other.numpy(), rtol=0, atol=atol)


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("changes", "dense"),
    [
        ({}, False),
        ({"timesteps": 2}, False),
        ({"timesteps": 4, "neuron": "gen1", "input": ImageInput()}, False),
        ({"neuron": "relu"}, False),
        ({"neuron": "relu"}, True),
    ],
    ids=str,
)
def test_logits_and_boxes_of_images(changes, dense):
    """Dense spiking ones have the same bits: test_exact_float."""
    network = lively("t", num_classes=3, dtype=torch.float32, **changes).fold(dense)
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    logits = network(images / 255)
    made = session(network, OnnxConfig(outputs="logits", batch=2), ImageInput(), (64, 96))
    assert_equal(made.run(LOGITS, {IMAGES: images.numpy()}), logits, 1e-4)
    free = session(network, OnnxConfig(dynamic_batch=True, dynamic_size=True), ImageInput(), (64, 96))
    assert_equal(free.run(BOXES, {IMAGES: images.numpy()}), decode(logits, STRIDES), 1e-3)
    smaller = torch.zeros(1, 3, 32, 64, dtype=torch.uint8)
    expected = decode(network(smaller / 255), STRIDES)
    assert_equal(free.run(BOXES, {IMAGES: smaller.numpy()}), expected, 1e-3)


@pytest.mark.few(1)
@pytest.mark.parametrize("name", NETWORKS)
def test_golden_networks(name):
    network = load_reference(f"tests/golden/{name}/reference.pt").fold()
    images = golden_input(name, torch.float32)
    seen = network.input or EventInput.of("gen1-published")
    size = tuple(images.shape[-2:])
    config = OnnxConfig(outputs="logits", preprocessing=False, batch=images.shape[-4])
    made = session(network, config, seen, size)
    assert_equal(made.run(LOGITS, {IMAGES: images.numpy()}), network(images), 1e-4)


def test_half_precision_keeps_the_types_and_comes_close_on_the_twin():
    """On a spiking network with random weights one flipped count is seen in every layer after it."""
    network = lively("t", num_classes=3, dtype=torch.float32, neuron="relu").fold()
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    made = session(network, OnnxConfig(precision="float16", outputs="logits"), ImageInput(), (64, 64))
    assert_equal(made.run(LOGITS, {IMAGES: images.numpy()}), network(images / 255), 0.05)
    for changes in ({}, {"timesteps": 2}, {"neuron": "gen1", "input": ImageInput()}):
        spiking = lively("t", num_classes=3, dtype=torch.float32, **changes).fold()
        made = session(spiking, OnnxConfig(precision="float16", outputs="logits"), ImageInput(), (64, 64))
        assert made.run(LOGITS, {IMAGES: images.numpy()})[0].dtype == np.float32


def test_a_stream_of_single_timesteps_is_the_stream_of_the_network():
    network = lively("t-gen1", dtype=torch.float32, in_channels=2, input=FRAMES).fold()
    made = session(network, OnnxConfig(outputs="logits", streaming=True), FRAMES, (64, 96))
    names = [value.name for value in made.get_inputs() if value.name != IMAGES]
    state = {value.name: np.zeros(value.shape, np.float32) for value in made.get_inputs() if value.name != IMAGES}
    own = NeuronState()
    for _ in range(3):
        frames = torch.randint(0, 4, (1, 1, 2, 64, 96)).float()
        logits, own = network(frames, own)
        found = made.run(
            [*LOGITS, *(name.replace(STATE, NEW_STATE) for name in names)], {IMAGES: frames.numpy(), **state}
        )
        assert_equal(found[:3], logits, 1e-4)
        state = dict(zip(names, found[3:], strict=True))
    assert {name.removeprefix(STATE) for name in state} == own.keys()
    for name, potentials in own.items():
        np.testing.assert_allclose(state[STATE + name], potentials.numpy(), rtol=0, atol=1e-4)


def test_suppression_inside_keeps_what_postprocess_keeps():
    network = lively("t", num_classes=3, dtype=torch.float32).fold()
    images = torch.randint(0, 256, (1, 3, 96, 96), dtype=torch.uint8)
    thresholds = Thresholds(conf=0.0, iou=0.5, max_det=20)
    made = session(network, OnnxConfig(outputs="detections", thresholds=thresholds), ImageInput(), (96, 96))
    boxes, scores, labels, index = made.run(None, {IMAGES: images.numpy()})
    (expected,) = postprocess(network(images / 255), thresholds)
    assert len(expected) == 20
    np.testing.assert_allclose(boxes, expected.boxes.numpy(), atol=1e-3)
    np.testing.assert_allclose(scores, expected.scores.numpy(), atol=1e-5)
    assert (labels == expected.labels.numpy()).all()
    assert (index == 0).all()


@pytest.mark.parametrize(
    "choices",
    [
        {"outputs": "detections", "dynamic_size": True},
        {"outputs": "detections", "batch": 4},
        {"streaming": True, "dynamic_batch": True},
        {"streaming": True, "outputs": "detections"},
        {"dynamic_batch": True, "batch": 2},
        {"signed": True},
    ],
    ids=str,
)
def test_choices_that_do_not_go_together_are_refused(choices):
    with pytest.raises(ConfigError):
        OnnxConfig(**choices)
