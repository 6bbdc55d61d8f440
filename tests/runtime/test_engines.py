"""The engine that a model in PyTorch is given to: which is taken, that it finds the same, and what is refused."""

import importlib.util
import json
from collections import Counter

import pytest
import torch
from tests.helpers.exported import finding, pixels
from tests.helpers.networks import lively

from spikeyolo import SpikeYOLO
from spikeyolo.cli.main import main
from spikeyolo.data.open import open_data
from spikeyolo.errors import ConfigError, MissingPackage, ShapeError
from spikeyolo.events import EventInput
from spikeyolo.exporting import engines
from spikeyolo.exporting.configs import OnnxConfig
from spikeyolo.exporting.describe import describe
from spikeyolo.exporting.engines import in_engine
from spikeyolo.exporting.graph import read_graph
from spikeyolo.exporting.onnx_format import build_onnx
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.imaging.io import write_rgb
from spikeyolo.runtime.openvino_session import openvino_core
from spikeyolo.runtime.openvino_stream import OpenVinoStream

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")

SIZE = ImageInput((64, 96))


@pytest.fixture(scope="module")
def network(shapes):
    return finding(input=SIZE, names=open_data(shapes).names)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_an_engine_by_name_finds_the_same(engine, network):
    detector = in_engine(network, SIZE, engine, images=1)
    assert detector.engine.startswith(f"{engine} ")
    images = [pixels(50, 70), pixels(64, 96, 1)]
    for ours, theirs in zip(detector.predict(images), network.predict(images), strict=True):
        assert len(ours) == len(theirs) > 0
        assert torch.equal(ours.labels, theirs.labels)
        torch.testing.assert_close(ours.boxes, theirs.boxes, rtol=0, atol=5e-3)


def test_auto_weighs_what_it_costs(network, monkeypatch):
    assert in_engine(network, SIZE, "auto", images=1) is network
    assert in_engine(network, SIZE, "torch") is network
    assert in_engine(network, SIZE, "auto").engine.startswith("openvino ")
    large = SpikeYOLO("t")
    assert not engines._worth_it(large, (640, 640), 0)
    assert engines._worth_it(large, (640, 640), 4)


def test_auto_takes_what_is_installed(network, monkeypatch):
    for missing, taken in (
        ({"onnxruntime"}, "openvino "),
        ({"openvino"}, "torch "),  # ONNX Runtime finds the same less often
        ({"onnx"}, "torch "),
    ):
        monkeypatch.setattr(engines, "find_spec", lambda name, missing=missing: name not in missing or None)
        assert in_engine(network, SIZE, "auto").engine.startswith(taken)
    with pytest.raises(MissingPackage, match="onnx is not installed"):
        in_engine(network, SIZE, "openvino")
    assert importlib.util.find_spec("onnx")


SEEN = EventInput.of("counts", timesteps=2, window_us=40_000)


def counts_of(steps, seed):
    """Event frames (T, 1, 2, 32, 64)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 4, (steps, 1, 2, 32, 64), generator=generator, dtype=torch.int8)


@pytest.mark.parametrize("engine", ["auto", "onnxruntime"])
def test_windows_of_events_give_the_same_in_an_engine(engine):
    model = lively("t", dtype=torch.float32, num_classes=2, input=SEEN, **SEEN.network_fields).fold()
    detector = in_engine(model, SEEN, engine, sensor_size_hw=(30, 64))
    assert detector.engine.startswith("openvino " if engine == "auto" else "onnxruntime ")
    counts = counts_of(2, seed=0)
    with torch.inference_mode():
        ours, theirs = (one.look(one.prepare(counts))[0] for one in (detector, model))
    for our, their in zip(ours, theirs, strict=True):  # counts beside a threshold may differ
        assert float(torch.corrcoef(torch.stack([our.flatten(), their.flatten()]))[0, 1]) > 0.99


@pytest.mark.parametrize("neuron", ["coco", "gen1"])
def test_a_stream_in_openvino_is_pytorchs_bit_for_bit_where_no_sum_is_rounded(neuron):
    how = {"neuron": neuron, "num_classes": 2, "input": SEEN, **SEEN.network_fields}
    model = lively("t", dtype=torch.float32, **how).to_spike_driven()
    how = {"outputs": "logits", "streaming": True}
    artefact = describe(model, SEEN, size_hw=(32, 64), **how)
    written = build_onnx(read_graph(model), OnnxConfig(dense=True, **how), artefact)
    network = openvino_core().read_model(written.SerializeToString())
    stream, state, ours = OpenVinoStream(network, artefact, "the model"), {}, {}
    for step in range(4):
        counts = counts_of(1, seed=step)
        found, ours = stream.run(stream.prepare(counts.numpy()), ours)
        with torch.inference_mode():
            logits, state = model.look(model.prepare(counts), state)
        assert list(found) == ["logits8", "logits16", "logits32"]
        for our, their in zip(found.values(), logits, strict=True):
            assert torch.equal(torch.from_numpy(our), their)


def test_potentials_in_openvino_are_not_turned_round_in_every_step():
    model = lively("t", dtype=torch.float32, num_classes=2, input=SEEN, **SEEN.network_fields).fold()
    detector = in_engine(model, SEEN, "openvino", sensor_size_hw=(240, 304), carry=True)
    operators = detector.inferencer.session._compiled.get_runtime_model().get_ordered_ops()
    kinds = Counter(operator.get_rt_info()["layerType"].astype(str) for operator in operators)
    assert kinds["MemoryInput"] > 80
    assert kinds["Reorder"] < 10  # of what comes in and goes out


def test_a_stream_in_openvino_goes_on_from_its_last_run_alone():
    model = lively("t", dtype=torch.float32, num_classes=2, input=SEEN, **SEEN.network_fields).fold()
    detector = in_engine(model, SEEN, "openvino", sensor_size_hw=(32, 64), carry=True)
    counts = detector.prepare(counts_of(1, seed=0))
    first, state = detector.look(counts, {})
    second, later = detector.look(counts, state)
    assert not torch.equal(first[0], second[0])
    with pytest.raises(ShapeError, match="not that of the last run"):
        detector.look(counts, state)
    again, _ = detector.look(counts, {})
    assert torch.equal(first[0], again[0])  # from rest
    assert later != state


def test_what_only_pytorch_runs(network):
    seen = EventInput.of("counts", timesteps=2)
    of_events = SpikeYOLO("t", num_classes=2, input=seen, **seen.network_fields)
    for model, its, said in (
        (of_events, seen, "models of images"),
        (
            network.to_spike_driven() if network.form == "dense" else SpikeYOLO("t").to_spike_driven(),
            SIZE,
            "spike-driven",
        ),
        (SpikeYOLO("t").double(), SIZE, "float64"),
    ):
        assert in_engine(model, its, "auto") is model
        with pytest.raises(ConfigError, match=f"engine: openvino runs .*{said}|engine: openvino runs {said}"):
            in_engine(model, its, "openvino")


@pytest.mark.long
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_on_the_command_line(engine, network, shapes, tmp_path, capsys):
    network.save(tmp_path / "network.safetensors")
    weights = ["--weights", str(tmp_path / "network.safetensors")]
    numbers = []
    for chosen in (engine, "torch"):
        file = str(tmp_path / f"{chosen}.json")
        words = ["--data", str(shapes), "--workers", "0", "--engine", chosen, "--json", file, "--device", "cpu"]
        assert main(["val", *weights, *words]) == 0
        numbers.append(json.loads((tmp_path / f"{chosen}.json").read_text()))
    assert numbers[0]["engine"].startswith(f"{engine} ")
    assert numbers[0]["AP"] == pytest.approx(numbers[1]["AP"], abs=1e-3)
    assert f"computed by {engine} " in capsys.readouterr().out
    write_rgb(tmp_path / "a.png", pixels(50, 70))
    words = ["--source", str(tmp_path / "a.png"), "--out", str(tmp_path / "out"), "--device", "cpu", "--imgsz", "96"]
    assert main(["predict", *weights, *words, "--engine", engine]) == 0
    assert f"computed by {engine} " in capsys.readouterr().out
    assert main(["predict", *weights, *words, "--overwrite"]) == 0  # a single image is not worth it
    assert "computed by torch " in capsys.readouterr().out
    for options, said in (
        (["--engine", engine, "--fold", "false"], "runs folded models"),
        (["--provider", "CPUExecutionProvider"], "provider: for an exported .onnx"),
        (["--threads", "0"], "threads: 0 is below 1"),
    ):
        assert main(["predict", *weights, *words, "--overwrite", *options]) == 1
        assert said in capsys.readouterr().err


def test_threads_are_those_of_pytorch_and_of_its_engine(network, tmp_path, monkeypatch):
    network.save(tmp_path / "network.safetensors")
    write_rgb(tmp_path / "a.png", pixels(50, 70))
    before, seen = torch.get_num_threads(), []
    monkeypatch.setattr(engines, "read_graph", lambda model: seen.append(torch.get_num_threads()) or read_graph(model))
    words = ["--weights", str(tmp_path / "network.safetensors"), "--source", str(tmp_path / "a.png"), "--imgsz", "96"]
    try:
        how = ["--device", "cpu", "--engine", "onnxruntime", "--threads", "3", "--out", str(tmp_path / "out")]
        assert main(["predict", *words, *how]) == 0
    finally:
        torch.set_num_threads(before)
    assert seen == [3]
