import numpy as np
import pytest
from tests.helpers.coco_cases import as_detections

from spikeyolo.evaluation.coco import CocoEvaluator
from spikeyolo.evaluation.ground_truth import GroundTruth

A, B, FAR = [0, 0, 20, 20], [50, 50, 70, 70], [80, 0, 99, 20]


def confusions(boxes, labels, rows, crowd=None, **thresholds):
    truth = GroundTruth.from_images(
        [5], [(100, 100)], [boxes], [labels], ["cat", "dog"], crowd=None if crowd is None else [crowd]
    )
    evaluator = CocoEvaluator(truth)
    evaluator.update([5], [as_detections(rows)])
    return evaluator.confusion_matrix(**thresholds)


def test_hand_made_image():
    """A cat found, a dog taken for a cat, a dog missed, a dog seen where nothing is, a cat below the confidence."""
    rows = [[*A, 0.9, 0], [*B, 0.8, 0], [30, 0, 45, 20, 0.7, 1], [*FAR, 0.1, 1]]
    matrix = confusions([A, B, FAR], [0, 1, 1], rows)
    np.testing.assert_array_equal(matrix.counts, [[1, 0, 0], [1, 0, 1], [0, 1, 0]])
    assert (matrix.confidence, matrix.iou) == (0.25, 0.5)


@pytest.mark.parametrize(
    ("rows", "expected", "why"),
    [
        ([[*A, 0.9, 0], [*A, 0.8, 0]], [[1, 0, 0], [0, 0, 0], [1, 0, 0]], "a box is found once"),
        ([[*A, 0.8, 0], [*A, 0.9, 1]], [[0, 1, 0], [0, 0, 0], [1, 0, 0]], "the better score chooses first"),
        ([[0, 0, 10, 20, 0.9, 0]], [[1, 0, 0], [0, 0, 0], [0, 0, 0]], "IoU of exactly 0.5 counts"),
        ([[0, 0, 9, 20, 0.9, 0]], [[0, 0, 1], [0, 0, 0], [1, 0, 0]], "IoU below 0.5 does not"),
        ([], [[0, 0, 1], [0, 0, 0], [0, 0, 0]], "missed"),
    ],
)
def test_rules(rows, expected, why):
    np.testing.assert_array_equal(confusions([A], [0], rows).counts, expected, err_msg=why)


def test_of_two_boxes_in_one_place_the_own_class_is_found():
    matrix = confusions([A, A], [0, 1], [[*A, 0.9, 1], [*A, 0.8, 0]])
    np.testing.assert_array_equal(matrix.counts, [[1, 0, 0], [0, 1, 0], [0, 0, 0]])


def test_crowd_swallows_its_own_class_only_and_is_never_missed():
    inside = [[51, 51, 56, 56, 0.9, 0], [60, 60, 65, 65, 0.8, 0], [55, 55, 60, 60, 0.7, 1]]
    matrix = confusions([B], [0], inside, crowd=[True])
    np.testing.assert_array_equal(matrix.counts, [[0, 0, 0], [0, 0, 0], [0, 1, 0]])


def test_thresholds_are_heeded():
    rows = [[0, 0, 14, 20, 0.6, 0]]  # IoU 0.7
    assert confusions([A], [0], rows, iou=0.75).counts[0, 2] == 1
    assert confusions([A], [0], rows, confidence=0.65).counts[0, 2] == 1
    assert confusions([A], [0], rows, iou=0.65, confidence=0.55).counts[0, 0] == 1


def test_image_without_boxes_and_without_detections():
    assert confusions([], [], []).counts.sum() == 0
    np.testing.assert_array_equal(confusions([], [], [[*A, 0.9, 1]]).counts[2], [0, 1, 0])
