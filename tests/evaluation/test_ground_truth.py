from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.helpers.coco_cases import generated_coco

from spikeyolo.errors import DataError, ShapeError
from spikeyolo.evaluation.ground_truth import GroundTruth


def test_coco_annotations_become_boxes_labels_and_ids():
    dataset = {
        "images": [{"id": 9, "width": 40, "height": 30}, {"id": 4, "width": 50, "height": 60}],
        "categories": [{"id": 17, "name": "cat"}, {"id": 2, "name": "car"}],
        "annotations": [{"id": 1, "image_id": 4, "category_id": 17, "bbox": [1, 2, 3, 4], "area": 7.5, "iscrowd": 1}],
    }
    truth = GroundTruth.from_coco(dataset)
    assert (truth.image_ids, truth.class_names, truth.category_ids) == ((9, 4), ("car", "cat"), (2, 17))
    np.testing.assert_array_equal(truth.sizes_hw, [[30, 40], [60, 50]])
    np.testing.assert_array_equal(truth.boxes, [[1, 2, 4, 6]])
    assert (truth.image_index[0], truth.labels[0], truth.areas[0]) == (1, 1, 7.5)
    assert truth.crowd[0]


def test_tensors_and_empty_images_are_joined():
    boxes = [torch.zeros(0, 4), torch.tensor([[0.0, 0.0, 2.0, 3.0]])]
    labels = [torch.zeros(0, dtype=torch.int64), torch.tensor([1])]
    truth = GroundTruth.from_images(["a", "b"], [(5, 5), (5, 5)], boxes, labels, ["x", "y"])
    assert truth.image_index.tolist() == [1]
    assert truth.areas.tolist() == [6.0]
    assert truth.category_ids == (1, 2)
    assert not truth.crowd.any()


def test_what_does_not_belong_together_is_refused():
    truth = GroundTruth.from_coco(generated_coco(0))
    for wrong, error, message in (
        ({"labels": truth.labels[:-1]}, ShapeError, "labels"),
        ({"labels": truth.labels + 2}, DataError, "labels: 2..5 is outside 0..3"),
        ({"category_ids": (1, 1, 2, 3)}, DataError, "4 different ones"),
        ({"image_ids": (truth.image_ids[0],) * 12}, DataError, "named twice"),
        ({"areas": truth.areas * np.nan}, DataError, "not finite"),
    ):
        with pytest.raises(error, match=message):
            replace(truth, **wrong)


def test_annotation_of_an_undeclared_category_is_refused():
    dataset = generated_coco(0)
    dataset["annotations"][0]["category_id"] = 999
    with pytest.raises(DataError, match="999"):
        GroundTruth.from_coco(dataset)
