import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.boxes import cxcywh_to_xyxy
from tests.helpers.golden import golden_arrays

from spikeyolo.detection import nms
from spikeyolo.detection.boxes import box_iou
from spikeyolo.detection.nms import non_maximum_suppression

IMPLEMENTATIONS = {"opencv": nms._by_arrays, "blocks": nms._in_blocks}


@pytest.fixture(params=IMPLEMENTATIONS)
def implementation(request, monkeypatch):
    """Each of the two implementations in turn, on the CPU."""
    monkeypatch.setattr(nms, "_by_arrays", IMPLEMENTATIONS[request.param])


@pytest.mark.usefixtures("implementation")
@pytest.mark.parametrize("case", ["a", "b", "c"])
def test_golden(case):
    arrays = golden_arrays("components/nms.npz")
    prediction = torch.tensor(arrays[f"{case}_pred"]).transpose(1, 2)
    conf, iou, agnostic, most = arrays[f"{case}_params"]
    boxes, scores = cxcywh_to_xyxy(prediction[..., :4]), prediction[..., 4:]
    if agnostic:  # boxes of all classes suppress each other: they are of one class
        scores = scores.amax(-1, keepdim=True)
    found = non_maximum_suppression(boxes, scores, conf, iou, int(most))
    for i, detections in enumerate(found):
        expected = torch.tensor(arrays[f"{case}_out{i}"])
        torch.testing.assert_close(detections.boxes, expected[:, :4], rtol=0, atol=1e-4)
        assert torch.equal(detections.scores, expected[:, 4])
        assert agnostic or torch.equal(detections.labels, expected[:, 5].long())


def random_predictions(seed, count, classes):
    generator = torch.Generator().manual_seed(seed)
    low = torch.rand(1, count, 2, generator=generator) * 120 - 90  # boxes may reach beyond the image
    boxes = torch.cat([low, low + 1 + torch.rand(1, count, 2, generator=generator) * 40], dim=-1)
    scores = torch.rand(1, count, classes, generator=generator)
    return boxes, (scores * 20).round() / 20  # with ties


def greedy(boxes, scores, labels, iou):
    """The definition, box by box."""
    kept = []
    for i in range(len(boxes)):
        rivals = [j for j in kept if labels[j] == labels[i]]
        if not any(box_iou(boxes[i : i + 1].double(), boxes[j : j + 1].double()).item() > iou for j in rivals):
            kept.append(i)
    return kept


@pytest.mark.parametrize("multi_label", [False, True])
@given(
    seed=st.integers(0, 2**16),
    count=st.integers(0, 40),
    classes=st.integers(1, 3),
    iou=st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]),
    name=st.sampled_from(sorted(IMPLEMENTATIONS)),
)
def test_equals_the_definition(multi_label, seed, count, classes, iou, name):
    boxes, scores = random_predictions(seed, count, classes)
    candidates = nms._candidates(boxes[0], scores[0], 0.2, multi_label)
    found = IMPLEMENTATIONS[name](boxes[0], scores[0], 0.2, iou, 300, multi_label)
    kept = greedy(candidates.boxes, candidates.scores, candidates.labels, iou)
    assert torch.equal(found.boxes, candidates.boxes[kept])
    assert torch.equal(found.scores, candidates.scores[kept])
    assert torch.equal(found.labels, candidates.labels[kept])


@pytest.mark.usefixtures("implementation")
def test_boxes_left_of_and_above_the_image_do_not_reach_those_of_the_next_class():
    boxes = torch.tensor([[[160.0, 160.0, 640.0, 640.0], [-480.0, -480.0, 1.0, 1.0]]])
    scores = torch.tensor([[[0.9, 0.0], [0.0, 0.8]]])
    (found,) = non_maximum_suppression(boxes, scores, conf=0.1, iou=0.7, max_det=300)
    assert found.labels.tolist() == [0, 1]


@given(seed=st.integers(0, 2**16), count=st.integers(0, 80), iou=st.floats(0, 1), most=st.integers(1, 20))
def test_output_is_a_subset_without_overlapping_pairs(seed, count, iou, most):
    boxes, scores = random_predictions(seed, count, 3)
    (found,) = non_maximum_suppression(boxes, scores, conf=0.3, iou=iou, max_det=most)
    assert len(found) <= most
    assert (found.scores > 0.3).all()
    assert (found.scores.diff() <= 0).all()
    rows = {tuple(row) for row in boxes[0].tolist()}
    assert all(tuple(row) in rows for row in found.boxes.tolist())
    for label in found.labels.unique():
        of_class = found.boxes[found.labels == label]
        overlap = box_iou(of_class.double(), of_class.double()).fill_diagonal_(0)
        assert not (overlap > iou + 1e-6).any()


@pytest.mark.usefixtures("implementation")
def test_more_boxes_than_a_block():
    generator = torch.Generator().manual_seed(0)
    low = torch.rand(1, 1500, 2, generator=generator) * 3000
    boxes = torch.cat([low, low + 30], dim=-1)
    scores = torch.rand(1, 1500, 1, generator=generator)
    (found,) = non_maximum_suppression(boxes, scores, conf=0.0, iou=0.5, max_det=2000)
    order = scores[0, :, 0].argsort(descending=True)
    sorted_boxes = boxes[0, order]
    expected = greedy_fast(sorted_boxes, 0.5)
    assert torch.equal(found.boxes, sorted_boxes[expected])


def greedy_fast(boxes, iou):
    overlap = box_iou(boxes.double(), boxes.double()) > iou
    alive = torch.ones(len(boxes), dtype=torch.bool)
    for i in range(len(boxes)):
        if alive[i]:
            alive[i + 1 :] &= ~overlap[i, i + 1 :]
    return alive


def test_boxes_of_different_classes_do_not_suppress_each_other():
    boxes = torch.tensor([[[0.0, 0.0, 10.0, 10.0], [1.0, 1.0, 10.0, 10.0]]])
    scores = torch.tensor([[[0.9, 0.1], [0.1, 0.8]]])
    assert non_maximum_suppression(boxes, scores, 0.25, 0.5, 300)[0].labels.tolist() == [0, 1]
    assert non_maximum_suppression(boxes, scores.flip(-1)[..., :1] + 0.2, 0.25, 0.5, 300)[0].labels.tolist() == [0]


def test_multi_label_keeps_a_box_for_each_class():
    boxes, scores = torch.tensor([[[0.0, 0.0, 10.0, 10.0]]]), torch.tensor([[[0.9, 0.4, 0.1]]])
    assert non_maximum_suppression(boxes, scores, 0.3, 0.7, 300)[0].labels.tolist() == [0]
    assert non_maximum_suppression(boxes, scores, 0.3, 0.7, 300, multi_label=True)[0].labels.tolist() == [0, 1]
