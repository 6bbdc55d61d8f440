import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikeyolo.errors import ShapeError
from spikeyolo.structures import Batch, Detections, Placement, Targets

BOX = [0.0, 0.0, 2.0, 2.0]


def targets(boxes=(BOX,), labels=(0,), image_index=(0,), num_images=1):
    return Targets(torch.tensor(image_index), torch.tensor(labels), torch.tensor(boxes).reshape(-1, 4), num_images)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"boxes": ((0.0, 0.0, 0.0, 2.0),)}, "without area"),
        ({"boxes": ((0.0, 0.0, float("nan"), 2.0),)}, "not finite"),
        ({"boxes": ((0.0, 0.0, float("inf"), 2.0),)}, "not finite"),
        ({"labels": (-1,)}, "below 0"),
        ({"labels": (0, 1)}, "labels"),
        ({"labels": (0.5,)}, "int64"),
        ({"image_index": (1,)}, "outside the batch of 1"),
        ({"image_index": (-1,)}, "outside the batch"),
    ],
)
def test_targets_refuse(changes, word):
    with pytest.raises(ShapeError, match=word):
        targets(**changes)


def test_targets_joined_from_images():
    boxes = [torch.tensor([BOX]), torch.zeros(0, 4), torch.tensor([BOX, BOX])]
    labels = [torch.tensor([3]), torch.zeros(0, dtype=torch.int64), torch.tensor([1, 2])]
    joined = Targets.from_images(labels, boxes)
    assert joined.image_index.tolist() == [0, 2, 2]
    assert joined.labels.tolist() == [3, 1, 2]
    assert joined.num_images == 3
    assert len(Targets.from_images([], [])) == 0


@pytest.mark.parametrize(
    ("boxes", "scores", "labels", "word"),
    [
        (torch.zeros(2, 4), torch.zeros(3), torch.zeros(2, dtype=torch.int64), "scores"),
        (torch.zeros(2, 4), torch.zeros(2), torch.zeros(2), "labels"),
        (torch.zeros(2, 5), torch.zeros(2), torch.zeros(2, dtype=torch.int64), "boxes"),
        (torch.zeros(2, 4, dtype=torch.int64), torch.zeros(2), torch.zeros(2, dtype=torch.int64), "boxes"),
    ],
)
def test_detections_refuse(boxes, scores, labels, word):
    with pytest.raises(ShapeError, match=f"Detections.{word}"):
        Detections(boxes, scores, labels)


def test_batch():
    placements = (Placement((4, 4)),)
    batch = Batch(torch.zeros(1, 3, 32, 32, dtype=torch.uint8), targets(), placements, ("a.jpg",))
    assert batch.batch_size == 1
    frames = Batch(torch.zeros(5, 1, 2, 32, 32), targets(), placements, (7,))
    assert frames.batch_size == 1
    with pytest.raises(ShapeError, match=r"Batch\.placements: 0 beside 1"):
        Batch(torch.zeros(1, 3, 32, 32), targets(), (), (7,))
    for wrong in (torch.zeros(3, 32, 32), torch.zeros(1, 3, 32, 32, dtype=torch.int8), frames.images.int()):
        with pytest.raises(ShapeError, match=r"Batch\.images"):
            Batch(wrong, targets(), placements, (7,))
    counts = Batch(frames.images.to(torch.int16), targets(), placements, (7,))
    assert counts.to("cpu").images.dtype == torch.int16


@given(
    scale=st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)),
    offset=st.tuples(st.floats(-100, 100), st.floats(-100, 100)),
    box=st.tuples(st.floats(0, 40), st.floats(0, 30), st.floats(0, 40), st.floats(0, 30)),
)
def test_placement_there_and_back(scale, offset, box):
    placement = Placement((70, 80), scale, offset)
    boxes = torch.tensor([[box[0], box[1], box[0] + box[2], box[1] + box[3]]], dtype=torch.float64)
    torch.testing.assert_close(placement.to_original(placement.to_canvas(boxes)), boxes, atol=1e-6, rtol=0)


def test_placement_takes_arrays_as_it_takes_tensors():
    placement = Placement((30, 40), (0.3, 0.7), (3, 0))
    boxes = torch.rand(50, 4) * 60 - 10
    for way in (placement.to_canvas, placement.to_original):
        moved = way(boxes.numpy())
        assert moved.dtype == np.float32
        assert np.array_equal(moved, way(boxes).numpy())


def test_placement_clips_to_the_original():
    outside = torch.tensor([[-5.0, -5.0, 500.0, 500.0]])
    assert Placement((10, 20)).to_original(outside).tolist() == [[0, 0, 20, 10]]


def test_moving_keeps_everything():
    batch = Batch(torch.zeros(1, 3, 32, 32), targets(), (Placement((4, 4)),), ("a",))
    moved = batch.to("cpu")
    assert moved.image_ids == ("a",)
    assert torch.equal(moved.targets.boxes, batch.targets.boxes)
    found = Detections(torch.zeros(1, 4), torch.zeros(1), torch.zeros(1, dtype=torch.int64)).to("cpu")
    assert len(found) == 1
