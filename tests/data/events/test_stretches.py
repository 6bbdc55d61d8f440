"""Recordings cut into stretches, and which row of which batch sees which of them."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.event_datasets import boxes_of, write_data_set, write_recording

from spikeyolo.data.events.augmentation import EventAugmentation
from spikeyolo.data.events.stretches import LaneSampler, RecordingSampler, Stretches, StretchKey
from spikeyolo.data.loader import Loader
from spikeyolo.data.open import open_data
from spikeyolo.errors import ConfigError
from spikeyolo.events import EventInput, open_recording

SEEN = EventInput(timesteps=2, window_us=40_000)  # timesteps of 20 ms


def cut(times, step_us=10, length=3):
    """Stretches of recordings whose labels are at these times."""
    index = SimpleNamespace(
        recording=np.repeat(np.arange(len(times)), [len(own) for own in times]).astype(np.int64),
        t_us=np.array([t for own in times for t in sorted(own)], dtype=np.int64),
    )
    return Stretches.of(index, step_us, length)


recordings = st.lists(st.sets(st.integers(0, 400), min_size=1, max_size=6), min_size=1, max_size=6)


def walk(sampler):
    return list(sampler)


def sampler_of(stretches, batch, rank=0, replicas=1, share=1.0, epoch=0, seed=5):
    sampler = LaneSampler(stretches, batch, share=share, seed=seed, num_replicas=replicas, rank=rank)
    sampler.set_epoch(epoch)
    return sampler


def test_a_recording_is_cut_backwards_from_its_last_label():
    stretches = cut([{5, 65, 100}, {30}])
    assert stretches.recording.tolist() == [0, 0, 0, 0, 1]
    assert stretches.end_us.tolist() == [10, 40, 70, 100, 30]  # the first begins before the recording
    assert stretches.first.tolist() == [True, False, False, False, True]
    labelled = [stretches.labels(0, end) for end in (10, 40, 70, 100)]
    assert [(i.tolist(), k.tolist()) for i, k in labelled] == [([0], [2]), ([], []), ([1], [2]), ([2], [2])]


@given(recordings, st.integers(1, 20), st.integers(1, 5))
def test_every_label_belongs_to_one_timestep_at_most_half_a_step_away(times, step_us, length):
    stretches = cut(times, step_us, length)
    found = {}
    for recording, end_us in zip(stretches.recording.tolist(), stretches.end_us.tolist(), strict=True):
        for instant, step in zip(*stretches.labels(recording, end_us), strict=True):
            assert instant not in found
            found[int(instant)] = end_us - (length - 1 - int(step)) * step_us
    assert sorted(found) == list(range(len(stretches.label_us)))
    for instant, end_us in found.items():
        # a label in the first half of the first timestep has nothing before it
        assert abs(end_us - stretches.label_us[instant]) <= step_us / 2 or stretches.label_us[instant] < step_us / 2


@given(recordings, st.integers(1, 5), st.integers(0, 3))
def test_lanes_see_every_stretch_once_in_order_and_begin_anew_where_a_recording_does(times, batch, epoch):
    stretches = cut(times)
    batches = walk(sampler_of(stretches, batch, epoch=epoch))
    seen = [(key.recording, key.end_us) for keys in batches for key in keys]
    assert sorted(seen) == sorted(zip(stretches.recording.tolist(), stretches.end_us.tolist(), strict=True))
    assert {len(keys) for keys in batches[:-1]} <= {min(batch, len(stretches))}
    firsts = set(zip(stretches.recording[stretches.first].tolist(), stretches.end_us[stretches.first], strict=True))
    for lane in range(batch):
        own = [key for keys in batches for key in keys if key.lane == lane]
        for number, key in enumerate(own):
            assert key.fresh == (number == 0 or (key.recording, key.end_us) in firsts)
            if not key.fresh:
                before = own[number - 1]
                assert (before.recording, before.end_us, before.draw) == (key.recording, key.end_us - 30, key.draw)


@given(recordings, st.integers(1, 3), st.integers(1, 3), st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 2))
def test_processes_together_see_what_one_would(times, batch, replicas, share, epoch):
    stretches = cut(times)
    alone = walk(sampler_of(stretches, batch * replicas, share=share, epoch=epoch))
    parts = [walk(sampler_of(stretches, batch, rank, replicas, share, epoch)) for rank in range(replicas)]
    assert len({len(part) for part in parts}) == 1
    together = [sorted(key for keys in batches for key in keys) for batches in zip(*parts, strict=True)]
    assert together == [sorted(keys) for keys in alone[: len(together)]]
    assert all(keys for part in parts for keys in part)
    assert len(alone) - len(together) <= (len({key.lane % replicas for key in alone[-1]}) < replicas)


@given(recordings, st.integers(1, 5), st.sampled_from([0.0, 0.4, 1.0]), st.data())
def test_an_epoch_is_resumed_at_any_batch(times, batch, share, data):
    whole = walk(sampler_of(cut(times), batch, share=share, epoch=2))
    start = data.draw(st.integers(0, len(whole)))
    resumed = sampler_of(cut(times), batch, share=share)
    resumed.load_state_dict({"epoch": 2, "start": start})
    assert walk(resumed) == whole[start:]


def test_the_other_rows_end_at_random_labels_from_rest():
    times = [{30, 60, 90, 120, 150}, {30, 90}]
    stretches = cut(times)
    batches = walk(sampler_of(stretches, 4, share=0.5))
    assert all([key.lane for key in keys] == [0, 1, 2, 3] for keys in batches[:-1])
    others = [key for keys in batches for key in keys if key.lane >= 2]
    labels = sorted(zip(stretches.label_recording.tolist(), stretches.label_us.tolist(), strict=True))
    assert all(key.fresh and not key.follows for key in others)
    assert all(key.follows for keys in batches for key in keys[:2])
    assert sorted((key.recording, key.end_us) for key in others[:7]) == labels  # each before one comes again
    assert len({key.draw for key in others}) == len(others)  # augmented one by one
    random = [key for keys in walk(sampler_of(stretches, 4, share=0.0)) for key in keys]
    assert sorted((key.recording, key.end_us) for key in random) == labels
    with pytest.raises(ConfigError, match="share 2"):
        sampler_of(stretches, 4, share=2)


def test_epochs_and_seeds_have_orders_of_their_own():
    stretches = cut([{60 + n} for n in range(8)])
    orders = {tuple(map(tuple, walk(sampler_of(stretches, 2, epoch=e, seed=s)))) for e in (0, 1) for s in (0, 1)}
    assert len(orders) == 4


@given(recordings, st.integers(1, 3), st.integers(1, 3))
def test_evaluation_passes_each_recording_once_in_one_lane(times, batch, replicas):
    stretches = cut(times)
    samplers = [RecordingSampler(stretches, batch, num_replicas=replicas, rank=rank) for rank in range(replicas)]
    seen = [(rank, key) for rank, sampler in enumerate(samplers) for keys in sampler for key in keys]
    assert sorted((key.recording, key.end_us) for _, key in seen) == sorted(
        zip(stretches.recording.tolist(), stretches.end_us.tolist(), strict=True)
    )
    for recording in set(stretches.recording.tolist()):
        own = [(rank, key) for rank, key in seen if key.recording == recording]
        assert len({(rank, key.lane) for rank, key in own}) == 1
        assert [key.fresh for _, key in own] == [True] + [False] * (len(own) - 1)
        assert [key.end_us for _, key in own] == sorted(key.end_us for _, key in own)
    assert [len(list(sampler)) for sampler in samplers] == samplers[0].lengths() == [len(s) for s in samplers]


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    file = write_data_set(tmp_path_factory.mktemp("set"))
    return open_data(file).split("train", progress=False)


def key(end_us, recording=0, draw=0, epoch=0):
    return StretchKey(epoch, recording, end_us, 0, False, draw)


def test_a_stretch_holds_every_event_of_its_time_and_the_labels_at_their_timesteps(index):
    sample = index.stretches(SEEN, 6)[key(200_000, recording=1)]
    events = open_recording(index.recordings[1]).window(80_000, 200_000)
    counts = [len(open_recording(index.recordings[1]).window(t, t + 20_000)) for t in range(80_000, 200_000, 20_000)]
    assert sample.frames.flatten(1).sum(1).tolist() == counts
    assert sample.frames.sum() == len(events)
    assert (sample.instants, sample.steps.tolist()) == ([2, 3], [0, 5])
    assert sample.boxes[0].tolist() == [[10, 8, 40, 32], [50, 20, 70, 50]]
    assert [labels.tolist() for labels in sample.labels] == [[0, 1], [0]]


def test_before_a_recording_there_is_nothing(index):
    sample = index.stretches(SEEN, 4)[key(40_000)]
    assert sample.frames[:2].sum() == 0
    assert sample.frames[2:].sum() == len(open_recording(index.recordings[0]).window(0, 40_000))
    assert sample.instants == []


def test_augmentation_is_one_for_a_sequence_and_others_for_others(index):
    sure = EventAugmentation(hflip=0.5, turn=0.5, zoom=0.5, drop=0, polarity=0.5)
    stretches, plain = index.stretches(SEEN, 5, sure), index.stretches(SEEN, 5)
    for draw in range(6):
        size_hw = (64, 96)
        drawn = sure.drawn(np.random.default_rng((0, 0, draw, 0)), size_hw)
        for end_us in (100_000, 200_000):
            frames = plain[key(end_us)].frames.numpy()
            swapped = frames[:, ::-1] if drawn.swap else frames  # polarities are the channels
            expected, _, _ = drawn.frames((swapped, np.zeros((0, 4)), np.zeros(0)))
            np.testing.assert_array_equal(stretches[key(end_us, draw=draw)].frames, expected)
    kinds = {
        (d.swap, d.flip, d.quarters, d.factor)
        for d in (sure.drawn(np.random.default_rng(n), (64, 96)) for n in range(40))
    }
    assert len(kinds) > 8


def test_events_are_left_out_anew_in_each_stretch_but_by_one_share(index):
    drop = EventAugmentation(hflip=0, zoom=0, drop=1.0)
    dataset, plain = index.stretches(SEEN, 5, drop), index.stretches(SEEN, 5)
    shares = [
        [1 - float(dataset[key(t, draw=d)].frames.sum() / plain[key(t)].frames.sum()) for t in (100_000, 200_000)]
        for d in range(4)
    ]
    assert all(abs(one - two) < 0.08 for one, two in shares)
    assert max(one for one, _ in shares) - min(one for one, _ in shares) > 0.2
    again = index.stretches(SEEN, 5, drop)
    assert torch.equal(again[key(200_000)].frames, dataset[key(200_000)].frames)


def test_boxes_that_zoom_moves_away_leave_a_labelled_timestep_without_objects(index):
    zoomed = EventAugmentation(hflip=0, zoom=1, zoom_range=4, drop=0, min_visible=1)
    found = [index.stretches(SEEN, 5, zoomed)[key(100_000, draw=draw)] for draw in range(30)]
    assert all(sample.steps.tolist() == [4] for sample in found)
    assert {len(sample.boxes[0]) for sample in found} >= {0, 2}


def test_of_labels_nearer_than_a_timestep_the_nearest_is_learnt_and_all_are_evaluated(tmp_path):
    write_data_set(tmp_path)
    rows = [(t, 10, 8, 30, 24, 0) for t in (92_000, 99_000, 103_000, 200_000)]
    write_recording(tmp_path / "train", "a", boxes_of(*rows))
    index = open_data(tmp_path / "data.yaml").split("train", progress=False)
    assert index.stretches(SEEN, 5)[key(100_000)].instants == [0, 1, 2]
    learnt = index.stretches(SEEN, 5, EventAugmentation.none())[key(100_000)]
    assert (learnt.instants, learnt.steps.tolist()) == ([1], [4])


def test_workers_make_the_same_batches(index):
    dataset = index.stretches(SEEN, 3, EventAugmentation(), seed=1)

    def batches(workers):
        return list(Loader(dataset, LaneSampler(dataset.stretches, 2, share=0.5, seed=1), workers=workers))

    for one, two in zip(batches(0), batches(2), strict=True):
        assert (one.lanes, one.fresh, one.image_ids) == (two.lanes, two.fresh, two.image_ids)
        for name in ("images", "rows", "steps"):
            assert torch.equal(getattr(one, name), getattr(two, name)), name
        assert torch.equal(one.targets.boxes, two.targets.boxes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"order": "newest-first"}, "newest-first, not in order"), ({"window_us": 40_001}, "no 2 equal timesteps")],
)
def test_inputs_whose_timesteps_cannot_follow_each_other_are_refused(index, changes, said):
    with pytest.raises(ConfigError, match=f"sequence: .*{said}"):
        index.stretches(replace(SEEN, **changes), 4)
