"""Counts travel in bytes, and reach the network as the very numbers that they are."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.event_datasets import boxes_of
from tests.helpers.recordings import events_of, random_events

from spikeyolo.data.events.augmentation import EventAugmentation
from spikeyolo.data.events.dataset import EventDataset, EventSample
from spikeyolo.data.events.labels import write_boxes
from spikeyolo.data.loader import Loader
from spikeyolo.data.open import open_data
from spikeyolo.data.sampler import EpochBatchSampler
from spikeyolo.events import EventInput, open_recording, write_dat
from spikeyolo.events.narrow import narrow
from spikeyolo.events.render import frames_of
from spikeyolo.imaging.tensors import as_input
from spikeyolo.structures import Placement

SENSOR = (40, 50)  # neither side is a multiple of 32
COUNTS = EventInput(timesteps=2, window_us=100_000)
HISTOGRAM = EventInput({"name": "stacked_histogram", "bins": 2, "cutoff": 200}, timesteps=2, window_us=100_000)


def crowded(times):
    """So many events on the pixel in row 3, column 7, in the second half of the window before 100 ms; and others."""
    others = random_events(500, 100_000, SENSOR, seed=times)
    at = np.full(times, 60_000)
    columns = ((others.t_us, at), (others.x, at * 0 + 7), (others.y, at * 0 + 3), (others.polarity, at * 0 + 1))
    t, x, y, polarity = (np.concatenate(pair) for pair in columns)
    order = np.argsort(t, kind="stable")
    return events_of(t[order], x[order], y[order], polarity[order])


def counted(events, bins=1, cutoff=10**9):
    """The frames (2, 2 * bins, 64, 64) by the definition, in double precision, one event after the other."""
    frames = np.zeros((2, 2, bins, 64, 64))
    for t, x, y, polarity in zip(*(column.tolist() for column in vars(events).values()), strict=True):
        step = t * 2 * bins // 100_000
        frames[step // bins, polarity, step % bins, y, x] += 1
    return frames.clip(max=cutoff).reshape(2, 2 * bins, 64, 64)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """Three recordings, of which pixels see 20, 300 and 40 000 events."""
    root = tmp_path_factory.mktemp("set")
    (root / "train").mkdir()
    for number, times in enumerate((20, 300, 40_000)):
        write_dat(root / "train" / f"{number}_td.dat", [crowded(times)], SENSOR)
        write_boxes(root / "train" / f"{number}_bbox.npy", boxes_of((100_000, 10, 8, 30, 24, 0)))
    (root / "data.yaml").write_text("format: prophesee\ntrain: train\nval: train\nnames: [car]\n")
    read = open_data(root / "data.yaml").split("train", progress=False)
    # The instant after the last event, so that the window holds them all.
    return replace(read, t_us=np.full(3, 100_000))


@pytest.mark.parametrize(("instant", "dtype"), [(0, torch.int8), (1, torch.int16), (2, torch.float32)])
def test_the_largest_count_of_a_window_decides_its_type(index, instant, dtype):
    frames = EventDataset(index, COUNTS)[instant].frames
    assert frames.dtype == dtype
    np.testing.assert_array_equal(frames.numpy(), counted(open_recording(index.recordings[instant]).window(0, 100_000)))


@pytest.mark.parametrize(
    ("chosen", "dtype"), [((0,), torch.int8), ((0, 1), torch.int16), ((1, 0, 2), torch.float32)], ids=str
)
@pytest.mark.parametrize("network", [torch.float32, torch.bfloat16])
def test_a_batch_takes_the_type_that_holds_all_and_nothing_is_clipped(index, chosen, dtype, network):
    dataset = EventDataset(index, COUNTS)
    batch = dataset.collate([dataset[instant] for instant in chosen])
    assert batch.images.dtype == dtype
    assert batch.images.is_contiguous()
    expected = [counted(open_recording(index.recordings[instant]).window(0, 100_000)) for instant in chosen]
    given = torch.from_numpy(np.stack(expected, axis=1).astype(np.float32)).to(network)
    assert torch.equal(as_input(batch.images, "cpu", network), given)


def test_counts_of_histograms_are_not_taken_for_grey_values(index):
    """The function gives uint8, of which the network would see a 255th."""
    for instant, dtype in ((0, torch.int8), (1, torch.int16)):
        frames = EventDataset(index, HISTOGRAM)[instant].frames
        assert frames.dtype == dtype
        expected = counted(open_recording(index.recordings[instant]).window(0, 100_000), bins=2, cutoff=200)
        np.testing.assert_array_equal(frames.numpy(), expected)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("voxel_grid", torch.float32), ("time_surface", torch.float32), ("last_event_frame", torch.uint8)],
)
def test_what_is_no_count_keeps_its_type(index, name, dtype):
    assert EventDataset(index, EventInput(name))[0].frames.dtype == dtype


def test_augmented_counts_are_bytes_still(index):
    """Mirroring and zooming move counts, they blend none."""
    dataset = EventDataset(index, COUNTS, EventAugmentation(hflip=0.5, zoom=1.0, zoom_range=2.0, polarity=0.5))
    plain = set(np.unique(EventDataset(index, COUNTS)[0].frames.numpy()).tolist())
    without_drop = EventDataset(index, COUNTS, replace(dataset.augmentation, drop=0.0))
    for epoch in range(20):
        assert dataset[(epoch, 0)].frames.dtype == torch.int8
        assert set(np.unique(without_drop[(epoch, 0)].frames.numpy()).tolist()) <= plain


@settings(max_examples=50)
@given(
    st.lists(st.integers(-(2**31), 2**31 - 1), max_size=5),
    st.sampled_from(["int8", "uint8", "int16", "uint16", ">u2", ">i4", "int64", "float32", "float64"]),
)
def test_narrowed_frames_hold_the_same_numbers(values, kind):
    frames = np.array(values, np.int64).astype(kind)
    found = narrow(frames)
    np.testing.assert_array_equal(found.astype(np.float32), frames.astype(np.float32))
    whole = frames.dtype.kind in "iu"
    low, high = (int(frames.min(initial=0)), int(frames.max(initial=0))) if whole else (0, 0)
    fits = [bits for bits in (8, 16) if whole and -(2 ** (bits - 1)) <= low and high < 2 ** (bits - 1)]
    assert found.dtype == (f"int{fits[0]}" if fits else "float32")


@given(st.integers(0, 127), st.integers(128, 32767))
def test_one_timestep_beyond_a_byte_changes_none_before_it(few, many):
    t = [1_000] * few + [60_000] * many + [99_000] * few
    zeros = [0] * len(t)
    frames = frames_of(events_of(t, zeros, zeros, zeros), 100_000, (1, 1), replace(COUNTS, timesteps=4))
    assert frames.dtype == np.int16
    assert frames[:, 0, 0, 0].tolist() == [few, 0, many, few]


def sample_of(frames):
    return EventSample(frames, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), Placement((32, 32)), 0)


def test_a_worker_joins_samples_in_the_memory_that_it_shares(monkeypatch):
    """Else the whole batch would be copied there once more to be sent."""
    monkeypatch.setattr("torch.utils.data.get_worker_info", lambda: SimpleNamespace(id=0))
    frames = [torch.full((3, 2, 32, 32), value, dtype=torch.int8) for value in (1, 2)]
    images = EventDataset.collate([sample_of(one) for one in frames]).images
    assert images.is_shared()
    assert images.is_contiguous()
    assert images[:, :, 0, 0, 0].tolist() == [[1, 2], [1, 2], [1, 2]]


@pytest.mark.parametrize("workers", [0, 1])
def test_workers_send_what_one_process_makes(index, workers):
    loader = Loader(EventDataset(index, COUNTS), EpochBatchSampler(3, 2, shuffle=False), workers=workers)
    first, second = loader
    assert (first.images.dtype, second.images.dtype) == (torch.int16, torch.float32)
    for number in range(2):
        events = open_recording(index.recordings[number]).window(0, 100_000)
        np.testing.assert_array_equal(first.images[:, number].numpy(), counted(events))
