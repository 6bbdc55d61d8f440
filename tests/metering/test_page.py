"""The energy page: everything measured is on it, in the right words, and nothing comes from a network."""

import base64
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
import torch
from tests.helpers.event_datasets import write_data_set
from tests.helpers.networks import lively

from spikeyolo.cli.main import main
from spikeyolo.data.open import open_data
from spikeyolo.events import EventInput
from spikeyolo.metering.measure import measure
from spikeyolo.metering.page import write_page
from spikeyolo.metering.report import code_rows, headline, parameters_text, to_json
from spikeyolo.metering.technology import find_technology
from spikeyolo.synthetic.shapes import ShapesConfig, write_shapes

VOID = {"meta", "img", "rect"}


class Page(HTMLParser):
    """The page's links, images, table cells, and the tags that are open at the end."""

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses, self.texts, self.rows = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data.strip()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_shapes(tmp_path_factory.mktemp("page") / "data", ShapesConfig(train=1, val=3, seed=1))


@pytest.mark.few(1)
@pytest.mark.parametrize(("timesteps", "technology"), [(1, "45nm-fp32"), (2, "loihi")])
def test_the_page_shows_what_was_measured(data, tmp_path, timesteps, technology):
    network = lively(dtype=torch.float32, num_classes=4, timesteps=timesteps)
    found = measure(network, open_data(data).split("val"), 64)
    costs = find_technology(technology)
    write_page(tmp_path / "page.html", found, costs, "Energy of <b>&me</b>")
    text = (tmp_path / "page.html").read_text()
    page = Page(text.partition("<!doctype html>")[2])
    assert page.open == []
    assert "Energy of <b>&me</b>" in page.texts  # shown as written, not as HTML
    assert "nan" not in text
    assert not re.search(r"https?:|url\(|@import|<script", text)  # nothing from a network
    assert len(page.addresses) == 3 * 3
    for address in page.addresses:
        kind, _, content = address.partition("base64,")
        assert kind == "data:image/png;"
        assert cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), 1).shape == (64, 64, 3)
    values = to_json(found, costs)
    shown = {row[0]: row for row in page.rows}
    header = shown["layer"]
    assert sum(cell.startswith("rate, t") for cell in header) == (timesteps if timesteps > 1 else 0)
    for label, *cells in code_rows(values):
        assert shown[label] == [label, *cells]
    assert f"{values['histogram'][4]:.1%}" in page.texts
    for layer in values["layers"]:
        row = dict(zip(header, shown[layer["name"]], strict=True))
        assert row["mJ"] == f"{layer['energy_mJ']:.4f}"
        if layer["firing_rate"] is not None:
            assert row["rate"] == f"{layer['firing_rate']:.1%}"
            assert row["M additions"] == f"{layer['ac'] / 1e6:.3f}"
            assert row["in binary"] == f"{layer['slot_codes']['binary']['ac'] / 1e6:.3f}"
        if timesteps > 1 and layer["firing_rate"] is not None:
            rates = [float(row[f"rate, t{t + 1}"][:-1]) / 100 for t in range(timesteps)]
            assert np.mean(rates) == pytest.approx(layer["firing_rate"], abs=6e-4)


def test_the_command_writes_it_and_nothing_where_it_cannot(data, tmp_path, capsys):
    weights = tmp_path / "m.safetensors"
    lively(dtype=torch.float32, num_classes=4).save(weights)
    words = ["energy", "--weights", str(weights), "--data", str(data), "--imgsz", "64", "--workers", "0"]
    words += ["--verify", "false", "--layers", "false", "--device", "cpu"]
    assert main([*words, "--html", str(tmp_path / "page.html")]) == 0
    assert "Energy of m.safetensors on data.yaml, val" in (tmp_path / "page.html").read_text()
    capsys.readouterr()
    (tmp_path / "file").touch()
    assert main([*words, "--html", str(tmp_path / "file" / "page.html")]) == 1
    assert "file: cannot be made a folder" in capsys.readouterr().err


def test_the_page_of_recordings_speaks_of_windows_and_says_the_whole_first(tmp_path):
    seen = EventInput("stacked_histogram", window_us=40_000)
    model = lively(num_classes=2, dtype=torch.float32, input=seen, timesteps=2, in_channels=seen.channels)
    found = measure(model, open_data(write_data_set(tmp_path)).split("val"))
    costs = find_technology("45nm-fp32")
    write_page(tmp_path / "page.html", found, costs, "Energy")
    text = " ".join((tmp_path / "page.html").read_text().partition("<body>")[2].split())
    words = re.sub(r"data:image/png;base64,[^\"]*", "", text)
    assert "image" not in words
    assert "windows of 64 x 96" in words
    sentences = headline(to_json(found, costs))
    places = [words.index(sentence) for sentence in sentences]
    assert places == sorted(places)
    assert places[0] < words.index("operations alone")  # the card of operations comes after the whole
    assert parameters_text(to_json(found, costs)) in words


def test_the_page_of_images_has_a_card_for_the_whole(data, tmp_path):
    found = measure(lively(dtype=torch.float32, num_classes=4), open_data(data).split("val"), 64)
    costs = find_technology("45nm-fp32")
    write_page(tmp_path / "page.html", found, costs, "Energy")
    text, values = (tmp_path / "page.html").read_text(), to_json(found, costs)
    for total in (values["snn_mJ"] + values["snn_memory_mJ"], values["ann_mJ"] + values["ann_memory_mJ"]):
        assert f"<b>{total:.3f} mJ</b><span>an image" in text
