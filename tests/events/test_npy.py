"""Numpy files of events, as PEDRo has them."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.recordings import assert_equal, events_of, recordings

from spikeyolo.errors import DataError
from spikeyolo.events import Events, open_recording
from spikeyolo.events.event_file import BACKWARDS, BEYOND

SIZE = (5, 7)
EPOCH = 1_672_932_172_785_744  # microseconds since 1970, as in PEDRo's example


def write(path, events, order="C", dtype=np.int64, offset=EPOCH):
    columns = (events.t_us + offset, events.x, events.y, events.polarity)
    np.save(path, np.stack(columns, axis=1).astype(dtype, order=order))
    return path


@given(events=recordings(SIZE), order=st.sampled_from("CF"), dtype=st.sampled_from(["<i8", ">i8", "<u8"]))
def test_every_window_holds_its_events_counted_from_the_first(tmp_path_factory, events, order, dtype):
    path = write(tmp_path_factory.mktemp("npy") / "x.npy", events, order, dtype)
    recording = open_recording(path, SIZE)
    first = int(events.t_us[0]) if len(events) else 0
    shifted = Events(events.t_us - first, events.x, events.y, events.polarity)
    assert (len(recording), recording.start_us, recording.check()) == (len(events), 0, {})
    assert recording.duration_us == (int(shifted.t_us[-1]) + 1 if len(events) else 0)
    assert recording.t_offset_us == (EPOCH + first if len(events) else 0)
    for start, end in ((0, recording.duration_us), (500, 1500), (-100, 0)):
        inside = (shifted.t_us >= start) & (shifted.t_us < end)
        assert_equal(recording.window(start, end), shifted[inside])
    assert_equal(pickle.loads(pickle.dumps(recording)).window(0, 2000), recording.window(0, 2000))


def test_bad_events_are_repaired_and_counted(tmp_path):
    events = events_of([0, 30, 20, 40], [1, 2, 3, 6], [1, 2, 3, 4], [1, 0, 1, 1])
    path = write(tmp_path / "x.npy", events)
    content = np.load(path)
    content[3, 1] = -1
    np.save(path, content)
    recording = open_recording(path, SIZE)
    assert recording.check() == {BACKWARDS: 1, BEYOND: 1}
    with pytest.warns(UserWarning, match="time runs backwards|beyond the sensor"):
        found = recording.window(0, 41)
    assert found.t_us.tolist() == [0, 30, 30]


def header(shape, descr="<i8"):
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "cannot be read as a numpy file"),
        (header((2**50, 4)) + b"\0" * 64, "cut short"),
        (header((2, 4), "|O") + b"\0" * 64, "pickled"),
        (header((2, 4), "<f8") + b"\0" * 64, r"expected \(N, 4\) whole numbers"),
        (header((8,)) + b"\0" * 64, r"expected \(N, 4\) whole numbers"),
        (header((1, 4)) + (2**62).to_bytes(8, "little") + b"\0" * 24, "not microseconds"),
    ],
)
def test_what_is_no_file_of_events_is_one_line(tmp_path, content, said):
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        open_recording(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_file_cut_while_it_is_open_ends_in_a_line(tmp_path):
    path = write(tmp_path / "x.npy", events_of(range(100), [1] * 100, [1] * 100, [1] * 100))
    recording = open_recording(path)
    with open(path, "r+b") as file:
        file.truncate(300)
    with pytest.raises(DataError, match="was cut short while it was read"):
        recording.window(0, 100)
