"""The integer network in ONNX Runtime: the very numbers of `to_integer()`."""

import numpy as np
import pytest
import torch
from tests.helpers.golden import NETWORKS, golden_input
from tests.helpers.networks import lively

from spikeyolo import load_reference
from spikeyolo.artefact import IMAGES, LOGITS, NEW_STATE, STATE
from spikeyolo.events import EventInput
from spikeyolo.exporting.configs import IntegerOnnxConfig
from spikeyolo.exporting.describe import describe
from spikeyolo.exporting.graph import read_graph
from spikeyolo.exporting.onnx_format import build_integer_onnx
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.spiking import NeuronState

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

INTEGERS = {"Add", "BitwiseAnd", "Cast", "Clip", "Concat", "ConvInteger", "Div", "GreaterOrEqual", "Identity", "Max"}
INTEGERS |= {"MaxPool", "Mul", "Neg", "Pad", "Reshape", "Resize", "Round", "Slice", "Split", "Sub"}
"""Clip, Neg and Round make levels of an input in floating point."""


def session(model, seen, size_hw, **choices):
    config = IntegerOnnxConfig(outputs="logits", **choices)
    artefact = describe(
        model,
        seen,
        size_hw=size_hw,
        precision="integer",
        outputs="logits",
        batch=config.batch,
        streaming=config.streaming,
    )
    written = build_integer_onnx(read_graph(model), config, artefact)
    onnx.checker.check_model(written, full_check=True)
    assert {node.op_type for node in written.graph.node} <= INTEGERS
    return onnxruntime.InferenceSession(written.SerializeToString(), providers=["CPUExecutionProvider"])


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other.numpy())


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"timesteps": 2, "max_count": 1},
        {"timesteps": 4, "neuron": "gen1", "input": ImageInput()},
        {"timesteps": 3, "max_count": 8},
    ],
    ids=str,
)
def test_images(changes):
    network = lively("t", num_classes=3, dtype=torch.float32, **changes).to_integer()
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    made = session(network, ImageInput(), (64, 96), batch=2)
    assert_same(made.run(LOGITS, {IMAGES: images.numpy()}), network(images / 255))


@pytest.mark.few(1)
@pytest.mark.parametrize("name", NETWORKS)
def test_golden_networks(name):
    network = load_reference(f"tests/golden/{name}/reference.pt").to_integer()
    images = golden_input(name, torch.float32)
    seen = network.input or EventInput.of("gen1-published")
    made = session(network, seen, tuple(images.shape[-2:]), batch=images.shape[-4])
    given = (images * 255).round().to(torch.uint8)
    assert_same(made.run(LOGITS, {IMAGES: given.numpy()}), network(given / 255))


def test_frames_with_numbers_below_zero_and_beyond_a_byte():
    seen = EventInput.of("counts", timesteps=2)
    network = lively("t-gen1", dtype=torch.float32, in_channels=2, input_levels=1, input=seen).to_integer()
    frames = torch.randint(-300, 300, (2, 1, 2, 64, 64)).float()
    made = session(network, seen, (64, 64))
    assert_same(made.run(LOGITS, {IMAGES: frames.numpy()}), network(frames))


def test_a_stream_in_parts():
    seen = EventInput.of("counts", timesteps=2)
    network = lively("t-gen1", dtype=torch.float32, in_channels=2, input_levels=1, input=seen).to_integer()
    made = session(network, seen, (64, 64), streaming=True)
    names = [value.name for value in made.get_inputs() if value.name != IMAGES]
    state = {value.name: np.zeros(value.shape, np.int32) for value in made.get_inputs() if value.name != IMAGES}
    frames = torch.randint(0, 4, (4, 1, 2, 64, 64)).float()
    together, own = [], NeuronState()
    for step in frames:
        outputs = [*LOGITS, *(name.replace(STATE, NEW_STATE) for name in names)]
        found = made.run(outputs, {IMAGES: step[None].numpy(), **state})
        state = dict(zip(names, found[3:], strict=True))
        together.append(found[:3])
        logits, own = network(step[None], own)
        assert_same(found[:3], logits)
    for name, potentials in own.items():
        np.testing.assert_array_equal(state[STATE + name], potentials.numpy())
