"""Images of a training: curves, and labels beside what is found."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spikeyolo.structures import Batch, Detections, Placement, Targets
from spikeyolo.training.callbacks import images
from spikeyolo.training.callbacks.images import CELL_SIDE, draw_predictions, plot_history
from spikeyolo.training.history import LOSSES, History
from spikeyolo.training.run_folder import RunFolder


def history(epochs: int, validated: tuple[int, ...]) -> History:
    rows = [{"epoch": n, **dict.fromkeys(LOSSES, 1.0 / n)} for n in range(1, epochs + 1)]
    return History([row | ({"AP": 0.1, "AP50": 0.2} if row["epoch"] in validated else {}) for row in rows])


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """The figure that plot_history draws, not written."""
    figures = []
    monkeypatch.setattr(images, "save_figure", lambda figure, _: figures.append(figure))

    def draw(history):
        plot_history(history, RunFolder(tmp_path))
        figures[-1].canvas.draw()
        return figures[-1].axes

    return draw


@pytest.mark.parametrize(("epochs", "validated"), [(1, (1,)), (7, (7,)), (2, (1, 2))])
def test_few_validations_can_be_seen_and_ticks_are_epochs(drawn, epochs, validated):
    for axes in drawn(history(epochs, validated)):
        assert axes.lines
        assert all(line.get_marker() == "o" for line in axes.lines)
        low, high = axes.get_xlim()
        ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
        assert ticks
        assert all(tick == int(tick) and 1 <= tick <= epochs for tick in ticks)
    assert [line.get_xdata().tolist() for line in axes.lines] == [list(validated)] * 2


def test_a_panel_without_values_says_so(drawn):
    left, right = drawn(history(3, ()))
    assert [text.get_text() for text in left.texts] == []
    assert [text.get_text() for text in right.texts] == ["none yet"]


def test_long_courses_are_plain_lines(drawn):
    assert all(line.get_marker() == "None" for axes in drawn(history(80, tuple(range(1, 81)))) for line in axes.lines)


def test_labels_stand_above_what_is_found_in_large_cells():
    """Two grey images of 64 pixels: one box labelled in the first, another found in the second."""
    grey = torch.full((2, 3, 64, 64), 114, dtype=torch.uint8)
    targets = Targets(torch.tensor([0]), torch.tensor([0]), torch.tensor([[8.0, 8.0, 40.0, 40.0]]), num_images=2)
    batch = Batch(grey, targets, (Placement((64, 64)),) * 2, ("a", "b"))
    nothing = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long))
    found = Detections(torch.tensor([[20.0, 20.0, 60.0, 60.0]]), torch.tensor([0.9]), torch.tensor([0]))
    sheet = draw_predictions(batch, [nothing, found], ["disk"])
    side = CELL_SIDE
    assert sheet.shape[0] >= 2 * side
    assert sheet.shape[1] >= 2 * side
    rows, columns = (np.array_split(np.arange(n), 2) for n in sheet.shape[:2])
    boxes = [[bool((np.ptp(sheet[np.ix_(r, c)], axis=2) > 30).any()) for c in columns] for r in rows]
    assert boxes == [[True, False], [False, True]]
