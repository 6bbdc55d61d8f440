"""`spikeyolo export` and the function behind it: what is written, what is said, what is refused."""

import copy
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from tests.helpers.images import write_image
from tests.helpers.networks import lively

from spikeyolo.cli.main import main
from spikeyolo.errors import ConfigError, MissingPackage, WriteError
from spikeyolo.events import EventInput
from spikeyolo.exporting.export import export
from spikeyolo.exporting.parity import share_of_same
from spikeyolo.exporting.registry import FORMATS, chosen, find_format
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.runtime import Inferencer
from spikeyolo.structures import Detections


@pytest.fixture(scope="module")
def model():
    return lively("t", num_classes=3, dtype=torch.float32, input=ImageInput.of(64))


@pytest.fixture
def weights(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model.save("best.safetensors")
    return tmp_path


def test_the_command_says_what_was_written_and_how_close_it_comes(weights, capsys):
    assert main(["export", "--weights", "best.safetensors", "--precision", "float32"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("written to best-onnx.onnx: onnx, 7.0 MB")
    assert said[1].startswith("beside PyTorch: 3 samples: largest difference boxes ")
    assert Inferencer("best-onnx.onnx").artefact.size_hw == (64, 64)


@pytest.mark.few(2)
# A page fetches its runtime: see test_web.py.
@pytest.mark.parametrize("format", [name for name, entry in FORMATS.items() if entry.runs and name != "web"])
def test_a_format_is_measured_beside_the_network_it_equals(model, tmp_path, format):
    found = export(model, format, tmp_path / f"out{FORMATS[format].suffix}")
    assert found.parity.samples == 3
    assert found.parity.same == 1.0
    assert max(found.parity.largest.values()) < 1e-3
    assert found.size > 2e6


@pytest.mark.few(2)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("dense", [False, True])
def test_weights_of_any_precision_are_written_in_float32(model, tmp_path, dtype, dense):
    other = copy.deepcopy(model).to(dtype)
    found = export(other, "onnx", tmp_path / "out.onnx", dense=dense, outputs="logits")
    assert other.dtype == dtype  # the caller's stays as it is
    assert found.parity.largest["logits"] < 1e-3
    image = np.random.default_rng(0).integers(0, 256, (1, 3, 64, 64), dtype=np.uint8)
    logits, _ = Inferencer(found.path).run(image)
    assert all(np.isfinite(level).all() and level.std() > 0.01 for level in logits.values())


@pytest.mark.long
def test_a_folder_of_the_same_format_is_replaced_if_the_user_says_so(model, tmp_path):
    for format in ("openvino", "integer"):
        export(model, format, tmp_path / format)
        with pytest.raises(WriteError, match="holds files already"):
            export(model, format, tmp_path / format)
        found = export(model, format, tmp_path / format, overwrite=True)
        assert {file.name for file in found.path.iterdir()} == set(FORMATS[format].files)


def test_samples_and_another_size(weights, capsys):
    write_image(weights / "a.jpg", 100, 80)
    words = "export --weights best.safetensors --out a.onnx --imgsz 96 --samples a.jpg --outputs logits --dense"
    assert main(words.split()) == 0
    assert "1 samples: largest difference logits" in capsys.readouterr().out
    artefact = Inferencer("a.onnx").artefact
    assert (artefact.size_hw, artefact.form, artefact.outputs) == ((96, 96), "spike-driven", "logits")
    assert artefact.input == {"kind": "images", "size_hw": [96, 96]}


def test_samples_are_named_as_sources_of_predict_are(weights, capsys):
    (weights / "images").mkdir()
    for name in ("a", "b"):
        write_image(weights / "images" / f"{name}.jpg", 100, 80)
    for number, source in enumerate(["images", "images/*.jpg", "im*/b.jpg"]):
        words = f"export --weights best.safetensors --out {number}.onnx --imgsz 64 --outputs logits --samples {source}"
        assert main(words.split()) == 0
        assert f"{1 if 'b' in source else 2} samples: " in capsys.readouterr().out


def test_recordings_need_the_sensor_and_stream(tmp_path):
    seen = EventInput.of("counts", timesteps=2)
    model = lively("t-gen1", dtype=torch.float32, in_channels=2, input=seen)
    with pytest.raises(ConfigError, match="give --sensor ROWS COLUMNS"):
        export(model, "onnx", tmp_path / "a.onnx")
    write_image(tmp_path / "a.jpg", 100, 80)
    with pytest.raises(ConfigError, match="samples: for networks of images"):
        export(model, "onnx", tmp_path / "a.onnx", sensor=[60, 70], samples=[tmp_path / "a.jpg"])
    found = export(model, "onnx", tmp_path / "a.onnx", sensor=[60, 70], streaming=True, outputs="logits")
    assert found.parity.largest["logits"] < 1e-3
    assert Inferencer(found.path).artefact.size_hw == (64, 96)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--format onxx", "format: no format 'onxx', did you mean 'onnx'?"),
        ("--format nir --streaming", "streaming: does not apply to nir, it is of onnx"),
        ("--format integer --precision int8", "precision: does not apply to integer"),
        ("--precision float64", "float64"),
        ("--out a.pt", "must end in .onnx"),
        ("--out best.safetensors", "must end in .onnx"),
        ("--format integer --out .", "holds best.safetensors, which this command reads"),
        ("--outputs detections --batch 4", "outputs: detections inside are of one image"),
        ("--imgsz 65", "imgsz: 65 is not a multiple of 32"),
        ("--samples no.jpg", "no.jpg"),
        ("--samples no*.jpg --out new/a.onnx", "samples: no*.jpg: nothing to look at matches this pattern"),
        ("--samples best.safetensors", "best.safetensors: nothing to look at"),
        ("--samples rtsp://camera", "samples: rtsp://camera: is no image file"),
        ("--format onnx --out there.onnx", "exists already"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(weights, capsys, words, said):
    (weights / "there.onnx").write_text("mine")
    before = sorted(path.name for path in weights.iterdir())
    assert main(["export", "--weights", "best.safetensors", *words.split()]) in (1, 2)
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1 or error.startswith("usage")
    assert sorted(path.name for path in weights.iterdir()) == before
    assert (weights / "there.onnx").read_text() == "mine"


def test_the_twin_has_no_integer_form(tmp_path):
    twin = lively("t", dtype=torch.float32, neuron="relu", input=ImageInput.of(64))
    for format in ("integer-onnx", "integer", "qonnx", "nir"):
        with pytest.raises(ConfigError, match="has no spikes"):
            export(twin, format, tmp_path / f"out{FORMATS[format].suffix}")
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr("spikeyolo.optional.find_spec", lambda package: None)
    with pytest.raises(MissingPackage, match=r'onnx is not installed: pip install "spikeyolo\[export\]"'):
        chosen(find_format("onnx"), {})


def test_what_cannot_work_is_refused_before_torch_is_imported():
    program = (
        "import sys\nfrom spikeyolo.exporting.export import export\n"
        "try: export('a.safetensors', 'onnx', outputs='detections', batch=4)\n"
        "except Exception as error: print(type(error).__name__, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "ConfigError False\n"


def test_a_full_or_forbidden_place_leaves_nothing(model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError):
        export(model, "onnx", tmp_path / "file" / "a.onnx")


def test_the_share_of_same_detections_looks_at_both_sides():
    box = torch.tensor([[0.0, 0, 10, 10], [20, 20, 40, 40]])
    ours = Detections(box, torch.tensor([0.9, 0.8]), torch.tensor([0, 1]))
    fewer = Detections(box[:1], torch.tensor([0.9]), torch.tensor([0]))
    other = Detections(box, torch.tensor([0.9, 0.8]), torch.tensor([0, 2]))
    none = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    assert share_of_same([ours], [ours]) == 1
    assert share_of_same([ours], [fewer]) == pytest.approx(2 / 3)
    assert share_of_same([ours], [other]) == pytest.approx(0.5)
    assert share_of_same([none], [none]) == 1
    assert share_of_same([ours], [none]) == 0


def test_every_package_says_what_it_sees(model, tmp_path):
    found = export(model, "integer", tmp_path / "chip", golden_size=32)
    manifest = json.loads((found.path / "manifest.json").read_text())
    assert manifest["artefact"]["size_hw"] == [64, 64]
    assert manifest["artefact"]["names"] == list(model.names)
    assert np.isfinite(found.size)
