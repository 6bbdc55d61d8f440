import pickle

import numpy as np
import pytest
import torch
from tests.helpers.event_datasets import write_data_set

from spikeyolo.data.events import dataset as dataset_module
from spikeyolo.data.events.augmentation import EventAugmentation
from spikeyolo.data.events.dataset import EventDataset
from spikeyolo.data.events.description import read_event_description
from spikeyolo.data.events.index import load_event_index
from spikeyolo.data.loader import Loader
from spikeyolo.data.sampler import EpochBatchSampler
from spikeyolo.events import EventInput, open_recording, render

PREPARATION = EventInput(timesteps=3, window_us=60_000)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    file = write_data_set(tmp_path_factory.mktemp("set"))
    return load_event_index(read_event_description(file), "train", progress=False)


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
    monkeypatch.setattr(dataset_module, "OPEN_RECORDINGS", 1)
    dataset = EventDataset(index, PREPARATION)
    expected = EventDataset(index, PREPARATION)
    for instant in (0, 2, 1, 3, 0):
        assert equal(dataset[instant], expected[instant])
        assert len(dataset._open) == 1


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
