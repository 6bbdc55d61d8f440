"""int8 graphs beside PyTorch with weights rounded the same way: equal, not close."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.helpers.int8 import emulated
from tests.helpers.networks import lively

from spikeyolo.artefact import IMAGES, LOGITS, NEW_STATE, STATE
from spikeyolo.errors import ConfigError
from spikeyolo.events import EventInput
from spikeyolo.exporting.calibration import calibrate
from spikeyolo.exporting.configs import OnnxConfig
from spikeyolo.exporting.describe import describe
from spikeyolo.exporting.graph import Convolution, Neuron, Unit, read_graph
from spikeyolo.exporting.onnx_builder import Builder
from spikeyolo.exporting.onnx_format import build_onnx
from spikeyolo.exporting.onnx_int8 import OperatorArithmetic, QdqArithmetic
from spikeyolo.exporting.quantise import quantise, round_weights
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.spiking import NeuronState, ilif

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

FRAMES = EventInput.of("counts", timesteps=2)
FLAVOURS = {
    "operators": OnnxConfig(precision="int8", outputs="logits"),
    "signed": OnnxConfig(precision="int8", outputs="logits", signed=True),
}
"""What OpenVINO gets has its own test, there."""


def session(model):
    onnx.checker.check_model(model, full_check=True)
    assert {domain.domain for domain in model.opset_import} == {""}
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def exported(network, config, ranges=None, seen=None):
    artefact = describe(
        network,
        seen or ImageInput(),
        size_hw=(64, 96),
        precision="int8",
        outputs="logits",
        streaming=config.streaming,
    )
    return build_onnx(read_graph(network), config, artefact, ranges)


def assert_equal(found, expected, atol=1e-4):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other.detach().numpy(), rtol=0, atol=atol)


@pytest.mark.few(4)
@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize(
    ("changes", "dense"),
    [
        ({}, False),
        ({}, True),
        ({"timesteps": 2}, False),
        ({"timesteps": 1, "neuron": "gen1", "input": ImageInput(), "max_count": 16}, False),
        ({"neuron": "relu"}, False),
    ],
    ids=str,
)
def test_logits_are_those_of_the_network_with_rounded_weights(flavour, changes, dense):
    network = lively("t", num_classes=3, dtype=torch.float32, **changes).fold(dense)
    images = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    made = session(exported(network, FLAVOURS[flavour]))
    assert_equal(made.run(LOGITS, {IMAGES: images.numpy()}), emulated(network)(images.double() / 255))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_chains_of_known_ranges_are_int8_to_their_end(flavour):
    network = lively("t", num_classes=3, dtype=torch.float32).fold()
    images = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    ranges = calibrate(network, [images / 255, torch.rand(2, 3, 64, 96)])
    chains = {unit.name for unit in read_graph(network).units if len(unit.convolutions) == 3}
    assert ranges.keys() == chains
    written = exported(network, FLAVOURS[flavour], ranges)
    floats = [unit for unit in quantise(read_graph(network), ranges).units if unit.convolutions[-1].scale is None]
    assert all(unit.neuron is None or unit.convolutions[-1].groups > 1 for unit in floats)
    expected = emulated(network, ranges)(images.double() / 255)
    assert_equal(session(written).run(LOGITS, {IMAGES: images.numpy()}), expected)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_stream_is_the_stream_of_the_network(flavour):
    network = lively("t-gen1", dtype=torch.float32, in_channels=2, input=FRAMES).fold()
    config = replace(FLAVOURS[flavour], streaming=True)
    made = session(exported(network, config, seen=FRAMES))
    state = {value.name: np.zeros(value.shape, np.float32) for value in made.get_inputs() if value.name != IMAGES}
    own, slow = NeuronState(), emulated(network)
    for _ in range(2):
        frames = torch.randint(0, 4, (1, 1, 2, 64, 96)).float()
        logits, own = slow(frames.double(), own)
        wanted = [*LOGITS, *(name.replace(STATE, NEW_STATE) for name in state)]
        found = made.run(wanted, {IMAGES: frames.numpy(), **state})
        assert_equal(found[:3], logits)
        state = dict(zip(state, found[3:], strict=True))


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("max_count", [1, 4, 16, 63])
def test_counts_are_those_of_the_neuron_at_ties_and_far_outside(flavour, max_count):
    halves = torch.arange(-20, 41) / 2
    around = torch.tensor([0.49999997, 0.50000006, 1.4999999, 1.5000001, -300.0, 300.0, 1e9, -1e9])
    h = torch.cat([halves, around])
    build, neuron = Builder(), Neuron("n", max_count)
    x = build.input("x", np.float32, [len(h)])
    operators, signed = OperatorArithmetic(build, memory=False), QdqArithmetic(build, np.int8, memory=False)
    counts = (signed if flavour == "signed" else operators).fire(x, neuron)
    build.output("y", build.cast(counts, np.float32), np.float32, [len(h)])
    (found,) = session(build.model("m", {}, "0")).run(None, {"x": h.numpy()})
    expected = ilif(h[None], decay=0.25, gain=1.0, max_count=max_count)[0]
    np.testing.assert_array_equal(found, expected.numpy())


def test_a_convolution_that_gives_counts_rounds_ties_to_even():
    """Weights in halves: every second potential is a tie."""
    generator = np.random.default_rng(0)
    weight = generator.integers(-3, 4, (8, 6, 3, 3)) / 2
    weight[:, 0, 0, 0] = 63.5  # so that the scale is 0.5
    conv = round_weights(Convolution(weight, generator.integers(-40, 40, 8) / 2, (1, 1), (1, 1), 1))
    assert (conv.scale == 0.5).all()
    counts = generator.integers(0, 5, (1, 6, 9, 9)) * (generator.random((1, 6, 9, 9)) < 0.3)
    build, neuron = Builder(), Neuron("n", 4)
    x = build.input("x", np.uint8, counts.shape)
    fired = OperatorArithmetic(build, memory=False).weigh_and_fire(x, Unit("unit", ("x",), neuron, (conv,)), neuron)
    build.output("y", fired, np.uint8, [1, 8, 9, 9])
    (found,) = session(build.model("m", {}, "0")).run(None, {"x": counts.astype(np.uint8)})
    bias = torch.from_numpy(conv.bias * conv.scale)
    h = torch.nn.functional.conv2d(
        torch.from_numpy(counts).double(), torch.from_numpy(weight), bias.double(), padding=1
    )
    assert (h % 1 == 0.5).any()
    np.testing.assert_array_equal(found, ilif(h[None], decay=0.25, gain=1.0, max_count=4)[0].numpy())


def test_weights_have_a_scale_for_each_output_and_hopeless_channels_do_no_harm():
    weight = np.random.default_rng(0).normal(size=(4, 3, 3, 3)) * np.array([1.0, 100.0, 0.0, 1e-12]).reshape(4, 1, 1, 1)
    bias = np.array([0.3, -5.0, 2.0, 7.0])
    conv = round_weights(Convolution(weight, bias, (1, 1), (1, 1), 1))
    assert (conv.weight.dtype, conv.bias.dtype, conv.scale.dtype) == (np.int8, np.int32, np.float32)
    assert np.abs(conv.weight[:2]).max(axis=(1, 2, 3)).tolist() == [127, 127]
    scale = conv.scale.reshape(-1, 1, 1, 1)
    assert (np.abs(conv.weight * scale - weight) <= 0.5001 * scale).all()
    np.testing.assert_allclose(conv.bias * conv.scale, bias, atol=0.6 * conv.scale.max())
    np.testing.assert_allclose((conv.bias * conv.scale)[2:], bias[2:], rtol=1e-6)


def test_the_integer_form_has_weights_of_its_own():
    network = lively("t", num_classes=3, dtype=torch.float32).to_integer()
    with pytest.raises(ConfigError, match="integer-onnx"):
        quantise(read_graph(network))
