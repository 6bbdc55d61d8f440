"""The demo of images with a few images and one epoch: everything is there, and said in order."""

import pytest
from rich.table import Table

from spikeyolo import load
from spikeyolo.demo.images import run_demo
from spikeyolo.demo.steps import show
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.imaging.io import read_rgb
from spikeyolo.synthetic.shapes import ShapesConfig


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    said, out = [], tmp_path_factory.mktemp("demo") / "demo"
    made = run_demo(out, epochs=1, log=said.append, config=ShapesConfig(train=16, val=3, size=128))
    return made, said, out


def test_steps_come_in_order_each_with_its_tables_below_it(demo):
    _, said, out = demo
    shape = [item[:2] if isinstance(item, str) else "table" for item in said]
    assert shape[:6] == ["1.", "2.", "3.", "table", "table", "4."]
    assert shape[6] == "table"
    assert isinstance(said[6], Table)
    assert said[0].startswith("1. 16 images to train on and 3 to evaluate on")
    assert f"layer by layer, with heat maps: {out / 'energy.html'}" in said[-1]


def test_energy_is_told_with_and_without_memory(demo):
    made, said, _ = demo
    assert "operations and memory traffic together" in said[-1]
    assert "Operations alone" in said[-1]
    assert made.measurement.images == 3
    assert "Energy of the demo" in made.energy_page.read_text()


def test_everything_is_there(demo):
    made, _, out = demo
    assert load(made.weights).input == ImageInput((128, 128))
    assert made.validation.metrics.images == 3
    assert read_rgb(str(made.predictions)).shape == (2 * 256 + 4, 3 * 256 + 2 * 4, 3)
    assert made.example == out / "shapes.mp4"
    assert made.example.stat().st_size > 10_000
    assert {"precision_recall.png", "f1.png", "confusion.png"} <= {path.name for path in made.weights.parent.iterdir()}


def test_show_prints_sentences_as_they_are(capsys):
    show("a [b] " + "word " * 40)
    show(Table("a column"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("a [b] word")
    assert len(lines[0]) > 200
    assert any("a column" in line for line in lines[1:])
