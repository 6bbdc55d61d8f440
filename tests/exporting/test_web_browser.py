"""The page in Chromium: what it finds and what it says of energy, beside Python; and how it takes what users do."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from tests.helpers.browser import CHROMIUM, browser, served
from tests.helpers.exported import finding

import spikeyolo
from spikeyolo.demo.samples import write_samples
from spikeyolo.errors import ConfigError
from spikeyolo.exporting import web_runtime
from spikeyolo.exporting.export import export
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.weights.shipped import sample_images

HOSTILE = ["<img src=x onerror='window.run=1'>", "<b>bold</b>", "\u202eabc&amp;"]
HEAR = "window.found = []; document.addEventListener('found', (event) => found.push(event.detail))"
SAID = "(document.getElementById('status')?.textContent ?? '')"


def runtime_is_there():
    try:
        web_runtime.check_runtime(web_runtime.cache_folder())
    except ConfigError:
        return False
    return True


pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
    pytest.mark.skipif(not runtime_is_there(), reason="no page was exported here that fetched the runtime"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return export("t-bccd", "web", tmp_path_factory.mktemp("web") / "page").path


@pytest.fixture(scope="module")
def more(tmp_path_factory):
    """A smaller image than the canvas, one of another format and shape, and one that lies on its side in its file."""
    folder, image = tmp_path_factory.mktemp("more"), cv2.imread(str(sample_images("t-bccd")[0]))
    files = [folder / "small.png", folder / "tall.webp", folder / "turned.jpg"]
    cv2.imwrite(str(files[0]), image[100:250, 80:280])
    cv2.imwrite(str(files[1]), cv2.resize(image[:, 100:400], (411, 700)), [cv2.IMWRITE_WEBP_QUALITY, 101])
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(image[..., ::-1])).save(files[2], exif=exif, quality=95)
    return files


def looked_at(tab, name):
    """What the page last found, when that is of a file of this name."""
    return tab.until(f"found.at(-1)?.name === {name!r} && found.at(-1)")


def assert_same(objects, expected):
    """Each object, best first: to 1 pixel and 0.01."""
    assert len(objects) == len(expected) > 2
    for one, box, score, label in zip(objects, expected.boxes, expected.scores, expected.labels, strict=True):
        assert one["label"] == int(label)
        assert one["score"] == pytest.approx(float(score), abs=0.01)
        assert np.abs(np.array(one["box"]) - np.asarray(box)).max() < 1


def test_the_page_finds_and_counts_what_python_does(page, more, tmp_path):
    files = [*sample_images("t-bccd"), *more]
    ours, numbers = [], []
    with served(page) as address, browser("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1") as tab:
        tab.open(address, HEAR)
        looked_at(tab, files[0].stem)  # by itself
        for number, file in enumerate(files):
            if number < 4:
                tab.run(f"document.querySelectorAll('#samples button')[{number}].click()")
            else:
                tab.choose("#file", file)
            ours.append(looked_at(tab, file.stem if number < 4 else file.name))
        assert all(asked.startswith((address, "data:", "blob:")) for asked in tab.requests)
        assert not tab.troubles
    model = spikeyolo.load("t-bccd")
    spiking = model.to_spike_driven().predict(files)
    for found, here, there in zip(ours, spikeyolo.predict(str(page), files, write=False), spiking, strict=True):
        assert_same(found["objects"], here.detections)
        assert_same(found["objects"], there)
        numbers.append([*found["millijoule"], *found["rate"]])
    report = spikeyolo.energy(model, write_samples("t-bccd", tmp_path).data, split="test").to_json()
    codes = [report["slot_codes"][code] for code in ("unary", "binary")]
    expected = [*(code["snn_mJ"] for code in codes), *(code["firing_rate"] for code in codes)]
    assert np.mean(numbers[:4], axis=0) == pytest.approx(expected, rel=1e-5)


def test_the_separable_form_is_nearly_that_and_smaller(page, tmp_path):
    smaller = export("t-bccd", "web", tmp_path / "page", dense=False).path
    assert (smaller / "network.onnx").stat().st_size < 0.5 * (page / "network.onnx").stat().st_size
    with served(smaller) as address, browser() as tab:
        tab.open(address, HEAR)
        found = looked_at(tab, "BloodImage_00031")
    (here,) = spikeyolo.load("t-bccd").fold().predict(sample_images("t-bccd")[:1])
    assert len(found["objects"]) == pytest.approx(len(here), abs=3)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_the_screen(page, width, dark, tmp_path):
    with served(page) as address, browser() as tab:
        tab.size(width, 844, dark)
        tab.open(address, HEAR)
        looked_at(tab, "BloodImage_00031")
        tab.run("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
        assert tab.run("document.documentElement.scrollWidth") <= width
        tab.screenshot(tmp_path / "page.png")
    brightness = cv2.imread(str(tmp_path / "page.png"))[-3:].mean()
    assert (brightness < 60) == dark


def test_the_slider_and_the_keyboard(page):
    with served(page) as address, browser() as tab:
        tab.open(address, HEAR)
        before = looked_at(tab, "BloodImage_00031")
        tab.run("document.getElementById('conf').focus()")
        tab.call("Input.dispatchKeyEvent", type="keyDown", key="End", code="End", windowsVirtualKeyCode=35)
        assert tab.until("document.getElementById('least').textContent === '0.95'")
        assert looked_at(tab, "BloodImage_00031")["objects"] == []
        assert tab.run("document.getElementById('count').textContent") == "0"
        assert len(before["objects"]) == tab.run("found[0].objects.length") > 10
        unnamed = "[...document.querySelectorAll('button, input, img')].filter((one) => !one.labels?.length"
        assert tab.run(f"{unnamed} && !one.textContent && !one.alt && !one.querySelector('img[alt]')).length") == 0


def test_names_of_classes_are_text(tmp_path):
    model = finding(num_classes=3, input=ImageInput.of(64), names=HOSTILE)
    with torch.no_grad():
        out = export(model, "web", tmp_path / "page", samples=sample_images("t-bccd")[:1], conf=0.1).path
    with served(out) as address, browser() as tab:
        tab.open(address, HEAR)
        looked_at(tab, "BloodImage_00031")
        chips = tab.run("[...document.querySelectorAll('#legend li')].map((one) => one.textContent)")
        assert [chip.rpartition(" ")[0] for chip in chips] == [*HOSTILE[:2], "\\u202eabc&amp;"]
        assert tab.run("window.run ?? document.querySelectorAll('#legend img, main b b, #objects img').length") == 0
        assert not tab.troubles


def test_dropped_files_and_what_is_no_image(page, tmp_path):
    (tmp_path / "notes.png").write_text("no image")
    with served(page) as address, browser() as tab:
        tab.open(address, HEAR)
        looked_at(tab, "BloodImage_00031")
        tab.choose("#file", tmp_path / "notes.png")
        assert tab.until(f"{SAID}.includes('no image') && {SAID}") == "notes.png: is no image that this browser reads"
        assert tab.run("document.getElementById('status').className") == "trouble"
        tab.run("""(async () => {
            const content = await (await fetch('samples/sample2.jpg')).blob();
            const dropped = new DataTransfer();
            dropped.items.add(new File([content], 'dropped.jpg'));
            document.getElementById('stage').dispatchEvent(
              new DragEvent('drop', { dataTransfer: dropped, bubbles: true, cancelable: true }));
        })()""")
        assert len(looked_at(tab, "dropped.jpg")["objects"]) > 10


def test_the_camera(page):
    flags = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    with served(page) as address, browser(*flags) as tab:
        tab.open(address, HEAR)
        looked_at(tab, "BloodImage_00031")
        tab.run("document.getElementById('camera').click()")
        tab.until("found.filter((one) => one.name === 'camera').length > 2")
        assert tab.run("document.getElementById('camera').textContent") == "Stop the camera"
        tab.run("document.querySelectorAll('#samples button')[1].click()")  # which ends it
        looked_at(tab, "BloodImage_00068")
        assert tab.run("document.getElementById('camera').textContent") == "Use the camera"


def test_a_camera_that_is_refused(page):
    refuse = "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('no', 'NotAllowedError'); };"
    with served(page) as address, browser() as tab:
        tab.open(address, HEAR + ";" + refuse)
        looked_at(tab, "BloodImage_00031")
        tab.run("document.getElementById('camera').click()")
        assert "The camera: it was not allowed" in tab.until(f"{SAID}.includes('camera') && {SAID}")


def test_from_a_file_it_says_what_to_do(page):
    with browser() as tab:
        tab.open(Path(page / "index.html").resolve().as_uri())
        assert "python -m http.server" in tab.until(f"{SAID}.includes('server') && {SAID}")


def test_a_missing_file_is_said(page, tmp_path):
    broken = shutil.copytree(page, tmp_path / "page")
    (broken / "network.onnx").unlink()
    with served(broken) as address, browser() as tab:
        tab.open(address)
        said = tab.until(f"{SAID}.includes('cannot') && {SAID}")
    assert said == "The network cannot be loaded: network.onnx: 404 File not found"
