"""Exported networks in each runtime beside the network in PyTorch."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from tests.helpers.exported import finding, pixels, write_either, write_onnx
from tests.helpers.memory import assert_memory_stays

from spikeyolo.detection.postprocess import Thresholds, postprocess
from spikeyolo.errors import ConfigError, DataError, MissingPackage, ShapeError
from spikeyolo.events import EventInput
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.imaging.io import write_rgb
from spikeyolo.placement import Placement
from spikeyolo.runtime import Inferencer
from spikeyolo.spiking import NeuronState

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")

ENGINES = ("onnxruntime", "openvino")
SIZE = (64, 96)
IMAGES = [pixels(70, 50), pixels(64, 96, 1), pixels(20, 200, 2)]


@pytest.fixture(scope="module")
def network():
    return finding(input=ImageInput(SIZE), names=("a", "b", "c"))


def of_events(timesteps=2, **changes):
    seen = EventInput.of("counts", timesteps=timesteps)
    return finding(num_classes=2, input=seen, **seen.network_fields, **changes)


def frames(timesteps, batch=1, size_hw=SIZE):
    return np.random.default_rng(0).poisson(0.5, (timesteps, batch, 2, *size_hw)).astype(np.float32)


def assert_same(found, expected):
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.boxes.dtype, ours.scores.dtype, ours.labels.dtype) == (np.float32, np.float32, np.int64)
        assert len(ours) == len(theirs) > 0
        assert np.array_equal(ours.labels, theirs.labels.numpy())
        np.testing.assert_allclose(ours.boxes, theirs.boxes.numpy(), rtol=0, atol=2e-3)
        np.testing.assert_allclose(ours.scores, theirs.scores.numpy(), rtol=0, atol=1e-4)


def test_no_torch_is_imported():
    program = "import sys; from spikeyolo.runtime import Inferencer; print(sorted({'torch', 'cv2'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("engine", ENGINES)
def test_no_torch_is_used(engine, network, tmp_path):
    path = write_either(engine, tmp_path, network, SIZE)
    write_rgb(tmp_path / "image.png", IMAGES[0])
    program = (
        "import sys; from spikeyolo.runtime import Inferencer; "
        f"print(len(Inferencer({str(path)!r}).predict({str(tmp_path / 'image.png')!r}, conf=0.01)[0])); "
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 0


@pytest.mark.few(3)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"outputs": "logits"},
        {"batch": 2},
        {"batch": 2, "outputs": "logits"},
        {"dynamic_batch": True, "dynamic_size": True},
        {"preprocessing": False},
        {"outputs": "detections", "thresholds": Thresholds(0.2)},
    ],
    ids=str,
)
def test_images(engine, choices, network, tmp_path):
    inferencer = Inferencer(write_either(engine, tmp_path, network, SIZE, **choices), threads=1)
    assert inferencer.names == ("a", "b", "c")
    assert engine in inferencer.engine
    assert_same(inferencer.predict(IMAGES), network.predict(IMAGES))
    assert_same(inferencer.predict(IMAGES[0], conf=0.4, max_det=5), network.predict(IMAGES[0], conf=0.4, max_det=5))
    assert inferencer.predict([]) == []


def test_files(network, tmp_path):
    inferencer = Inferencer(write_onnx(tmp_path / "network.onnx", network, SIZE))
    paths = [tmp_path / "a.png", str(tmp_path / "b.png")]
    for path, image in zip(paths, IMAGES, strict=False):
        write_rgb(path, image)
    assert_same(inferencer.predict(paths), network.predict(paths))
    with pytest.raises(DataError, match=r"missing\.png"):
        inferencer.predict(tmp_path / "missing.png")


@pytest.mark.parametrize("engine", ENGINES)
def test_half_precision(engine, network, tmp_path):
    inferencer = Inferencer(write_either(engine, tmp_path, network, SIZE, precision="float16"))
    found, expected = inferencer.predict(IMAGES[0])[0], network.predict(IMAGES[0])[0]
    assert found.boxes.dtype == np.float32
    assert len(found) == pytest.approx(len(expected), rel=0.3)


@pytest.mark.few(1)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("outputs", ["boxes", "logits"])
def test_windows_of_events(engine, outputs, tmp_path):
    model = of_events()
    inferencer = Inferencer(write_either(engine, tmp_path, model, SIZE, outputs=outputs))
    images = frames(2, batch=3)
    places = [Placement(SIZE)] * 3
    with torch.no_grad():
        expected = postprocess(model(torch.from_numpy(images)), Thresholds(), places)
    assert_same(inferencer.detections(inferencer.run(images)[0], Thresholds(), places), expected)


@pytest.mark.few(1)
@pytest.mark.parametrize("engine", ENGINES)
def test_streams(engine, tmp_path):
    model = of_events()
    inferencer = Inferencer(write_either(engine, tmp_path, model, SIZE, streaming=True, outputs="logits"))
    images, state, theirs = frames(5), {}, NeuronState()
    for frame in images:
        found, state = inferencer.run(frame[None], state)
        with torch.no_grad():
            expected, theirs = model(torch.from_numpy(frame[None]), theirs)
        assert state.keys() == theirs.keys()
        for name, level in zip(("logits8", "logits16", "logits32"), expected, strict=True):
            np.testing.assert_allclose(found[name], level.numpy(), rtol=0, atol=1e-4)
    whole = inferencer.run(images[:2])[0]  # from rest, a timestep after the other
    with torch.no_grad():
        expected = model(torch.from_numpy(images[:2]))
    np.testing.assert_allclose(whole["logits8"], expected[0].numpy(), rtol=0, atol=1e-4)


def test_an_image_shown_to_a_stream_is_shown_t_times(tmp_path):
    model = finding(num_classes=2, timesteps=3, input=ImageInput(SIZE))
    inferencer = Inferencer(write_onnx(tmp_path / "a.onnx", model, SIZE, streaming=True, outputs="logits"))
    assert_same(inferencer.predict(IMAGES), model.predict(IMAGES))
    boxes = Inferencer(write_onnx(tmp_path / "b.onnx", model, SIZE, streaming=True))
    with pytest.raises(ConfigError, match="--outputs logits"):
        boxes.predict(IMAGES)


@pytest.mark.parametrize("engine", ENGINES)
def test_two_threads_at_once(engine, network, tmp_path):
    inferencer = Inferencer(write_either(engine, tmp_path, network, SIZE), threads=1)
    images = [pixels(*SIZE, seed) for seed in range(16)]
    alone = [inferencer.predict(image, conf=0.1)[0] for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = [found[0] for found in pool.map(lambda image: inferencer.predict(image, conf=0.1), images * 3)]
    for found, expected in zip(together, alone * 3, strict=True):
        assert np.array_equal(found.boxes, expected.boxes)
        assert np.array_equal(found.scores, expected.scores)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_result_stays_as_it_is_when_the_next_run_begins(engine, network, tmp_path):
    inferencer = Inferencer(write_either(engine, tmp_path, network, SIZE))
    images = np.stack([pixels(*SIZE, seed).transpose(2, 0, 1) for seed in range(2)])
    first = inferencer.run(images[:1])[0]["boxes"]
    kept = first.copy()
    inferencer.run(images[1:])
    assert np.array_equal(first, kept)


def test_what_a_network_does_not_take_is_one_line(network, tmp_path):
    path = write_onnx(tmp_path / "network.onnx", network, SIZE)
    inferencer = Inferencer(path)
    with pytest.raises(ConfigError, match=r"imgsz: .*network\.onnx takes 64 x 96 pixels, fixed when"):
        inferencer.predict(IMAGES, imgsz=64)
    with pytest.raises(ConfigError, match=r"32 x 32 pixels; .* takes 64 x 96"):
        inferencer.run(np.zeros((1, 3, 32, 32), np.uint8))
    with pytest.raises(ConfigError, match=r"carry: .* keeps no membrane potentials"):
        inferencer.run(np.zeros((1, 3, *SIZE), np.uint8), {})
    with pytest.raises(ShapeError, match=r"expected \(B, C, H, W\) with C = 3, got \(2, 1, 3, 64, 96\)"):
        inferencer.run(np.zeros((2, 1, 3, *SIZE), np.uint8))
    with pytest.raises(ShapeError, match="takes uint8, got float32"):
        inferencer.run(np.zeros((1, 3, *SIZE), np.float32))
    with pytest.raises(ShapeError, match="int64"):
        inferencer.run(np.zeros((1, 3, *SIZE), np.int64))
    with pytest.raises(ConfigError, match="conf"):
        inferencer.predict(IMAGES, conf=2)


def test_a_network_of_events_refuses_images_and_other_times(tmp_path):
    inferencer = Inferencer(write_onnx(tmp_path / "network.onnx", of_events(), SIZE))
    with pytest.raises(ConfigError, match="the model sees recordings, the data are images"):
        inferencer.predict(IMAGES)
    with pytest.raises(ShapeError, match="T = 3, the network has timesteps=2"):
        inferencer.run(frames(3))


def test_a_state_of_another_size_is_refused(tmp_path):
    model = of_events()
    inferencer = Inferencer(write_onnx(tmp_path / "network.onnx", model, SIZE, streaming=True, outputs="logits"))
    _, state = inferencer.run(frames(1), {})
    name = next(iter(state))
    with pytest.raises(ShapeError, match=f"state: {name} of shape"):
        inferencer.run(frames(1), {**state, name: state[name][..., :1]})
    with pytest.raises(ShapeError, match=r"B = 2, .* streams 1 at once"):
        inferencer.run(frames(1, batch=2), {})


@pytest.mark.parametrize(
    ("engine", "options", "said"),
    [
        ("onnxruntime", {"threads": 0}, "threads: 0 is below 1"),
        ("onnxruntime", {"device": "tpu"}, "device: 'tpu'; ONNX Runtime takes cpu or cuda"),
        ("onnxruntime", {"provider": "NoProvider"}, "provider: 'NoProvider' is none of this ONNX Runtime"),
        ("openvino", {"device": "npu9"}, "device: 'npu9' is none that OpenVINO finds here"),
        ("openvino", {"provider": "CPUExecutionProvider"}, "provider: of ONNX Runtime"),
    ],
)
def test_options_that_do_not_apply(engine, options, said, network, tmp_path):
    path = write_either(engine, tmp_path, network, SIZE)
    with pytest.raises(ConfigError, match=said):
        Inferencer(path, **options)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_missing_engine_names_the_extra(engine, network, tmp_path, monkeypatch):
    path = write_either(engine, tmp_path, network, SIZE)
    monkeypatch.setitem(sys.modules, engine, None)
    with pytest.raises(MissingPackage, match=rf"{engine} is not installed: pip install .*\[export\]"):
        Inferencer(path)


@pytest.mark.few(1)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("count", [60, pytest.param(2000, marks=pytest.mark.long)])
def test_memory_does_not_grow(engine, count, network, tmp_path):
    inferencer = Inferencer(write_either(engine, tmp_path, network, SIZE), threads=1)
    assert_memory_stays(inferencer, IMAGES, count, before=10)


def test_a_signal_after_openvino_has_gone_is_a_signal(tmp_path):
    """Compiling gives the thread a stack for signals; cores that go in the order they came leave one that is gone."""
    path = write_either("openvino", tmp_path, finding(num_classes=2, input=ImageInput.of(64)), (64, 64))
    program = (
        "import faulthandler, gc, signal, sys; faulthandler.enable(); \n"
        "from spikeyolo.runtime import Inferencer\n"
        "one, two = Inferencer(sys.argv[1]), Inferencer(sys.argv[1])\n"
        "del one; gc.collect(); del two; gc.collect()\n"
        "signal.signal(signal.SIGINT, lambda *_: print('heard')); signal.raise_signal(signal.SIGINT)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == "heard\n"


@pytest.mark.parametrize("kind", [np.int8, np.int16])
@pytest.mark.parametrize("engine", ENGINES)
def test_counts_in_bytes_are_the_counts_in_floating_point(engine, kind, tmp_path):
    """What a loader of recordings gives is not divided by 255, as pixels are."""
    given = Inferencer(write_either(engine, tmp_path, of_events(), SIZE))
    expected, _ = given.run(frames(2))
    found, _ = given.run(frames(2).astype(kind))
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_pixels_are_no_counts(network, tmp_path):
    given = Inferencer(write_onnx(tmp_path / "network.onnx", network, SIZE))
    with pytest.raises(ShapeError, match="got int8"):
        given.run(np.zeros((1, 3, *SIZE), np.int8))
