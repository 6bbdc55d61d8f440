"""Dense float32 exports: no sum is rounded, so that every runtime gives the bits of the spike-driven network."""

from itertools import product

import numpy as np
import pytest
import torch
from tests.helpers.exported import write_either
from tests.helpers.golden import NETWORKS, golden_input
from tests.helpers.networks import lively

from spikeyolo import load_reference
from spikeyolo.artefact import IMAGES, LOGITS, NEW_STATE, STATE
from spikeyolo.events import EventInput
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.model.forms.spike_driven import run_on_slots
from spikeyolo.spiking import NeuronState

pytest.importorskip("onnx")
ENGINES = ("onnxruntime", "openvino")
COUNTS = EventInput.of("counts", timesteps=2)


def runner(engine, path):
    """What runs the file, by named arrays."""
    pytest.importorskip(engine)
    if engine == "onnxruntime":
        import onnxruntime

        made = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        names = [value.name for value in made.get_outputs()]
        shapes = {value.name: value.shape for value in made.get_inputs()}
        return shapes, lambda given: dict(zip(names, made.run(None, given), strict=True))
    from spikeyolo.runtime.openvino_session import openvino_core

    core = openvino_core()
    made = core.compile_model(core.read_model(path / "network.xml"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    shapes = {value.get_any_name(): list(value.get_shape()) for value in made.inputs}
    return shapes, made


def check(network, images, seen, engine, folder, **choices):
    spiking = network.to_spike_driven()
    run_on_slots(spiking, binary=False)
    spiking.input = seen
    batch = images.shape[-4]
    path = write_either(engine, folder, spiking, tuple(images.shape[-2:]), outputs="logits", batch=batch, **choices)
    _, run = runner(engine, path)
    found = run({IMAGES: images.numpy()})
    expected = spiking(images / 255 if images.dtype == torch.uint8 else images)
    for name, own in zip(LOGITS, expected, strict=True):
        np.testing.assert_array_equal(found[name], own.numpy())


SHORT = {("t", 1, "coco"), ("t", 2, "coco"), ("t", 4, "gen1")}
CASES = [
    pytest.param(*case, marks=[] if case in SHORT else [pytest.mark.long])
    for case in product(("t", "n", "s"), (1, 2, 4), ("coco", "gen1"))
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("preset", "timesteps", "neuron"), CASES)
def test_images(preset, timesteps, neuron, engine, tmp_path):
    network = lively(preset, num_classes=3, dtype=torch.float32, timesteps=timesteps, neuron=neuron)
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    check(network, images, ImageInput(), engine, tmp_path)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", NETWORKS)
def test_golden_networks(name, engine, tmp_path):
    network = load_reference(f"tests/golden/{name}/reference.pt")
    images = (golden_input(name, torch.float32) * 255).round().to(torch.uint8)
    seen = network.input or EventInput.of("gen1-published")
    check(network, images, seen, engine, tmp_path)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_stream_of_counted_events(engine, tmp_path):
    spiking = lively("t-gen1", dtype=torch.float32, in_channels=2, input=COUNTS).to_spike_driven()
    run_on_slots(spiking, binary=False)
    path = write_either(engine, tmp_path, spiking, (64, 96), outputs="logits", streaming=True)
    shapes, run = runner(engine, path)
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
