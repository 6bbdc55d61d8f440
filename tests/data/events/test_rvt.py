import pickle

import numpy as np
import pytest
from tests.helpers.recordings import random_events

from spikeyolo.data.events.labels import BOX_DTYPE
from spikeyolo.data.events.rvt import DEFAULT_NAME, open_rvt, write_rvt
from spikeyolo.errors import DataError
from spikeyolo.events import stacked_histogram

h5py = pytest.importorskip("h5py")
hdf5plugin = pytest.importorskip("hdf5plugin")

FRAMES = np.random.default_rng(0).integers(0, 11, (6, 20, 4, 6)).astype(np.uint8)
END_US = np.arange(1, 7) * 50_000
REPRESENTATION = ("event_representations_v2", DEFAULT_NAME)


def boxes_at(*times):
    boxes = np.zeros(len(times), BOX_DTYPE)
    boxes["t"] = times
    boxes["x"], boxes["w"], boxes["h"], boxes["track_id"] = 1, 2, 3, np.arange(len(times))
    return boxes


def test_write_then_read_is_the_identity(tmp_path):
    boxes = boxes_at(50_001, 99_999, 300_000, 99_999)
    write_rvt(tmp_path / "a", FRAMES, END_US, boxes)
    sequence = open_rvt(tmp_path / "a")
    assert len(sequence) == 6
    assert sequence.shape == FRAMES.shape
    np.testing.assert_array_equal(sequence.frames(0, 6), FRAMES)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(sequence)).frames(2, 4), FRAMES[2:4])
    np.testing.assert_array_equal(sequence.end_us, END_US)
    assert sequence.boxes.tobytes() == boxes[[0, 1, 3, 2]].tobytes()
    assert sequence.label_frames.tolist() == [0, 1, 5]
    assert sequence.first_boxes.tolist() == [0, 1, 3, 4]
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_files_are_those_that_rvt_reads(tmp_path):
    write_rvt(tmp_path / "a", iter(FRAMES), END_US, boxes_at(100_000, 100_000, 150_000))
    folder = tmp_path / "a" / "event_representations_v2" / "stacked_histogram_dt=50_nbins=10"
    with h5py.File(folder / "event_representations.h5") as file:
        assert (file["data"].dtype, file["data"].chunks) == (np.uint8, (1, 20, 4, 6))
        np.testing.assert_array_equal(file["data"][:], FRAMES)
    assert np.load(folder / "timestamps_us.npy").tolist() == END_US.tolist()
    assert np.load(folder / "objframe_idx_2_repr_idx.npy").tolist() == [1, 2]
    assert np.load(tmp_path / "a" / "labels_v2" / "timestamps_us.npy").tolist() == [100_000, 150_000]
    with np.load(tmp_path / "a" / "labels_v2" / "labels.npz") as labels:
        assert labels["objframe_idx_2_label_idx"].tolist() == [0, 2]
        assert labels["labels"]["t"].tolist() == [100_000, 100_000, 150_000]


def test_halved_frames_get_halved_boxes_and_pairs_of_times_give_their_end(tmp_path):
    write_rvt(tmp_path / "a", FRAMES, END_US, boxes_at(100_000), halved=True)
    folder = (tmp_path / "a").joinpath(*REPRESENTATION)
    assert (folder / "event_representations_ds2_nearest.h5").is_file()
    np.save(folder / "timestamps_us.npy", np.stack([END_US - 50_000, END_US], 1))
    sequence = open_rvt(tmp_path / "a")
    assert sequence.boxes[["x", "y", "w", "h"]].tolist() == [(0.5, 0, 1, 1.5)]
    np.testing.assert_array_equal(sequence.end_us, END_US)


def test_our_histogram_has_its_shape(tmp_path):
    events = random_events(1000, 100_000)
    frames = stacked_histogram(events, 0, 100_000, (5, 7), 2)
    write_rvt(tmp_path / "a", frames, np.array([50_000, 100_000]), boxes_at())
    sequence = open_rvt(tmp_path / "a")
    np.testing.assert_array_equal(sequence.frames(0, 2), frames)
    assert (len(sequence.boxes), sequence.first_boxes.tolist()) == (0, [0])


@pytest.mark.parametrize(
    ("frames", "end_us", "boxes", "message"),
    [
        (FRAMES[:5], END_US, boxes_at(), "5 frames, but 6 times"),
        (FRAMES, END_US[::-1], boxes_at(), "times that do not rise"),
        (FRAMES, END_US, boxes_at(100_000, 125_000), "no frame ends at the label at 125000 us"),
        (FRAMES, END_US, boxes_at(99_500, 100_500), "not in order"),  # two instants of one frame
        (FRAMES[:0], END_US[:0], boxes_at(), "no frames"),
        (FRAMES[:0], END_US[:0], boxes_at(1), "labels without frames"),
        (FRAMES.astype(np.int64), END_US, boxes_at(), "frame 0 is int64"),
        ([FRAMES[0], FRAMES[0, :3]], END_US[:2], boxes_at(), "frame 1 is"),
    ],
)
def test_what_does_not_fit_is_not_written(tmp_path, frames, end_us, boxes, message):
    with pytest.raises(DataError, match=message) as error:
        write_rvt(tmp_path / "a", frames, end_us, boxes)
    assert str(error.value).startswith(f"{tmp_path / 'a'}: ")
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_nothing_and_a_folder_is_never_overwritten(tmp_path):
    def interrupted():
        yield FRAMES[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_rvt(tmp_path / "a", interrupted(), END_US, boxes_at())
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match="exists"):
        write_rvt(tmp_path / "a", FRAMES, END_US, boxes_at())
    with pytest.raises(DataError, match="holds neither"):
        open_rvt(tmp_path / "a")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("timestamps_us.npy", END_US[:3], "6 frames, but 3 times"),
        ("objframe_idx_2_repr_idx.npy", np.array([6]), "a label at frame 6 of 6"),
        ("objframe_idx_2_repr_idx.npy", np.array([1, 2]), "2 frames of labels, but 1"),
        ("objframe_idx_2_repr_idx.npy", b"cut", "cannot be read"),
        ("event_representations.h5", b"cut", "not an HDF5 file"),
        ("../../labels_v2/labels.npz", b"cut", "cannot be read"),
        ("../../labels_v2/labels.npz", b"PK\x03\x04 cut", "cannot be read"),
        ("../../labels_v2/labels.npz", END_US, "no 'labels'"),
    ],
)
def test_damaged_sequences_give_one_clear_line(tmp_path, file, content, message):
    write_rvt(tmp_path / "a", FRAMES, END_US, boxes_at(100_000))
    target = (tmp_path / "a").joinpath(*REPRESENTATION, file)
    if isinstance(content, bytes):
        target.write_bytes(content)
    else:
        with open(target, "wb") as opened:
            np.save(opened, content)
    with pytest.raises(DataError, match=message) as error:
        open_rvt(tmp_path / "a")
    assert "\n" not in str(error.value)
