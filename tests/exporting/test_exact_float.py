"""Dense float32 exports: no sum is rounded, so that every runtime gives the bits of the spike-driven network."""

from itertools import product

import numpy as np
import pytest
import torch
from tests.helpers.exported import artefact_of, write_onnx
from tests.helpers.golden import NETWORKS, golden_input
from tests.helpers.networks import lively

from spikeyolo import load_reference
from spikeyolo.artefact import IMAGES, LOGITS, NEW_STATE, STATE
from spikeyolo.events import EventInput
from spikeyolo.exporting.configs import OpenVinoConfig
from spikeyolo.exporting.graph import read_graph
from spikeyolo.exporting.openvino_format import write_openvino
from spikeyolo.exporting.quantise import in_parts
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.model.forms.spike_driven import run_on_slots
from spikeyolo.runtime.openvino_session import openvino_core
from spikeyolo.spiking import NeuronState

pytest.importorskip("onnx")
ENGINES = ("onnxruntime", "openvino")
COUNTS = EventInput.of("counts", timesteps=2)


def runner(engine, network, size_hw, folder, **choices):
    """Shapes of the inputs, and what runs the exported network, by named arrays."""
    pytest.importorskip(engine)
    if engine == "onnxruntime":
        import onnxruntime

        path = write_onnx(folder / "network.onnx", network, size_hw, **choices)
        made = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        names = [value.name for value in made.get_outputs()]
        shapes = {value.name: value.shape for value in made.get_inputs()}
        return shapes, lambda given: dict(zip(names, made.run(None, given), strict=True))
    config = OpenVinoConfig(**choices)
    write_openvino(read_graph(network), config, artefact_of(network, config, size_hw), folder)
    core = openvino_core()
    made = core.compile_model(core.read_model(folder / "network.xml"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return {value.get_any_name(): list(value.get_shape()) for value in made.inputs}, made


def check(network, images, seen, engine, folder):
    spiking = network.to_spike_driven()
    run_on_slots(spiking, on_slots=False)
    spiking.input = seen
    size_hw = tuple(images.shape[-2:])
    _, run = runner(engine, spiking, size_hw, folder, outputs="logits", batch=images.shape[-4])
    found = run({IMAGES: images.numpy()})
    expected = spiking(images / 255 if images.dtype == torch.uint8 else images)
    for name, own in zip(LOGITS, expected, strict=True):
        np.testing.assert_array_equal(found[name], own.numpy())


SHORT = {("t", 1, "coco"), ("t", 4, "gen1")}
CASES = [
    pytest.param(*case, marks=[] if case in SHORT else [pytest.mark.long])
    for case in product(("t", "n", "s"), (1, 2, 4), ("coco", "gen1"))
]


@pytest.mark.long
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("preset", "timesteps", "neuron"), CASES)
def test_images(preset, timesteps, neuron, engine, tmp_path):
    network = lively(preset, num_classes=3, dtype=torch.float32, timesteps=timesteps, neuron=neuron)
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    check(network, images, ImageInput(), engine, tmp_path)


@pytest.mark.few(1)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", NETWORKS)
def test_golden_networks(name, engine, tmp_path):
    network = load_reference(f"tests/golden/{name}/reference.pt")
    images = (golden_input(name, torch.float32) * 255).round().to(torch.uint8)
    seen = network.input or EventInput.of("gen1-published")
    check(network, images, seen, engine, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("engine", ENGINES)
def test_a_stream_of_counted_events(engine, tmp_path):
    spiking = lively("t-gen1", dtype=torch.float32, in_channels=2, input=COUNTS).to_spike_driven()
    run_on_slots(spiking, on_slots=False)
    shapes, run = runner(engine, spiking, (64, 96), tmp_path, outputs="logits", streaming=True)
    state = {name: np.zeros(shape, np.float32) for name, shape in shapes.items() if name != IMAGES}
    own = NeuronState()
    for _ in range(3):
        frames = torch.randint(0, 4, (1, 1, 2, 64, 96)).float()
        logits, own = spiking(frames, own)
        found = run({IMAGES: frames.numpy(), **state})
        for name, expected in zip(LOGITS, logits, strict=True):
            np.testing.assert_array_equal(found[name], expected.numpy())
        state = {name: found[name.replace(STATE, NEW_STATE)].copy() for name in state}
    for name, potentials in own.items():
        np.testing.assert_array_equal(state[STATE + name], potentials.numpy())


def test_parts_are_the_whole_weights():
    graph = read_graph(lively("t", dtype=torch.float32, max_count=1).to_spike_driven())
    found = {unit.name: unit for unit in in_parts(graph).units}
    numbers = set()
    for unit in graph.units:
        ((conv,), (part,)) = unit.convolutions, found[unit.name].convolutions
        if unit.neuron is None or conv.groups > 1:
            assert part is conv
            continue
        weight, bias, number = np.zeros(conv.weight.shape), None, 0
        while part is not None:
            assert part.weight.dtype == np.int8
            assert (np.log2(part.scale) % 1 == 0).all()
            weight += part.weight * part.scale.astype(np.float64).reshape(-1, 1, 1, 1)
            bias = part.bias * part.scale if part.bias is not None else bias
            part, number = part.more, number + 1
        np.testing.assert_array_equal(weight, conv.weight)
        np.testing.assert_array_equal(bias, conv.bias)
        numbers.add(number)
    assert numbers <= {2, 3}
