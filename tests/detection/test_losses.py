import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.boxes import cxcywh_to_xyxy
from tests.helpers.golden import golden_arrays
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from spikeyolo.detection.anchors import anchor_points
from spikeyolo.detection.assigner import assign_targets, points_inside
from spikeyolo.detection.boxes import complete_iou
from spikeyolo.detection.gains import LossGains
from spikeyolo.detection.losses import detection_loss, distribution_focal_loss
from spikeyolo.errors import ShapeError
from spikeyolo.structures import REG_MAX, STRIDES, Targets


def golden_case(name):
    arrays = golden_arrays("components/loss.npz")
    logits = [torch.tensor(arrays[f"{name}_head{i}"], requires_grad=True) for i in range(3)]
    boxes = cxcywh_to_xyxy(torch.tensor(arrays[f"{name}_bboxes"])) * int(arrays[f"{name}_size"])
    targets = Targets(
        torch.tensor(arrays[f"{name}_batch_idx"]).long(),
        torch.tensor(arrays[f"{name}_cls"]).long().flatten(),
        boxes,
        logits[0].shape[0],
    )
    return logits, targets, {k.removeprefix(f"{name}_"): v for k, v in arrays.items() if k.startswith(f"{name}_")}


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_golden(name):
    logits, targets, expected = golden_case(name)
    loss = detection_loss(logits, targets, STRIDES)
    loss.total.backward()
    assert loss.total.item() == pytest.approx(expected["total"].item(), rel=1e-5)
    items = torch.stack([loss.box, loss.classes, loss.distribution])
    torch.testing.assert_close(items, torch.tensor(expected["items"]), rtol=1e-5, atol=1e-6)
    for i, level in enumerate(logits):
        grad = torch.tensor(expected[f"grad{i}"])
        assert (level.grad - grad).norm() <= 1e-5 * grad.norm()


def test_order_of_the_targets_does_not_matter():
    logits, targets, _ = golden_case("a")
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(0))
    shuffled = Targets(targets.image_index[order], targets.labels[order], targets.boxes[order], targets.num_images)
    torch.testing.assert_close(
        detection_loss(logits, shuffled, STRIDES).total, detection_loss(logits, targets, STRIDES).total
    )


def test_gains_scale_the_parts():
    logits, targets, _ = golden_case("a")
    published = detection_loss(logits, targets, STRIDES)
    other = detection_loss(logits, targets, STRIDES, LossGains(box=15.0, classes=0.25, distribution=0.0))
    assert other.box.item() == pytest.approx(2 * published.box.item())
    assert other.classes.item() == pytest.approx(published.classes.item() / 2)
    assert other.distribution.item() == 0


def test_without_targets_only_the_classes_learn():
    logits = [torch.randn(2, 4 * REG_MAX + 3, 64 // s, 64 // s, requires_grad=True) for s in STRIDES]
    targets = Targets(torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 4), 2)
    loss = detection_loss(logits, targets, STRIDES)
    loss.total.backward()
    expected = 0.5 * sum(
        F.binary_cross_entropy_with_logits(x[:, 64:], torch.zeros(1).expand_as(x[:, 64:]), reduction="sum")
        for x in logits
    )
    assert loss.classes.item() == pytest.approx(expected.item(), rel=1e-5)
    assert loss.foreground == 0
    for level in logits:
        assert not level.grad[:, :64].any()
        assert level.grad[:, 64:].all()


def test_half_precision_logits_give_the_loss_in_float32():
    logits, targets, _ = golden_case("a")
    half = [level.detach().bfloat16().requires_grad_() for level in logits]
    loss = detection_loss(half, targets, STRIDES)
    loss.total.backward()
    assert loss.total.dtype == torch.float32
    assert loss.total.item() == pytest.approx(detection_loss(logits, targets, STRIDES).total.item(), rel=0.05)


def test_wrong_targets():
    logits, targets, _ = golden_case("a")
    with pytest.raises(ShapeError, match="of 4 images, the logits are of 3"):
        detection_loss(logits, Targets(targets.image_index, targets.labels, targets.boxes, 4), STRIDES)
    with pytest.raises(ShapeError, match="label 99"):
        detection_loss(logits, Targets(targets.image_index, targets.labels * 0 + 99, targets.boxes, 3), STRIDES)


def test_distribution_focal_loss_by_hand():
    distributions = torch.zeros(1, 4, REG_MAX)  # every bin 1/16
    ltrb = torch.tensor([[0.0, 2.25, 7.5, 14.99]])
    assert distribution_focal_loss(distributions, ltrb).item() == pytest.approx(torch.log(torch.tensor(16.0)).item())
    distributions[0, :, 3] = 50.0  # all on bin 3: exact for 3, and 50 for a whole bin beside it
    exact = distribution_focal_loss(distributions, torch.full((1, 4), 3.0)).item()
    quarter = distribution_focal_loss(distributions, torch.full((1, 4), 3.25)).item()
    assert exact == pytest.approx(0.0, abs=1e-6)
    assert quarter == pytest.approx(0.25 * 50.0, rel=1e-5)


def assign_by_tables(scores, boxes, points, targets):
    """TOOD's assignment image by image with full tables: slow and plain."""
    rows = []
    for image in range(len(scores)):
        mine = (targets.image_index == image).nonzero().flatten()
        if len(mine) == 0:
            continue
        true_boxes, labels = targets.boxes[mine], targets.labels[mine]
        inside = ((points[None] > true_boxes[:, None, :2]) & (points[None] < true_boxes[:, None, 2:])).all(-1)
        overlap = complete_iou(true_boxes[:, None], boxes[image][None]).clamp(min=0) * inside
        alignment = scores[image][:, labels].T.sqrt() * overlap**6
        chosen = torch.zeros_like(inside)
        for target in range(len(mine)):
            best = alignment[target].topk(min(10, len(points))).indices
            chosen[target, best] = alignment[target, best] > 0
        for anchor in (chosen.sum(0) > 1).nonzero().flatten():
            chosen[:, anchor] = False
            chosen[overlap[:, anchor].argmax(), anchor] = True
        for target, anchor in chosen.nonzero().tolist():
            best_alignment = alignment[target][chosen[target]].max()
            weight = alignment[target, anchor] * overlap[target][chosen[target]].max() / (best_alignment + 1e-9)
            if weight > 0:
                rows.append((image, anchor, int(mine[target]), round(weight.item(), 6)))
    return sorted(rows)


def random_case(seed, count, images=3, side=64, dtype=torch.float64):
    """Scores, boxes, points and `count` targets."""
    generator = torch.Generator().manual_seed(seed)
    sizes_hw = [(side // s, side // s) for s in STRIDES]
    points, _ = anchor_points(sizes_hw, STRIDES)
    centres = torch.rand(count, 2, generator=generator) * side
    sizes = 4 + torch.rand(count, 2, generator=generator) * 40
    targets = Targets(
        torch.randint(0, images, (count,), generator=generator),
        torch.randint(0, 4, (count,), generator=generator),
        torch.cat([centres - sizes / 2, centres + sizes / 2], dim=1).to(dtype),
        images,
    )
    shape = (images, len(points), 4)
    scores = torch.rand(shape, generator=generator, dtype=dtype)
    noise = 6 + torch.rand(shape, generator=generator, dtype=dtype) * 20
    points = points.to(dtype)
    return scores, torch.cat([points - noise[..., :2], points + noise[..., 2:]], dim=-1), points, targets, sizes_hw


@given(seed=st.integers(0, 2**20), count=st.integers(0, 12))
def test_assignment_equals_the_definition(seed, count):
    scores, boxes, points, targets, sizes_hw = random_case(seed, count)
    found = assign_targets(scores, boxes, sizes_hw, STRIDES, targets)
    rows = sorted(
        (i, a, t, round(w, 6))
        for i, a, t, w in zip(
            found.image_index.tolist(),
            found.anchor_index.tolist(),
            found.target_index.tolist(),
            found.weight.tolist(),
            strict=True,
        )
        if w > 0
    )
    expected = assign_by_tables(scores, boxes, points, targets)
    assert [row[:3] for row in rows] == [row[:3] for row in expected]
    assert [row[3] for row in rows] == pytest.approx([row[3] for row in expected], abs=2e-6)
    assert ((found.weight >= 0) & (found.weight <= 1)).all()
    assert not found.weight[~found.chosen].any()
    cells = set(zip(found.image_index[found.chosen].tolist(), found.anchor_index[found.chosen].tolist(), strict=True))
    assert len(cells) == int(found.chosen.sum())


@given(
    seed=st.integers(0, 2**20),
    count=st.integers(0, 30),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    whole=st.booleans(),
)
def test_inside_is_a_positive_margin_on_every_side(seed, count, dtype, whole):
    _, _, points, targets, sizes_hw = random_case(seed, count, dtype=dtype)
    boxes = targets.boxes.round() if whole else targets.boxes  # whole ones have borders that go through points
    margins = torch.cat([points - boxes[:, None, :2], boxes[:, None, 2:] - points], dim=-1)
    expected = (margins.amin(-1) > 1e-9).nonzero()
    assert torch.stack(points_inside(boxes, sizes_hw, STRIDES), dim=1).tolist() == expected.tolist()


def test_inside_of_boxes_beyond_the_canvas_and_on_levels_of_several_shapes():
    sizes_hw, strides = [(3, 5), (2, 4)], [8, 16]
    points, _ = anchor_points(sizes_hw, strides)
    boxes = torch.tensor([[-50.0, -9, 500, 13], [4, 4, 4.5, 4.5], [60, 30, 90, 70], [3.9, 3.9, 4.1, 4.1]])
    margins = torch.cat([points - boxes[:, None, :2], boxes[:, None, 2:] - points], dim=-1)
    expected = (margins.amin(-1) > 0).nonzero()
    assert torch.stack(points_inside(boxes, sizes_hw, strides), dim=1).tolist() == expected.tolist()


class LargestFloat(TorchDispatchMode):
    """Inside, notes the most elements of a floating tensor that an operation made."""

    most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for made in result if isinstance(result, tuple | list) else (result,):
            if isinstance(made, torch.Tensor) and made.is_floating_point():
                self.most = max(self.most, made.numel())
        return result


def test_crowded_batches_need_no_table_of_floats():
    scores, boxes, points, targets, sizes_hw = random_case(0, 2000, images=4, side=640, dtype=torch.float32)
    assert len(points) == 8400
    with LargestFloat() as seen:
        found = assign_targets(scores, boxes, sizes_hw, STRIDES, targets)
    assert found.chosen.sum() > 1000
    assert seen.most < len(targets) * len(points) / 20
