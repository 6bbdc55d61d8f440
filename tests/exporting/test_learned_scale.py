"""Networks with learned scales in every format: equal to the network in PyTorch, as other networks are."""

import json

import numpy as np
import pytest
import torch
from tests.exporting.test_exact_float import ENGINES, runner
from tests.exporting.test_int8 import FLAVOURS, assert_equal, exported
from tests.exporting.test_int8 import session as int8_session
from tests.exporting.test_integer_onnx import session as integer_session
from tests.exporting.test_openvino import runner as openvino_runner
from tests.helpers.chip_packages import written
from tests.helpers.exported import write_onnx
from tests.helpers.int8 import emulated
from tests.helpers.networks import lively

from spikeyolo.artefact import IMAGES, LOGITS, NEW_STATE, STATE
from spikeyolo.events import EventInput
from spikeyolo.exporting.configs import OpenVinoConfig, QonnxConfig
from spikeyolo.exporting.graph import Convolution, Unit
from spikeyolo.exporting.job import Job
from spikeyolo.exporting.manifest import SCHEMA
from spikeyolo.exporting.neurons import Neuron
from spikeyolo.exporting.onnx_builder import Builder
from spikeyolo.exporting.onnx_int8 import QdqArithmetic
from spikeyolo.exporting.onnx_network import FloatArithmetic
from spikeyolo.exporting.write_qonnx import write as write_qonnx
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.model.forms.spike_driven import run_on_slots
from spikeyolo.runtime.openvino_session import openvino_core
from spikeyolo.runtime.reference import MANIFEST, Network, PackageError, compare
from spikeyolo.spiking import NeuronState, scale_in_use
from spikeyolo.spiking.comparing import least_potentials

onnxruntime = pytest.importorskip("onnxruntime")
FRAMES = EventInput.of("counts", timesteps=2)
KINDS = ("layer", "channel")
CASES = [
    ("layer", 1, "coco"),
    ("channel", 2, "gen1"),
    pytest.param("layer", 4, "gen1", marks=pytest.mark.long),
    pytest.param("channel", 1, "coco", marks=pytest.mark.long),
]


def scaled(kind, timesteps=1, neuron="coco", **changes):
    settings = {"num_classes": 3, "max_count": 5, "input": ImageInput(), "learned_scale": kind, **changes}
    return lively("t", dtype=torch.float32, timesteps=timesteps, neuron=neuron, **settings)


def pixels(batch=1, rows=64, columns=96):
    return torch.randint(0, 256, (batch, 3, rows, columns), dtype=torch.uint8)


@pytest.mark.long
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("kind", "timesteps", "neuron"), CASES)
def test_exact_float32_is_the_spike_driven_network_bit_for_bit(kind, timesteps, neuron, engine, tmp_path):
    network = scaled(kind, timesteps, neuron).to_spike_driven()
    run_on_slots(network, on_slots=False)
    images = pixels(2)
    _, run = runner(engine, network, (64, 96), tmp_path, outputs="logits", batch=2)
    found = run({IMAGES: images.numpy()})
    for name, own in zip(LOGITS, network(images / 255), strict=True):
        np.testing.assert_array_equal(found[name], own.numpy())


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("arithmetic", [FloatArithmetic, QdqArithmetic])
def test_ties_and_their_neighbours_behind_a_convolution(arithmetic, engine):
    """Potentials are the sum of two parts: a runtime that moved 1 / s into the weights would round each by itself."""
    pytest.importorskip(engine)
    scales = scale_in_use(torch.empty(16).uniform_(0.05, 8)).view(-1, 1, 1)
    least = least_potentials(scales, 63)  # (63, 16, 1, 1)
    below = torch.nextafter(least, torch.tensor(-torch.inf))
    h = torch.cat([least, below, torch.full_like(below[:1], -5.0), least[-1:] * 9]).permute(3, 1, 2, 0).contiguous()
    build, neuron = Builder(), Neuron("n", 63, scale=tuple(scales.flatten().tolist()))
    how = arithmetic(build, np.uint8 if arithmetic is QdqArithmetic else np.float32, False)
    coarse = (h * 2.0**4).round() / 2**4
    parts = torch.stack([coarse, h - coarse], dim=2).flatten(1, 2)  # of each channel one after the other
    assert torch.equal(parts[:, ::2] + parts[:, 1::2], h)
    x = build.input("x", np.float32, list(parts.shape))
    sums = Convolution(np.ones((16, 2, 1, 1)), np.zeros(16), (1, 1), (0, 0), 16)
    build.output("y", how.fire(how.convolve(x, Unit("u", ("x",), None, (sums,))), neuron), np.float32, h.shape)
    content = build.model("m", {}, "0").SerializeToString()
    if engine == "onnxruntime":
        (found,) = onnxruntime.InferenceSession(content).run(None, {"x": parts.numpy()})
    else:
        core = openvino_core()
        made = core.compile_model(core.read_model(content, b""), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        found = made({"x": parts.numpy()})["y"]
    row = [*range(1, 64), *range(63), 0, 63]
    np.testing.assert_array_equal(found[0, :, 0], np.tile(np.array(row, np.float32), (16, 1)))


@pytest.mark.few(1)
@pytest.mark.parametrize(("kind", "timesteps", "neuron"), CASES)
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_separable_onnx_is_the_folded_network(kind, timesteps, neuron, precision, tmp_path):
    dtype = getattr(torch, precision)
    network = scaled(kind, timesteps, neuron).fold()
    images = pixels()
    path = write_onnx(tmp_path / "n.onnx", network, (64, 96), outputs="logits", precision=precision)
    made = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    expected = network.to(dtype)(images.to(dtype) / 255)
    # In half precision sums are rounded in another order, and some counts are others.
    assert_equal(made.run(LOGITS, {IMAGES: images.numpy()}), expected, 1e-3 if dtype is torch.float32 else 1.0)


@pytest.mark.long
def test_openvino_in_float32_is_the_folded_network(tmp_path):
    network = scaled("channel", 2).fold()
    images = pixels()
    run = openvino_runner(network, OpenVinoConfig(outputs="logits"), tmp_path)
    found = run({IMAGES: images.numpy()})
    assert_equal([found[name] for name in LOGITS], network(images / 255), 1e-3)


@pytest.mark.few(1)
@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize(("kind", "timesteps", "neuron"), CASES)
def test_int8_is_the_network_with_rounded_weights(kind, timesteps, neuron, flavour):
    network = scaled(kind, timesteps, neuron).fold()
    images = pixels()
    made = int8_session(exported(network, FLAVOURS[flavour]))
    assert_equal(made.run(LOGITS, {IMAGES: images.numpy()}), emulated(network)(images.double() / 255))


@pytest.mark.long
def test_int8_of_openvino_is_the_network_with_rounded_weights(tmp_path):
    network = scaled("layer").fold()
    images = pixels()
    run = openvino_runner(network, OpenVinoConfig(precision="int8", outputs="logits"), tmp_path)
    found = run({IMAGES: images.numpy()})
    assert_equal([found[name] for name in LOGITS], emulated(network)(images.double() / 255))


@pytest.mark.few(1)
@pytest.mark.parametrize(("kind", "timesteps", "neuron"), CASES)
def test_integer_onnx_is_the_integer_network_bit_for_bit(kind, timesteps, neuron):
    network = scaled(kind, timesteps, neuron).to_integer("binary")
    images = pixels()
    made = integer_session(network, ImageInput(), (64, 96))
    for one, own in zip(made.run(LOGITS, {IMAGES: images.numpy()}), network(images / 255), strict=True):
        np.testing.assert_array_equal(one, own.numpy())


@pytest.mark.few(1)
@pytest.mark.parametrize("kind", KINDS)
def test_streams_carry_the_potentials(kind, tmp_path):
    network = scaled(kind, 2, "gen1", in_channels=2, input=FRAMES).to_spike_driven()
    run_on_slots(network, on_slots=False)
    path = write_onnx(tmp_path / "n.onnx", network, (64, 96), outputs="logits", streaming=True)
    made = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    state = {value.name: np.zeros(value.shape, np.float32) for value in made.get_inputs() if value.name != IMAGES}
    own = NeuronState()
    for _ in range(2):
        frames = torch.randint(0, 4, (1, 1, 2, 64, 96)).float()
        logits, own = network(frames, own)
        wanted = [*LOGITS, *(name.replace(STATE, NEW_STATE) for name in state)]
        found = made.run(wanted, {IMAGES: frames.numpy(), **state})
        assert_equal(found[:3], logits, 0)
        state = dict(zip(state, found[3:], strict=True))


@pytest.mark.long
@pytest.mark.parametrize(("kind", "timesteps"), [("layer", 1), ("channel", 2)])
def test_a_chip_package_says_thresholds_and_resets_of_its_layers(kind, timesteps, tmp_path):
    jsonschema = pytest.importorskip("jsonschema")
    network = scaled(kind, timesteps, max_count=63)
    folder = written(tmp_path / "chip", network, pixels(rows=32, columns=32) / 255)
    manifest = json.loads((folder / MANIFEST).read_text())
    jsonschema.validate(manifest, json.loads((folder / SCHEMA).read_text()))
    assert compare(folder) == compare(folder, slots=True) == len(manifest["layers"])
    layer = next(layer for layer in manifest["layers"] if "scales" in layer)
    scales = layer["in"]["channels"] if kind == "channel" else 1
    tensors = Network(folder).tensors
    reset = tensors[f"{layer['name']}.reset"]
    assert layer["scales"] == scales == len(reset)
    # A count of 1 begins above half of what a spike takes off, a count of 2 at one and a half of it.
    first, second = tensors[f"{layer['name']}.thresholds"][:2].astype(int)
    assert (2 * first > reset).all()
    assert (2 * (first - 1) <= reset).all()
    assert (2 * second >= 3 * reset).all()
    assert (2 * (second - 1) < 3 * reset).all()
    edited = {**manifest, "layers": [{**one, "scales": 7} if one is layer else one for one in manifest["layers"]]}
    (folder / MANIFEST).write_text(json.dumps(edited))
    with pytest.raises(PackageError, match=f"{layer['name']}.thresholds: int32 .* expected"):
        Network(folder)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [pytest.param("layer", marks=pytest.mark.long), "channel"])
def test_qonnx_has_the_thresholds(kind, tmp_path):
    pytest.importorskip("qonnx")
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx

    images = pixels(rows=32, columns=32)
    job = Job(scaled(kind), ImageInput((32, 32)), (32, 32), images)
    integer = write_qonnx(job, QonnxConfig(), tmp_path / "model.onnx")
    found = execute_onnx(ModelWrapper(str(tmp_path / "model.onnx")), {IMAGES: images.float().numpy()})
    for name, logits in zip(LOGITS, integer(images / 255), strict=True):
        np.testing.assert_array_equal(found[name], logits.numpy() * 2**integer.fraction_bits)


@pytest.mark.long
def test_counts_of_63_fit_every_type(tmp_path):
    network = scaled("layer", max_count=63, learned_scale="none")
    images = pixels()
    spiking = network.to_spike_driven("binary")
    run_on_slots(spiking, on_slots=False)
    expected = spiking(images / 255)
    for engine in ENGINES:
        folder = tmp_path / engine
        folder.mkdir()
        _, run = runner(engine, spiking, (64, 96), folder, outputs="logits")
        found = run({IMAGES: images.numpy()})
        assert_equal([found[name] for name in LOGITS], expected, 0)
    integer = network.to_integer()
    found = integer_session(integer, ImageInput(), (64, 96)).run(LOGITS, {IMAGES: images.numpy()})
    assert_equal(found, integer(images / 255), 0)
    folded = network.fold()
    for config in FLAVOURS.values():
        found = int8_session(exported(folded, config)).run(LOGITS, {IMAGES: images.numpy()})
        assert_equal(found, emulated(folded)(images.double() / 255), 1e-3)
