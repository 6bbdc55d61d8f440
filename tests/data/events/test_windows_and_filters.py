"""Data sets seen through windows by number, filters and a region, in training and evaluation."""

import numpy as np
import pytest
import torch
from tests.helpers.event_datasets import boxes_of, write_data_set, write_recording

from spikeyolo.data.events.augmentation import EventAugmentation
from spikeyolo.data.events.columns import corners
from spikeyolo.data.events.stretches import StretchKey
from spikeyolo.data.open import open_data
from spikeyolo.errors import ConfigError, DataError
from spikeyolo.evaluation.evaluator import make_evaluator
from spikeyolo.events import EventInput
from spikeyolo.structures import Detections


@pytest.fixture
def data(tmp_path):
    return write_data_set(tmp_path, "preparation: {window_events: 600, filters: {region: [4, 8, 68, 40]}}\n")


def test_a_data_set_says_its_windows_and_filters(data):
    opened = open_data(data)
    seen = opened.training_input(None)
    assert (seen.window_events, seen.window_us, seen.filters.region) == (600, None, (4, 8, 68, 40))


def test_samples_hold_the_events_of_the_region_and_its_boxes(data):
    index, seen = open_data(data).split("train"), open_data(data).training_input(None)
    sample = index.dataset(seen)[0]
    assert sample.frames.shape == (2, 2, 32, 64)
    whole = index.dataset(EventInput(window_events=600))[0].frames[..., :64, :96]
    assert whole.sum((1, 2, 3)).tolist() == [300, 300]
    np.testing.assert_array_equal(sample.frames, whole[..., 8:40, 4:68])
    # (10, 8, 30, 24) lies inside; of (50, 20, 20, 30) there is x up to 68 and y up to 40.
    assert sample.boxes.tolist() == [[6, 0, 36, 24], [46, 12, 64, 32]]
    np.testing.assert_allclose(sample.placement.to_original(sample.boxes), [[10, 8, 40, 32], [50, 20, 68, 40]])


def test_augmentation_mirrors_within_the_region(data):
    index, seen = open_data(data).split("train"), open_data(data).training_input(None)
    mirrored = EventAugmentation(hflip=1, zoom=0, drop=0.5)
    sample = index.dataset(seen, mirrored)[(0, 0)]
    assert sample.boxes.tolist() == [[28, 0, 58, 24], [0, 12, 18, 32]]
    assert 0 < sample.frames.sum() < 600


def test_evaluation_counts_what_is_in_the_region(tmp_path):
    rows = [(100_000, 10, 8, 30, 24, 0), (100_000, 70, 40, 20, 20, 1), (200_000, 72, 42, 10, 10, 1)]
    write_recording(tmp_path / "val", "a", boxes_of(*rows))
    (tmp_path / "data.yaml").write_text("format: prophesee\nval: val\nnames: [car, person]\n")
    index = open_data(tmp_path / "data.yaml").split("val")
    seen = EventInput(filters={"region": [0, 0, 64, 40]})
    within = index.seen_by(seen)
    assert (len(index), len(within), within.boxes["class_id"].tolist()) == (2, 1, [0])
    assert within.boxes["track_id"].tolist() == [0]
    assert within.seen_by(seen).boxes.tolist() == within.boxes.tolist()
    assert len(within.dataset(seen)) == len(index.dataset(seen)) == 1
    evaluator = make_evaluator(within)
    box = torch.from_numpy(corners(within.boxes).copy())
    evaluator.update([0], [Detections(box, torch.ones(1), torch.zeros(1, dtype=torch.int64))])
    assert pytest.approx(1) == evaluator.compute().metrics.AP
    assert index.seen_by(EventInput()) is index
    with pytest.raises(DataError, match=r"region: none of the 3 labelled boxes lies in 0, 0, 5, 5"):
        index.seen_by(EventInput(filters={"region": [0, 0, 5, 5]}))


def test_sequences_need_equal_time(data):
    index = open_data(data).split("train")
    with pytest.raises(ConfigError, match="sequence: needs timesteps of equal time, not 600 events a window"):
        index.stretches(EventInput(window_events=600), 4)
    sample_of = index.stretches(EventInput(window_us=100_000, filters={"region": [4, 8, 68, 40]}), 4)
    assert sample_of.index.sensor_size_hw == (64, 96)


def test_sequences_take_filters_and_regions(data):
    seen = EventInput(window_us=100_000, filters={"region": [4, 8, 68, 40], "refractory_us": 3000})
    dataset = open_data(data).split("train").stretches(seen, 4)
    sample = dataset[StretchKey(0, 0, 200_000, 0, True, 0)]
    assert sample.frames.shape == (4, 2, 32, 64)
    assert sample.boxes[0].tolist() == [[6, 0, 36, 24], [46, 12, 64, 32]]
