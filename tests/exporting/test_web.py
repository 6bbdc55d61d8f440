"""The page for browsers: what is in its folder, what it computes beside the network, and what is refused."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.helpers.exported import finding
from tests.helpers.images import write_image
from tests.helpers.networks import lively

from spikeyolo.cli.main import main
from spikeyolo.data import download
from spikeyolo.errors import ConfigError, DataError, WriteError
from spikeyolo.events import EventInput
from spikeyolo.exporting import web_runtime
from spikeyolo.exporting.export import export
from spikeyolo.exporting.registry import FORMATS
from spikeyolo.exporting.write_web import TEMPLATES
from spikeyolo.imaging.draw import class_colour
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.imaging.tensors import as_input
from spikeyolo.metering.cost import snn_millijoule
from spikeyolo.metering.counting import count_layers, macs_of_forms
from spikeyolo.metering.layer_count import LayerCount, in_code
from spikeyolo.metering.linear import linear_cost
from spikeyolo.metering.technology import find_technology
from spikeyolo.runtime import Inferencer
from spikeyolo.spiking import SlotCode
from spikeyolo.weights.shipped import sample_images

HOSTILE = ["<img src=x onerror=alert(1)>", '"; alert(2); "', "</script><b>bold</b>"]


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    """A folder with files that stand for the runtime's."""
    folder, files = tmp_path_factory.mktemp("runtime") / "dist", []
    folder.mkdir()
    for file in web_runtime.FILES:
        content = file.name.encode() * 100
        (folder / file.name).write_bytes(content)
        checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
        files.append(replace(file, checksum=checksum, size=len(content)))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(web_runtime, "FILES", tuple(files))
        yield folder


@pytest.fixture(scope="module")
def model():
    return finding(num_classes=3, input=ImageInput.of(64), names=HOSTILE)


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    files = [folder / "street.jpg", folder / "old.tif"]
    for file in files:
        write_image(file, 100, 80)
    return files


@pytest.fixture(scope="module")
def exported(model, runtime, samples, tmp_path_factory):
    out = tmp_path_factory.mktemp("exported") / "page"
    return export(model, "web", out, runtime_files=str(runtime), samples=samples, conf=0.4)


def about(page):
    return json.loads((page / "page.json").read_text())


def counted(page, images):
    """The further output of the page's network, (layers, codes, 2)."""
    import onnxruntime

    session = onnxruntime.InferenceSession(page / "network.onnx")
    return session.run(["spikes"], {"images": images})[0].astype(np.float64)


def test_the_folder_has_all_that_a_page_needs(exported, samples):
    page, values = exported.path, about(exported.path)
    assert exported.program is None
    files = {file.name for file in page.rglob("*") if file.is_file()}
    assert {file.name for file in TEMPLATES.iterdir()} < files <= set(FORMATS["web"].files)
    for named in (values["files"]["network"]["path"], values["files"]["machine"]["path"], values["files"]["program"]):
        assert (page / named).is_file()
    for written in re.findall(r'(?:src|href|from|import) ?=? ?"([\w./]+)"', (page / "index.html").read_text()):
        assert (page / written).is_file()
    assert (page / "samples" / "sample1.jpg").read_bytes() == samples[0].read_bytes()
    assert (page / "samples" / "sample2.png").read_bytes().startswith(b"\x89PNG")  # browsers read no TIFF
    assert [sample["name"] for sample in values["samples"]] == ["street", "old"]
    assert values["thresholds"] == {"conf": 0.4, "iou": 0.7, "max_det": 300}
    assert values["colours"][1][0] == "rgb({} {} {})".format(*class_colour(1))


def test_a_page_asks_nobody_else():
    written = " ".join(file.read_text() for file in TEMPLATES.iterdir())
    assert set(re.findall(r"https?://[\w.:]+", written)) == {"http://localhost:8000"}
    assert "default-src 'none'" in (TEMPLATES / "index.html").read_text()


def test_hostile_names_reach_the_page_as_text(exported):
    assert about(exported.path)["names"] == HOSTILE
    for file in exported.path.glob("*.js"):
        for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert way not in file.read_text(), (file, way)
    for file in ("index.html", "style.css"):
        assert HOSTILE[0] not in (exported.path / file).read_text()


@pytest.mark.few(1)
@pytest.mark.parametrize(("dense", "max_count"), [(False, 5), (True, 1), (True, 15), (True, 5)])
def test_the_graph_counts_what_energy_counts(runtime, tmp_path, dense, max_count):
    """Spikes and energy of an image by the factors of page.json, beside `metering` on the same image."""
    seen = ImageInput((64, 96))
    model = lively("t", num_classes=2, dtype=torch.float32, input=seen, max_count=max_count, timesteps=2)
    page = export(model, "web", tmp_path / "page", runtime_files=str(runtime), dense=dense).path
    image = np.random.default_rng(1).integers(0, 256, (1, 3, 64, 96), dtype=np.uint8)
    layers = count_layers(model, [as_input(torch.from_numpy(image), "cpu", torch.float32)])
    values, spikes = about(page)["energy"], counted(page, image)
    fed = [layer for layer in layers if layer.mean_count is not None]
    assert [layer["name"] for layer in values["layers"]] == [layer.name for layer in fed]
    close = 1e-6 if dense else 0.01  # the separable form adds in another order, which flips single counts
    technology = find_technology("45nm-fp32")
    for number, code in enumerate(SlotCode):
        coded = in_code(layers, code)
        ours = values["codes"][number]["fixed_mJ"] + sum(
            layer["mJ"][number] * spikes[row, number, 1] for row, layer in enumerate(values["layers"])
        )
        assert ours == pytest.approx(snn_millijoule(coded, technology), rel=close)
        rate = spikes[:, number, 0].sum() / sum(
            layer["neurons"] * values["codes"][number]["slots"] for layer in values["layers"]
        )
        expected = sum(layer.spikes for layer in coded if layer.mean_count is not None)
        assert rate == pytest.approx(expected / sum(x.inputs * 2 * x.in_code(code).slots for x in fed), rel=close)
    assert values["ann_mJ"] == pytest.approx(macs_of_forms(model, (64, 96))["separable"] * 4.6e-9)


def test_the_energy_of_an_image_as_a_sum_by_hand():
    """A first layer of 1000 products at 4.6 pJ; one of 10 outputs, 2 timesteps: 3 slots of D = 5 are doubled twice."""
    layers = [
        LayerCount("first", 1000, None, 1, 5),
        LayerCount("second", 500, 0.5, 2, 5, synaptic_ops=7.0, digit_ops=6.0, inputs=30, outputs=10),
    ]
    unary, binary = (linear_cost(layers, find_technology("45nm-fp32"), code) for code in SlotCode)
    assert (unary.slots, binary.slots) == (5, 3)
    assert unary.fixed_mJ == pytest.approx(4600e-9)
    assert binary.fixed_mJ == pytest.approx((4600 + 2 * 10 * 2 * 0.9) * 1e-9)
    for cost in (unary, binary):
        (layer,) = cost.layers
        assert (layer.name, layer.neurons) == ("second", 60)
        assert layer.addition_mJ == pytest.approx(0.9e-9)


def test_python_runs_the_network_of_a_page(exported, model):
    assert exported.parity.same == 1.0
    assert exported.parity.largest["scores"] < 1e-6  # up to the sigmoid bit for bit
    image = np.random.default_rng(2).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    page = Inferencer(exported.path)
    (there,), (here,) = page.predict(image), model.to_spike_driven().predict(image)
    assert len(there) == len(here) > 3
    assert np.abs(there.boxes - here.boxes.numpy()).max() < 1e-3
    assert set(page.run(image[:64, :64].transpose(2, 0, 1)[None])[0]) == {"boxes", "scores"}


def test_the_twin_has_boxes_alone(runtime, tmp_path):
    twin = lively("t", dtype=torch.float32, neuron="relu", input=ImageInput.of(64))
    found = export(twin, "web", tmp_path / "page", runtime_files=str(runtime))
    assert about(found.path)["energy"] is None
    assert found.parity.same == 1.0


def test_a_shipped_model_brings_its_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sample_images("t-bccd")[0].stem == "BloodImage_00031"
    assert sample_images("t-events") == []
    assert sample_images("best.safetensors") == []
    (tmp_path / "t-bccd").touch()  # the user's own
    assert sample_images("t-bccd") == []


def test_recordings_are_refused_and_nothing_is_left(runtime, tmp_path):
    events = lively("t-gen1", dtype=torch.float32, in_channels=2, input=EventInput.of("counts", timesteps=2))
    with pytest.raises(ConfigError, match="web: a page looks at images"):
        export(events, "web", tmp_path / "page", runtime_files=str(runtime), sensor=[64, 64])
    assert not list(tmp_path.iterdir())


def test_a_page_is_replaced_if_the_user_says_so_and_what_is_theirs_stays(model, exported, runtime, tmp_path):
    page = shutil.copytree(exported.path, tmp_path / "page")
    with pytest.raises(WriteError, match="holds files already"):
        export(model, "web", page, runtime_files=str(runtime))
    (page / "notes.txt").write_text("mine")
    with pytest.raises(WriteError, match=r"holds notes\.txt"):
        export(model, "web", page, runtime_files=str(runtime), overwrite=True)
    (page / "notes.txt").unlink()
    export(model, "web", page, runtime_files=str(runtime), overwrite=True)
    assert about(page)["thresholds"]["conf"] == 0.25


def test_another_runtime_is_refused_before_torch_is_imported(tmp_path):
    for file in web_runtime.FILES:
        (tmp_path / file.name).write_text("of another version")
    program = (
        "import sys\nfrom spikeyolo.exporting.export import export\n"
        "for folder in sys.argv[1:]:\n"
        "    try: export('t-bccd', 'web', runtime_files=folder)\n"
        "    except Exception as error: print(type(error).__name__, 'torch' in sys.modules, error)"
    )
    words = [sys.executable, "-c", program, tmp_path, tmp_path / "no"]
    other, none = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    assert other.startswith(f"ConfigError False runtime_files: {tmp_path}/ort.wasm.bundle.min.mjs is not that of onnx")
    assert none.startswith(f"ConfigError False runtime_files: {tmp_path}/no holds no ort.wasm.bundle.min.mjs; npm pack")


@pytest.fixture
def far_away(tmp_path, monkeypatch):
    """The cache in a folder of the test, and no network."""
    asked = []

    def nobody(address, *rest):
        asked.append(address)
        raise OSError("Network is unreachable")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "_go_on", nobody)
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    return asked


def test_without_a_network_one_line_says_how(model, runtime, far_away, tmp_path):
    with pytest.raises(DataError, match=r"cannot be downloaded \(Network is unreachable\).*--runtime-files"):
        export(model, "web", tmp_path / "page")
    assert set(far_away) == {f"{web_runtime.ADDRESS}ort.wasm.bundle.min.mjs"}
    assert f"@{web_runtime.VERSION}/" in web_runtime.ADDRESS
    assert not (tmp_path / "page").exists()


def test_the_runtime_is_fetched_once_and_compared_with_its_checksum(model, runtime, far_away, tmp_path, monkeypatch):
    lies = []

    def answer(address, part, size, largest, progress):
        content = (runtime / address.rpartition("/")[2]).read_bytes()
        part.write_bytes(b"another" if lies else content)
        return True

    lies.append(True)
    monkeypatch.setattr(download, "_go_on", answer)
    with pytest.raises(DataError, match=r"came as sha256:.*it is not kept.*--runtime-files"):
        export(model, "web", tmp_path / "page")
    lies.clear()
    assert web_runtime.fetched_runtime() == tmp_path / "cache" / "spikeyolo" / "onnxruntime-web-1.30.0"
    monkeypatch.setattr(download, "_go_on", None)  # nobody is asked again
    page = export(model, "web", tmp_path / "page").path
    served = page / "onnxruntime" / "ort.wasm.bundle.min.js"
    assert served.read_bytes() == (runtime / "ort.wasm.bundle.min.mjs").read_bytes()


def test_the_command_names_the_format_of_its_options(capsys):
    assert main(["export", "--weights", "t-bccd", "--format", "onnx", "--runtime-files", "."]) == 1
    assert "runtime_files: does not apply to onnx, it is of web" in capsys.readouterr().err
