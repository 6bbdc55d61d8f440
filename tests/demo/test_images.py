"""The demo of images with a few images and one epoch: everything is there, and said in order."""

import re
import shutil
import subprocess

import numpy as np
import pytest
from rich.table import Table

from spikeyolo import load
from spikeyolo.demo import steps
from spikeyolo.demo.images import run_demo
from spikeyolo.demo.look import over
from spikeyolo.demo.steps import show
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.imaging.io import read_rgb
from spikeyolo.metering.report import headline, to_json
from spikeyolo.metering.technology import DEFAULT, find_technology
from spikeyolo.structures import Placement
from spikeyolo.synthetic.shapes import ShapesConfig
from spikeyolo.training.settings import TrainSettings


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    said, out = [], tmp_path_factory.mktemp("demo") / "demo"
    at_first = []

    def log(item):
        said.append(item)
        if isinstance(item, str) and item.startswith("look at"):
            at_first.append((out / "demo.html").read_text())

    made = run_demo(out, epochs=1, log=log, config=ShapesConfig(train=16, val=3, size=128), twin=True)
    return made, said, out, *at_first


def test_steps_come_in_order_each_with_its_tables_below_it(demo):
    _, said, out, _ = demo
    shape = [item.strip()[:2] if isinstance(item, str) else "table" for item in said]
    assert shape[:8] == ["1.", "fo", "table", "lo", "2.", "3.", "4.", "table"]
    assert shape[8:] == ["table", "5.", "table", "fi", "An", "6.", "table", "ev"]
    assert isinstance(said[10], Table)
    assert said[0].startswith("1. t-bccd, which comes with the package (blood cells")
    assert said[1].count("\n") == 3
    assert "RBC" in said[1]
    assert said[4].startswith("2. 16 images to train on and 3 to evaluate on")
    assert f"layer by layer, with heat maps: {out / 'energy.html'}" in said[12]


def test_energy_is_told_with_and_without_memory(demo):
    made, said, _, _ = demo
    assert "operations and memory traffic together" in said[12]
    assert "Operations alone" in said[12]
    assert made.measurement.images == 3
    assert "Energy of the demo" in made.energy_page.read_text()


def test_everything_is_there(demo):
    made, _, out, _ = demo
    assert load(made.weights).input == ImageInput((128, 128))
    assert made.validation.metrics.images == 3
    assert read_rgb(str(made.predictions)).shape == (2 * 256 + 4, 3 * 256 + 2 * 4, 3)
    assert made.example == out / "shapes.mp4"
    assert made.example.stat().st_size > 10_000
    assert {"precision_recall.png", "f1.png", "confusion.png"} <= {path.name for path in made.weights.parent.iterdir()}


def test_the_first_page_shows_a_trained_model_and_looks_again(demo):
    made, _, _, early = demo
    assert 'http-equiv="refresh"' in early
    assert "Training goes on" in early
    assert early.count("data:image/jpeg;base64,") == 2 * 4
    assert "t-bccd" in early
    late = made.page.read_text()
    assert "http-equiv" not in late
    assert late.count("data:image/jpeg;base64,") == 2 * 4 + 2 * 3


def test_the_page_says_what_was_measured_and_needs_no_network(demo):
    made, _, out, _ = demo
    text = made.page.read_text()
    words = " ".join(re.sub(r"<[^>]*>", " ", text).split())
    assert not re.search(r"https?:|url\(|@import|<script", text)
    metrics, twin = made.validation.metrics, made.twin.metrics
    assert f"with spikes {metrics.AP:.3f} {metrics.AP50:.3f}" in words
    assert f"ReLU twin, an ANN {twin.AP:.3f} {twin.AP50:.3f}" in words
    values = to_json(made.measurement, find_technology(DEFAULT))
    assert f"{values['firing_rate']:.1%} firing rate" in words
    binary = values["slot_codes"]["binary"]
    whole = (values["ann_mJ"] + values["ann_memory_mJ"]) / (binary["snn_mJ"] + binary["snn_memory_mJ"])
    assert f"{values['ann_mJ'] / binary['snn_mJ']:.1f} times" in words
    assert f"{whole:.1f} times" in words
    assert headline(values)[0] in words
    assert load(out / "twin" / "best.safetensors").config.neuron == "relu"
    assert (made.weights.parent / "config.yaml").read_text().replace("neuron: null", "neuron: relu") == (
        out / "twin" / "config.yaml"
    ).read_text()  # the same training


def test_without_time_for_the_twin_the_demo_says_how(tmp_path, monkeypatch):
    settings, said = TrainSettings(), []
    monkeypatch.setattr(steps, "SECONDS", 100)
    story = steps.Story(tmp_path, "spikeyolo demo", 3, 2, said.append)
    found, why = steps._twin(story, settings, "val", None, took=101)
    assert found is None
    assert "spikeyolo demo --seed 3 --epochs 2 --twin" in why
    assert said == [why]
    assert steps._twin(story, settings, "val", False, took=0)[0] is None


@pytest.mark.long
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_needs_no_scrolling_sideways(demo, tmp_path, width):
    text = demo[0].page.read_text()
    measured = "<script>const e = document.documentElement; const fits = e.scrollWidth <= e.clientWidth;"
    measured += " document.title = `${innerWidth} ${fits ? 'fits' : 'needs ' + e.scrollWidth}`</script></body>"
    (tmp_path / "page.html").write_text(text.replace("</body>", measured))
    frame = f'<iframe src="page.html" width="{width}" height="900"></iframe>'
    told = "<script>onload = () => { document.title = frames[0].document.title }</script>"
    (tmp_path / "frame.html").write_text(frame + told)
    words = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    words += [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,1000", "--virtual-time-budget=5000"]
    done = subprocess.run([*words, "--dump-dom", f"file://{tmp_path / 'frame.html'}"], capture_output=True, text=True)
    assert f"<title>{width} fits</title>" in done.stdout


def test_spikes_lie_where_the_image_lay():
    image = np.zeros((60, 80, 3), np.uint8)
    spikes = np.zeros((32, 32))
    spikes[16:, :16] = 1  # lower left of a canvas of 128 x 128, on which the image is 96 rows high from row 16 on
    shown = over(image, spikes, Placement((60, 80), (1.6, 1.6), (0.0, 16.0))).astype(int).sum(-1)
    assert shown.shape == (60, 80)
    assert shown[45:, :25].min() > 300
    assert shown[:20].max() < 100
    assert shown[:, 60:].max() < 100


def test_show_prints_sentences_as_they_are(capsys):
    show("a [b] " + "word " * 40)
    show(Table("a column"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("a [b] word")
    assert len(lines[0]) > 200
    assert any("a column" in line for line in lines[1:])
