"""Potentials carried from one stretch of timesteps to the next, row by row."""

from collections import deque
from dataclasses import replace

import pytest
import torch
from tests.helpers.networks import lively

from spikeyolo.errors import ShapeError
from spikeyolo.model.lanes import Carried, Lanes
from spikeyolo.placement import Placement
from spikeyolo.spiking import SpikingNeuron
from spikeyolo.structures import StretchBatch, Targets

T = 2
CHANGES = {"num_classes": 2, "in_channels": 2, "timesteps": T}


class Awake(SpikingNeuron):
    """Rests at 0.75 in its first variable; the second counts timesteps."""

    def rest(self, current):
        return torch.stack([torch.full_like(current, 0.75), torch.zeros_like(current)])

    def step(self, current, v):
        h = 0.5 * v[0] + current + 0.01 * v[1]
        counts = h + (h.clamp(0, self.max_count).round() - h).detach()
        return counts, torch.stack([h - counts.detach(), v[1] + 1])


@pytest.fixture(scope="module")
def network():
    return lively("t-gen1", **CHANGES)


def frames(length=8, rows=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (3 * torch.rand(length, rows, 2, 64, 64, generator=generator)).round().double()


def stretch(images, lanes=(0, 1), fresh=(False, False), labelled=()):
    """A batch of which (row, timestep) pairs are labelled."""
    rows, steps = torch.tensor(labelled, dtype=torch.int64).reshape(-1, 2).unbind(1)
    nothing = [torch.zeros(0, dtype=torch.int64)] * len(rows), [torch.zeros(0, 4)] * len(rows)
    places = (Placement((64, 64), (1.0, 1.0)),) * len(rows)
    return StretchBatch(
        images, lanes, fresh, rows, steps, Targets.from_images(*nothing), places, tuple(range(len(rows)))
    )


def look(network, carrying, images, start, stop, **given):
    part = images[start:stop]
    return carrying.look(network, part, stretch(part, **given))


def one_by_one(network, images, detach_at=None):
    """For each timestep the mean logits of the last T, timestep by timestep through `forward` as a stream runs."""
    state, recent, means = {}, deque(maxlen=T), []
    for number, frame in enumerate(images):
        if number == detach_at:
            state = state.detach()
            recent = deque([[level.detach() for level in logits] for logits in recent], maxlen=T)
        logits, state = network(frame.unsqueeze(0), state)
        recent.append(logits)
        means.append([torch.stack(levels).mean(0) for levels in zip(*recent, strict=True)])
    return means


def gradients(network, loss, images):
    names, parameters = zip(*network.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, [*parameters, images], retain_graph=True, allow_unused=True)
    return dict(zip([*names, "images"], found, strict=True))


def total(logits):
    return sum((level.sin()).sum() for level in logits)


def assert_same(one, two):
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-9, atol=1e-9, msg=lambda text, name=name: name + text)


def test_nothing_cut_has_the_gradients_of_the_whole_sequence(network):
    images = frames().requires_grad_()
    labelled = ((0, 0), (0, 3), (0, 7), (1, 5))
    found = look(network, Lanes(), images, 0, 8, fresh=(True, True), labelled=labelled)
    means = one_by_one(network, images)
    expected = [torch.stack([means[step][level][row] for row, step in labelled]) for level in range(3)]
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-12)
    ours, theirs = (gradients(network, total(logits), images) for logits in (found, expected))
    assert ours["images"].abs().amax((1, 2, 3, 4)).min() > 0  # all of the sequence takes part
    assert_same(ours, theirs)


def test_at_a_cut_values_go_on_and_gradients_do_not(network):
    images = frames().requires_grad_()
    lanes = Lanes()
    look(network, lanes, images, 0, 4, fresh=(True, True))
    found = look(network, lanes, images, 4, 8, labelled=((0, 0), (1, 3)))  # the first mean reaches over the cut
    whole, cut = one_by_one(network, images), one_by_one(network, images, detach_at=4)
    at = ((0, 4), (1, 7))
    for level in range(3):
        expected = torch.stack([whole[step][level][row] for row, step in at])
        torch.testing.assert_close(found[level], expected, rtol=1e-12, atol=1e-12)
    ours = gradients(network, total(found), images)
    assert not ours["images"][:4].any()
    assert ours["images"][4:].any()
    assert_same(ours, gradients(network, sum(total([x[r : r + 1] for x in cut[s]]) for r, s in at), images))
    undetached = gradients(network, sum(total([x[r : r + 1] for x in whole[s]]) for r, s in at), images)
    assert undetached["images"][:4].any()  # there was something to cut
    assert not any(v.requires_grad for v in (*lanes.carried.state.values(), *lanes.carried.recent, lanes.carried.seen))


@pytest.mark.parametrize("neuron", ["gen1", Awake])
def test_a_row_that_begins_anew_is_at_rest_and_the_others_go_on(neuron):
    network = lively("t-gen1", neuron=neuron, **CHANGES)
    images, labelled = frames(6), ((0, 0), (0, 2), (1, 0), (1, 2))
    lanes = Lanes()
    with torch.no_grad():
        look(network, lanes, images, 0, 3, fresh=(True, True))
        found = look(network, lanes, images, 3, 6, fresh=(False, True), labelled=labelled)
        whole, rested = one_by_one(network, images), one_by_one(network, images[3:])
    for level in range(3):
        expected = [whole[3][level][0], whole[5][level][0], rested[0][level][1], rested[2][level][1]]
        torch.testing.assert_close(found[level], torch.stack(expected), rtol=1e-12, atol=1e-12)
    assert not torch.allclose(whole[3][0][1], rested[0][0][1])
    assert lanes.carried.seen.tolist() == [6, 3]


def test_rows_are_independent_and_go_on_by_their_numbers(network):
    images, other = frames(6, rows=3), frames(6, rows=3, seed=1)
    with torch.no_grad():
        lanes = Lanes()
        look(network, lanes, images, 0, 3, lanes=(4, 7, 9), fresh=(True,) * 3)
        swapped = images[:, [2, 0]]
        found = look(network, lanes, swapped, 3, 6, lanes=(9, 4), labelled=((0, 2), (1, 2)))
        mixed = torch.cat([images[:, :1], other[:, 1:]], dim=1)
        beside = Lanes()
        look(network, beside, mixed, 0, 3, lanes=(4, 7, 9), fresh=(True,) * 3)
        again = look(network, beside, mixed, 3, 6, lanes=(4, 7, 9), fresh=(False,) * 3, labelled=((0, 2),))
        whole = one_by_one(network, images)[5]
    for level in range(3):
        torch.testing.assert_close(found[level], whole[level][[2, 0]], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(again[level], whole[level][:1], rtol=1e-12, atol=1e-12)
    with pytest.raises(ShapeError, match=r"lanes \[7\] go on from the batch before, which had \[9, 4\]"):
        look(network, lanes, images, 3, 6, lanes=(7, 8, 9), fresh=(False, True, False))


def test_what_is_carried_is_kept_and_joined_from_several_processes(network):
    images = frames(6, rows=3)
    with torch.no_grad():
        lanes, parts = Lanes(), []
        for rows in ([0, 2], [1]):
            own = Lanes()
            look(network, own, images[:, rows], 0, 3, lanes=tuple(rows), fresh=(True,) * len(rows))
            parts.append(Carried.from_dict(own.carried.to_dict()))
        lanes.carried = Carried.joined(parts)
        found = look(
            network, lanes, images, 3, 6, lanes=(0, 1, 2), fresh=(False,) * 3, labelled=((0, 2), (1, 0), (2, 2))
        )
        whole = one_by_one(network, images)
    for level in range(3):
        expected = torch.stack([whole[5][level][0], whole[3][level][1], whole[5][level][2]])
        torch.testing.assert_close(found[level], expected, rtol=1e-12, atol=1e-12)


def test_rows_that_nothing_follows_leave_nothing(network):
    images, lanes = frames(4, rows=2), Lanes()
    with torch.no_grad():
        look(network, lanes, images, 0, 2, lanes=(-1, 3), fresh=(True, True))
        assert lanes.carried.lanes == (3,)
        found = look(network, lanes, images, 2, 4, lanes=(3, -1), fresh=(False, True), labelled=((1, 1),))
        assert lanes.carried.lanes == (3,)
        rested = one_by_one(network, images[2:])[1]
        for level, expected in zip(found, rested, strict=True):
            torch.testing.assert_close(level[0], expected[1], rtol=1e-12, atol=1e-12)
        look(network, lanes, images, 0, 2, lanes=(-1, -1), fresh=(True, True))
    assert lanes.carried is None


def test_without_labels_there_are_no_logits_and_a_loss_of_them_has_gradients_of_zero(network):
    images = frames(2).requires_grad_()
    found = look(network, Lanes(), images, 0, 2, fresh=(True, True))
    assert [level.shape[0] for level in found] == [0, 0, 0]
    assert all(not g.any() for g in torch.autograd.grad(total(found), list(network.head.parameters())))


def test_windows_of_a_batch_are_the_last_frames_up_to_each_label():
    images = frames(3, rows=2)
    windows = stretch(images, labelled=((0, 2), (1, 0))).windows(T)
    assert torch.equal(windows.images, torch.stack([images[1:3, 0], torch.stack([images[0, 1] * 0, images[0, 1]])], 1))
    with pytest.raises(ShapeError, match=r"StretchBatch.steps: outside 0\.\.2"):
        replace(
            stretch(images),
            rows=torch.tensor([0]),
            steps=torch.tensor([3]),
            targets=Targets.from_images([torch.zeros(0, dtype=torch.int64)], [torch.zeros(0, 4)]),
            placements=(None,),
            image_ids=(0,),
        )
