import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.helpers.event_datasets import boxes_of, write_data_set
from tests.helpers.recordings import random_events

from spikeyolo.data.events import index as index_module
from spikeyolo.data.events import open_recordings
from spikeyolo.data.events.augmentation import EventAugmentation
from spikeyolo.data.events.dataset import EventDataset
from spikeyolo.data.events.labels import write_boxes
from spikeyolo.data.events.open_recordings import OpenRecordings
from spikeyolo.data.loader import Loader
from spikeyolo.data.open import open_data
from spikeyolo.data.sampler import EpochBatchSampler
from spikeyolo.errors import DataError
from spikeyolo.events import EventInput, open_recording, render

PREPARATION = EventInput(timesteps=3, window_us=60_000)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    file = write_data_set(tmp_path_factory.mktemp("set"))
    return open_data(file).split("train", progress=False)


def equal(one, other):
    same = (torch.equal(getattr(one, name), getattr(other, name)) for name in ("frames", "boxes", "labels"))
    return all(same)


def test_a_sample_is_the_window_before_its_instant_with_the_boxes_there(index):
    sample = EventDataset(index, PREPARATION)[2]
    frames, _ = render(open_recording(index.recordings[1]), 100_000, PREPARATION)
    np.testing.assert_array_equal(sample.frames.numpy(), frames)
    assert sample.boxes.tolist() == [[10, 8, 40, 32], [50, 20, 70, 50]]
    assert sample.labels.tolist() == [0, 1]
    events = open_recording(index.recordings[1]).window(40_000, 100_000)
    assert sample.frames.sum() == len(events)  # no event lost, none counted twice


def test_downscaled_boxes_lie_on_downscaled_frames(index):
    sample = EventDataset(index, EventInput(downscale=2))[0]
    assert sample.frames.shape == (2, 2, 32, 64)  # 32 x 48, filled up to 64 columns
    assert sample.boxes.tolist() == [[5, 4, 20, 16], [25, 10, 35, 25]]
    assert sample.placement.to_original(sample.boxes).tolist() == [[10, 8, 40, 32], [50, 20, 70, 50]]


def test_samples_depend_on_seed_epoch_and_instant_alone(index):
    def dataset(seed=0):
        return EventDataset(index, PREPARATION, EventAugmentation(polarity=0.5), seed=seed)

    assert equal(dataset()[(3, 1)], dataset()[(3, 1)])
    visited = dataset()
    for number in range(4):
        visited[(0, number)]
    assert equal(visited[(3, 1)], dataset()[(3, 1)])
    assert not equal(dataset()[(4, 1)], dataset()[(3, 1)])
    assert not equal(dataset(1)[(3, 1)], dataset()[(3, 1)])


def test_augmented_boxes_stay_on_the_canvas(index):
    dataset = EventDataset(index, EventInput(downscale=2), EventAugmentation(zoom=1, zoom_range=2))
    for epoch in range(50):
        sample = dataset[(epoch, 0)]
        assert sample.frames.shape == (2, 2, 32, 64)
        if len(sample.boxes):
            assert sample.boxes.min() >= 0
            assert (sample.boxes.max(0).values <= torch.tensor([48, 32, 48, 32])).all()
            assert (sample.boxes[:, 2:] > sample.boxes[:, :2]).all()


def test_few_recordings_are_open_at_a_time(index, monkeypatch):
    monkeypatch.setattr(open_recordings, "MAX_FILES", 1)
    dataset = EventDataset(index, PREPARATION)
    expected = EventDataset(index, PREPARATION)
    for instant in (0, 2, 1, 3, 0):
        assert equal(dataset[instant], expected[instant])
        assert len(dataset.recordings) == 1


def test_open_recordings_are_bounded_by_the_bytes_that_they_take(index, monkeypatch):
    monkeypatch.setattr(open_recordings, "MAX_BYTES", 100)
    five = replace(index, recordings=index.recordings[:1] * 5, decoded_bytes=np.array([40, 50, 0, 60, 900]))
    opened = OpenRecordings(five)
    held = []
    for number in (0, 1, 2, 0, 3, 4, 2):
        opened[number]
        held.append((len(opened), opened.decoded_bytes))
    # The fifth closes number 1, which was used least recently; number 4 is larger than the bound and open alone.
    assert held == [(1, 40), (2, 90), (3, 90), (3, 90), (3, 100), (1, 900), (1, 0)]


def test_recordings_that_are_decoded_whole_are_evaluated_on_but_not_trained_on_beyond_the_bound(tmp_path, monkeypatch):
    faery = pytest.importorskip("faery")
    events = random_events(4000, 300_000, (64, 96))
    array = np.zeros(len(events), faery.EVENTS_DTYPE)
    for name, column in zip(("t", "x", "y", "on"), vars(events).values(), strict=True):
        array[name] = column
    (tmp_path / "train").mkdir()
    faery.events_stream_from_array(array, (96, 64)).to_file(tmp_path / "train" / "a.es")
    write_boxes(tmp_path / "train" / "a_bbox.npy", boxes_of((100_000, 10, 8, 30, 24, 0)))
    (tmp_path / "data.yaml").write_text("format: prophesee\ntrain: train\nnames: [car]\n")
    read = open_data(tmp_path / "data.yaml").split("train", progress=False)
    assert read.decoded_bytes.tolist() == [4000 * 13]
    read.dataset(PREPARATION, EventAugmentation())
    monkeypatch.setattr(index_module, "MAX_BYTES", 50_000)
    with pytest.raises(DataError, match=r"a\.es: \.es is decoded whole.*write_dat\('a_td\.dat'"):
        read.dataset(PREPARATION, EventAugmentation())
    assert read.dataset(PREPARATION)[0].frames.any()


def test_recordings_that_are_read_in_parts_take_no_memory(index):
    assert index.decoded_bytes.tolist() == [0, 0]


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_have_time_first(index, workers):
    loader = Loader(EventDataset(index, PREPARATION), EpochBatchSampler(4, 3, shuffle=False), workers=workers)
    first, second = list(loader)
    assert first.images.shape == (3, 3, 2, 64, 96)
    assert second.images.shape == (3, 1, 2, 64, 96)
    assert first.targets.image_index.tolist() == [0, 0, 1, 2, 2]
    assert first.image_ids == (0, 1, 2)
    alone = EventDataset(index, PREPARATION)[1]
    assert torch.equal(first.images[:, 1], alone.frames)


def test_a_data_set_can_be_sent_to_another_process(index):
    dataset = EventDataset(index, PREPARATION)
    before = dataset[0]
    assert equal(pickle.loads(pickle.dumps(dataset))[0], before)
