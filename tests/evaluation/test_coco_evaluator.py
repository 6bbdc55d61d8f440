import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.coco_cases import as_detections, coco_tiny, fair_detections, generated_coco, pycocotools_twelve

from spikeyolo.errors import DataError, WriteError
from spikeyolo.evaluation.coco import CocoEvaluator
from spikeyolo.evaluation.ground_truth import GroundTruth
from spikeyolo.evaluation.metrics import TWELVE


def evaluated(dataset, detections):
    evaluator = CocoEvaluator(GroundTruth.from_coco(dataset))
    evaluator.update(list(detections), list(detections.values()))
    return evaluator


def one_class(boxes_per_image, **more):
    count = len(boxes_per_image)
    labels = [[0] * len(boxes) for boxes in boxes_per_image]
    return GroundTruth.from_images(range(count), [(100, 100)] * count, boxes_per_image, labels, ["thing"], **more)


BOX, OTHER, FAR = [10, 10, 30, 30], [50, 50, 80, 90], [0, 60, 20, 80]


@pytest.mark.parametrize("case", ["coco_tiny", 0, 1, 2, 3])
def test_twelve_numbers_and_classes_equal_pycocotools(case, capfd):
    dataset = coco_tiny() if case == "coco_tiny" else generated_coco(case)
    detections = fair_detections(dataset, seed=11)
    assert any(a["iscrowd"] for a in dataset["annotations"])
    reference = pycocotools_twelve(dataset, detections)
    capfd.readouterr()
    metrics = evaluated(dataset, detections).compute()
    assert capfd.readouterr() == ("", "")
    ours = np.nan_to_num(list(metrics.twelve().values()), nan=-1)
    np.testing.assert_allclose(ours, reference.stats, atol=1e-6)
    assert 0.2 < metrics.AP < metrics.AP50 < 1
    precision = np.where(reference.eval["precision"] > -1, reference.eval["precision"], np.nan)
    for k, entry in enumerate(metrics.per_class):
        for value, thresholds in ((entry.ap, slice(None)), (entry.ap50, slice(0, 1))):
            known = precision[thresholds, :, k, 0, 2]
            expected = np.nan if np.isnan(known).all() else np.nanmean(known)
            np.testing.assert_allclose(value, expected, atol=1e-6)


def test_average_precision_by_hand():
    """Ranked: hit 0.9, miss 0.8, hit 0.7; two boxes. Precision 1 up to recall 0.5, then 2/3: (51 + 50 * 2/3) / 101."""
    evaluator = CocoEvaluator(one_class([[BOX], [OTHER]]))
    found = [as_detections([[*BOX, 0.9, 0], [*FAR, 0.8, 0]]), as_detections([[*OTHER, 0.7, 0]])]
    evaluator.update([0, 1], found)
    metrics = evaluator.compute()
    expected = (51 + 50 * 2 / 3) / 101
    numbers = metrics.twelve()
    assert [numbers[name] for name in ("AP", "AP50", "AR1")] == pytest.approx([expected, expected, 1.0])
    # 400 square pixels are small, 1200 medium; there is no large one.
    assert metrics.twelve()["APs"] == pytest.approx(1.0)
    assert math.isnan(metrics.APl)
    entry = metrics.per_class[0]
    # Keeping all three: precision 2/3, recall 1, F1 0.8; keeping one: 1, 0.5, 2/3.
    assert (entry.precision, entry.recall, entry.f1) == pytest.approx((2 / 3, 1.0, 0.8))
    assert entry.confidence == pytest.approx(0.7)
    assert (metrics.images, metrics.boxes, metrics.detections) == (2, 2, 3)


def test_overlap_decides_up_to_which_threshold_a_box_is_found():
    """A box three quarters as wide: IoU 0.75 passes 0.50, 0.55, ... 0.75, six thresholds of ten."""
    evaluator = CocoEvaluator(one_class([[[0, 0, 40, 40]]]))
    evaluator.update([0], [as_detections([[0, 0, 30, 40, 0.9, 0]])])
    metrics = evaluator.compute()
    assert list(metrics.twelve().values())[:3] == pytest.approx([0.6, 1.0, 1.0])


def test_detections_in_a_crowd_count_neither_for_nor_against():
    crowd = one_class([[BOX, [40, 40, 100, 100]]], crowd=[[False, True]])
    rows = [[*BOX, 0.5, 0], [41, 41, 60, 60, 0.9, 0], [60, 60, 90, 90, 0.8, 0]]
    evaluator = CocoEvaluator(crowd)
    evaluator.update([0], [as_detections(rows)])
    metrics = evaluator.compute()
    assert metrics.twelve()["AP50"] == pytest.approx(1.0)
    assert (metrics.boxes, metrics.per_class[0].boxes) == (1, 1)
    assert metrics.per_class[0].precision == pytest.approx(1.0)


def test_area_comes_from_the_annotation_not_from_the_box():
    evaluator = CocoEvaluator(one_class([[[0, 0, 60, 60]]], areas=[[500.0]]))
    evaluator.update([0], [as_detections([[0, 0, 60, 60, 0.9, 0]])])
    metrics = evaluator.compute()
    assert metrics.twelve()["APs"] == pytest.approx(1.0)
    assert math.isnan(metrics.APm)


def test_nothing_detected_is_zero_and_nothing_labelled_is_undefined():
    nothing = as_detections([])
    missed = CocoEvaluator(one_class([[BOX]]))
    missed.update([0], [nothing])
    metrics = missed.compute()
    assert (metrics.AP, metrics.AR100) == (0.0, 0.0)
    assert math.isnan(metrics.per_class[0].precision)
    assert (metrics.per_class[0].recall, metrics.per_class[0].f1) == (0.0, 0.0)
    for found in (nothing, as_detections([[*BOX, 0.9, 0]])):
        unlabelled = CocoEvaluator(one_class([[]]))
        unlabelled.update([0], [found])
        metrics = unlabelled.compute()
        assert all(math.isnan(value) for value in metrics.twelve().values())
        assert json.loads(json.dumps(metrics.to_json(), allow_nan=False))["AP"] is None


def test_class_without_boxes_has_no_numbers_and_does_not_lower_the_mean():
    truth = GroundTruth.from_images([0], [(100, 100)], [[BOX]], [[0]], ["here", "nowhere"])
    evaluator = CocoEvaluator(truth)
    evaluator.update([0], [as_detections([[*BOX, 0.9, 0], [*FAR, 0.9, 1]])])
    metrics = evaluator.compute()
    assert metrics.twelve()["AP"] == pytest.approx(1.0)
    assert math.isnan(metrics.per_class[1].ap)
    assert math.isnan(metrics.per_class[1].f1)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=12, max_size=12), st.booleans())
def test_merging_any_split_equals_one_pass(owners, padded):
    dataset = generated_coco(5)
    detections = fair_detections(dataset, seed=3)
    whole = evaluated(dataset, detections).compute()
    truth = GroundTruth.from_coco(dataset)
    parts = [CocoEvaluator(truth) for _ in range(3)]
    for owner, (image_id, found) in zip(owners, detections.items(), strict=True):
        parts[owner].update([image_id], [found])
        if padded and owner == 0:  # as a distributed sampler fills up the last batch
            parts[2].update([image_id], [found])
    merged = CocoEvaluator(truth)
    merged.merge([part.state() for part in parts])
    assert merged.compute(curves=False).to_json() == evaluated(dataset, detections).compute(curves=False).to_json()
    assert merged.compute().to_json() == whole.to_json()
    assert len(merged) == 12


def test_image_given_twice_or_unknown_or_never_is_an_error():
    evaluator = CocoEvaluator(one_class([[BOX], [BOX]]))
    found = as_detections([[*BOX, 0.9, 0]])
    evaluator.update([0], [found])
    with pytest.raises(DataError, match="given before"):
        evaluator.update([0], [found])
    with pytest.raises(DataError, match="not in the ground truth"):
        evaluator.update([7], [found])
    with pytest.raises(DataError, match="1 of 2 images"):
        evaluator.compute()
    assert evaluator.compute(partial=True).images == 1
    assert evaluator.compute(partial=True).boxes == 1
    evaluator.reset()
    assert len(evaluator) == 0
    assert evaluator.compute(partial=True).images == 0


@pytest.mark.parametrize(("row", "message"), [([*BOX, 0.9, 1], "class outside"), ([*BOX, math.nan, 0], "not finite")])
def test_impossible_detections_are_refused(row, message):
    evaluator = CocoEvaluator(one_class([[BOX]]))
    with pytest.raises(DataError, match=message):
        evaluator.update([0], [as_detections([row])])
    assert len(evaluator) == 0


def test_results_carry_original_ids_and_give_the_same_numbers(tmp_path):
    dataset = generated_coco(8)
    evaluator = evaluated(dataset, fair_detections(dataset, seed=1))
    evaluator.write_results(tmp_path / "results.json")
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]
    results = json.loads((tmp_path / "results.json").read_text())
    assert {r["image_id"] for r in results} <= {i["id"] for i in dataset["images"]}
    assert {r["category_id"] for r in results} == {c["id"] for c in dataset["categories"]}
    labels = {c["id"]: k for k, c in enumerate(dataset["categories"])}
    again = {image["id"]: [] for image in dataset["images"]}
    for r in results:
        x, y, w, h = r["bbox"]
        again[r["image_id"]].append([x, y, x + w, y + h, r["score"], labels[r["category_id"]]])
    metrics = evaluated(dataset, {i: as_detections(rows) for i, rows in again.items()}).compute()
    assert metrics.twelve() == pytest.approx(evaluator.compute().twelve(), abs=1e-9)
    with pytest.raises(WriteError, match="cannot be written"):
        evaluator.write_results(tmp_path / "missing" / "results.json")


def test_paths_serve_as_image_ids():
    truth = GroundTruth.from_images(["b.jpg", "a.jpg"], [(9, 9)] * 2, [[[0, 0, 9, 9]], []], [[0], []], ["thing"])
    evaluator = CocoEvaluator(truth)
    evaluator.update(["a.jpg", "b.jpg"], [as_detections([]), as_detections([[0, 0, 9, 9, 0.5, 0]])])
    assert evaluator.compute().twelve()["AP"] == pytest.approx(1.0)
    assert evaluator.results() == [{"image_id": "b.jpg", "category_id": 1, "bbox": [0, 0, 9, 9], "score": 0.5}]


def test_names_of_the_twelve_are_in_the_order_of_cocos_tools():
    dataset = generated_coco(2)
    assert tuple(evaluated(dataset, fair_detections(dataset, 0)).compute().twelve()) == TWELVE
