import io
import subprocess
import sys

import numpy as np
import pytest
from matplotlib._pylab_helpers import Gcf
from PIL import features
from rich.console import Console
from tests.helpers.coco_cases import fair_detections, generated_coco

from spikeyolo.evaluation.coco import CocoEvaluator
from spikeyolo.evaluation.confusion import ConfusionMatrix
from spikeyolo.evaluation.ground_truth import GroundTruth
from spikeyolo.evaluation.metrics import CONFIDENCES, Ranking, class_table
from spikeyolo.evaluation.plots import plot_confusion, plot_f1, plot_precision_recall
from spikeyolo.imaging.io import read_rgb
from spikeyolo.imaging.lettering import letter


def evaluator(classes):
    dataset = generated_coco(1, image_count=10 + classes, classes=classes)
    made = CocoEvaluator(GroundTruth.from_coco(dataset))
    found = fair_detections(dataset, seed=2)
    made.update(list(found), list(found.values()))
    return made


@pytest.mark.parametrize("classes", [1, 80])
def test_plots_are_images_with_something_on_them(tmp_path, classes):
    made = evaluator(classes)
    curves = made.compute().curves
    for path in (
        plot_precision_recall(curves, tmp_path / "pr.png"),
        plot_f1(curves, tmp_path / "f1.png"),
        plot_confusion(made.confusion_matrix(), tmp_path / "confusion.png"),
    ):
        image = read_rgb(path)
        assert min(image.shape[:2]) > 400
        # White paper, and ink on it.
        assert (image == 255).all(axis=2).mean() > 0.3
        assert (image.max(axis=2) < 100).mean() > 0.002


def test_plots_of_nothing_do_not_fail(tmp_path):
    made = CocoEvaluator(GroundTruth.from_images(["a"], [(9, 9)], [[]], [[]], ["thing"]))
    made.update([], [])
    curves = made.compute(partial=True).curves
    assert plot_precision_recall(curves, tmp_path / "pr.png").is_file()
    assert plot_f1(curves, tmp_path / "f1.png").is_file()
    assert plot_confusion(made.confusion_matrix(), tmp_path / "confusion.png").is_file()


def test_evaluation_is_imported_without_matplotlib_hotcoco_or_rich():
    code = (
        "import sys, spikeyolo.evaluation\n"
        "print([m for m in ('matplotlib', 'hotcoco', 'rich', 'cv2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_plotting_touches_no_global_figure(tmp_path):
    plot_f1(evaluator(2).compute().curves, tmp_path / "f1.png")
    assert Gcf.get_all_fig_managers() == []


def test_curves_over_confidence_by_hand():
    """Hit at 0.9, miss at 0.6, hit at 0.3, three boxes."""
    precision, recall, f1 = Ranking(np.array([0.9, 0.6, 0.3]), np.array([True, False, True]), 3).over_confidence()
    at = {c: int(np.abs(CONFIDENCES - c).argmin()) for c in (0.2, 0.5, 0.8, 0.95)}
    assert (precision[at[0.2]], recall[at[0.2]], f1[at[0.2]]) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert (precision[at[0.5]], recall[at[0.5]], f1[at[0.5]]) == pytest.approx((1 / 2, 1 / 3, 2 / 5))
    assert (precision[at[0.8]], recall[at[0.8]], f1[at[0.8]]) == pytest.approx((1.0, 1 / 3, 1 / 2))
    assert np.isnan(precision[at[0.95]])
    assert (recall[at[0.95]], f1[at[0.95]]) == (0.0, 0.0)


def test_detections_of_equal_score_are_kept_or_dropped_together():
    # Kept alone the first would give F1 1; its equal drags in a miss.
    best = Ranking(np.array([0.9, 0.9]), np.array([True, False]), 1).best()
    assert best == pytest.approx((0.5, 1.0, 2 / 3, 0.9))


def test_interpolated_precision_averages_to_ap50():
    metrics = evaluator(4).compute()
    for row, entry in zip(metrics.curves.interpolated, metrics.per_class, strict=True):
        np.testing.assert_allclose(row.mean(), entry.ap50)
        f1 = metrics.curves.f1[metrics.per_class.index(entry)]
        # The grid of confidences may miss the very best.
        assert f1.max() <= entry.f1 + 1e-12
        assert f1.max() == pytest.approx(entry.f1, abs=0.02)


def test_table_names_every_class_and_shows_a_dash_for_what_is_unknown():
    truth = GroundTruth.from_images([0], [(50, 50)], [[[0, 0, 9, 9]]], [[0]], ["here", "nowhere"])
    made = CocoEvaluator(truth)
    made.merge([{0: np.array([[0, 0, 9, 9, 0.5, 0]], dtype=np.float32)}])
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(class_table(made.compute()))
    lines = {line.split()[1]: line for line in console.export_text().splitlines() if "│" in line}
    assert lines["here"].count("1.000") == 5
    assert lines["here"].count("0.500") == 1
    assert lines["nowhere"].count(" - ") == 6
    assert lines["all"].count("1.000") == 5


def named(tmp_path, *names):
    """The pixels of a confusion matrix with these class names."""
    counts = np.zeros((len(names) + 1, len(names) + 1), dtype=np.int64)
    return read_rgb(plot_confusion(ConfusionMatrix(counts, names, 0.25, 0.5), tmp_path / "confusion.png"))


def test_names_are_no_formulas(tmp_path):
    # As a formula x has an index, and the signs are gone: these two would be drawn alike.
    assert not np.array_equal(named(tmp_path, "$x$"), named(tmp_path, r"$\mathdefault{x}$"))
    named(tmp_path, r"$\frac{$")  # a formula that is none would be an error


@pytest.mark.skipif(not features.check("raqm"), reason="Pillow finds no FriBiDi")
def test_arabic_names_are_drawn_without_a_warning_as_on_images(tmp_path):
    empty, arabic = named(tmp_path, ""), named(tmp_path, "خلية")
    drawn = letter(["خلية"], round(9 * 130 / 72), (0, 0, 0)).image
    inked = int((np.asarray(drawn)[..., 3] > 128).sum())
    assert empty.shape[:2] <= arabic.shape[:2]
    # On both axes, upright and on its side.
    assert 0.5 < ((arabic < 128).all(axis=2).sum() - (empty < 128).all(axis=2).sum()) / (2 * inked) < 1.6
