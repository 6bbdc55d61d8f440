"""The demo of event cameras with a few recordings and one epoch: everything is there, and said in order."""

import pytest

from spikeyolo import load
from spikeyolo.demo.events import _middles, run_demo
from spikeyolo.imaging.io import read_rgb
from spikeyolo.synthetic.recordings import EVENT_INPUT, RecordingsConfig

SMALL = RecordingsConfig(train=2, val=1, test=2, size_hw=(64, 64), duration_us=400_000, label_every_us=200_000)


@pytest.mark.parametrize("sequence", [None, pytest.param(4, marks=pytest.mark.long)])
def test_from_nothing_to_numbers_and_images(sequence, tmp_path):
    said = []
    made = run_demo(tmp_path / "demo", epochs=1, log=said.append, config=SMALL, sequence=sequence, twin=False)
    assert said[0].startswith("1. t-events, which comes with the package")
    assert said[4].startswith("2. 2 recordings to train on, 1 to choose by, 2 to report")
    assert load(made.weights).input == EVENT_INPUT
    assert made.validation.evaluation.both.plain_coco.images == made.measurement.images > 0
    assert read_rgb(str(made.predictions)).shape == (2 * 192 + 4, 4 * 192 + 3 * 4, 3)  # of four windows
    assert made.example.is_file()
    assert (made.weights.parent / "precision_recall.png").is_file()
    assert made.measurement.unit == "window"
    assert any("A window costs" in item for item in said if isinstance(item, str))
    assert "windows" in made.page.read_text()
    assert made.twin is None
    assert made.energy_page.is_file()


@pytest.mark.parametrize(("parts", "length", "shown"), [(3, 12, [2, 6, 10]), (1, 5, [2]), (4, 4, [0, 1, 2, 3])])
def test_windows_are_shown_from_all_over_and_not_from_the_ends(parts, length, shown):
    assert _middles(parts, length) == shown
