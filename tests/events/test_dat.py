import os
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.recordings import assert_equal, events_of, joined, random_events, recordings

from spikeyolo.errors import DataError, WriteError
from spikeyolo.events import open_recording, write_dat
from spikeyolo.events.dat import BLOCK, DatFile
from spikeyolo.events.event_file import BACKWARDS, BEYOND, CUT_SHORT

SIZE = (5, 7)
HEADER = b"% Data file containing CD events\n% Version 2\n% Width 7\n% Height 5\n\x0c\x08"


def raw_file(path, t_us, words=None, header=HEADER, tail=b""):
    """A file made by hand; times are stored as they are, without a check."""
    records = np.zeros((len(t_us), 2), "<u4")
    records[:, 0] = np.asarray(t_us, np.int64) % 2**32
    records[:, 1] = 0 if words is None else words
    path.write_bytes(header + records.tobytes() + tail)
    return DatFile(path)


def read_all(file):
    return file.read(0, len(file))


@given(data=st.data(), events=recordings(largest_gap_us=2**31 - 1, first_us=2**32 - 1))
def test_write_then_read_is_the_identity_for_any_chunks_and_windows(tmp_path_factory, data, events):
    """Gaps of up to 35 minutes: 60 events overflow 32 bits many times."""
    path = tmp_path_factory.mktemp("dat") / "x.dat"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=3)))
    write_dat(path, [events[a:b] for a, b in zip([0, *cuts], [*cuts, len(events)], strict=True)], SIZE)
    file = DatFile(path)
    assert len(file) == len(events)
    assert file.sensor_size_hw == SIZE
    assert not file.problems
    read, problems = read_all(file)
    assert not problems
    assert_equal(read, events)
    last = int(events.t_us[-1]) if len(events) else 0
    times = sorted(data.draw(st.lists(st.integers(-5, last + 5), max_size=4)))
    edges = [0, *(file.index(t) for t in times), len(file)]
    assert edges[1:-1] == [int((events.t_us < t).sum()) for t in times]
    assert_equal(joined(file.read(a, b)[0] for a, b in pairwise(edges)), events)


@pytest.mark.parametrize("count", [BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
def test_identity_over_several_blocks_and_an_overflow(tmp_path, count):
    events = random_events(count, 2**32 + 10**8, SIZE, start_us=2**32 - 10**8)
    events.t_us[0] -= 2**30
    write_dat(tmp_path / "x.dat", [events], SIZE)
    file = DatFile(tmp_path / "x.dat")
    assert_equal(read_all(file)[0], events)
    assert file.end_us == events.t_us[-1] + 1 > 2**32
    for t in (0, 2**32 - 5, 2**32, int(events.t_us[count // 2]), int(events.t_us[-1]) + 1):
        assert file.index(t) == (events.t_us < t).sum()
    part = file.read(BLOCK - 5, min(count, 2 * BLOCK + 3))[0]
    assert_equal(part, events[BLOCK - 5 : 2 * BLOCK + 3])


def test_fields_are_where_the_format_says(tmp_path):
    write_dat(tmp_path / "x.dat", [events_of([0x01020304], [0x1234], [0x0567], [1])], (1536, 4864))
    data = (tmp_path / "x.dat").read_bytes()
    word = 0x1234 | 0x0567 << 14 | 1 << 28
    assert data == (
        b"% Data file containing CD events\n% Version 2\n% Width 4864\n% Height 1536\n\x0c\x08\x04\x03\x02\x01"
        + word.to_bytes(4, "little")
    )


def test_sensor_size_from_the_header_then_the_argument_then_gen1(tmp_path):
    bare = tmp_path / "bare.dat"
    raw_file(bare, [1], header=b"% Data file containing Event2d events\n% Version 2\n\x00\x08")
    assert DatFile(bare).sensor_size_hw == (240, 304)
    assert DatFile(bare, (5, 7)).sensor_size_hw == (5, 7)
    named = tmp_path / "named.dat"
    assert raw_file(named, [1]).sensor_size_hw == (5, 7)
    assert DatFile(named, (5, 7)).sensor_size_hw == (5, 7)
    with pytest.raises(DataError, match=r"5 rows and 7 columns, not 7 and 5"):
        DatFile(named, (7, 5))
    for size in ((0, 7), (5, 20_000), (5,)):
        with pytest.raises(DataError, match="sensor_size_hw"):
            DatFile(bare, size)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a Prophesee"),  # an empty file
        (b"BEGIN:VCARD\nN:Doe\n", "not a Prophesee"),  # others use the suffix too
        (b"% Data file containing CD", "without end"),
        (b"%" * 100_000, "without end"),
        (b"% Version 2\n", "nothing follows"),
        (b"% Version 2\n\x0c", "nothing follows"),
        (b"% Version 2\n\x0e\x08" + bytes(8), "type 14"),  # external triggers
        (b"% Version 2\n\x0c\x10" + bytes(16), "16 bytes"),
        (b"% Width seven\n% Height 5\n\x0c\x08", "no size"),
        (b"% Width 0\n% Height 5\n\x0c\x08", "sensor_size_hw"),
        (b"%PDF-1.7\nnot a recording", "not camera events"),
    ],
)
def test_foreign_and_headless_files_give_one_clear_line(tmp_path, content, message):
    path = tmp_path / "x.dat"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        DatFile(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        DatFile(tmp_path / "none.dat")


def test_recording_without_events(tmp_path):
    write_dat(tmp_path / "x.dat", [], SIZE)
    file = DatFile(tmp_path / "x.dat")
    assert len(file) == file.start_us == file.end_us == file.index(5) == 0
    assert len(read_all(file)[0]) == 0


@pytest.mark.parametrize("tail", range(1, 8))
def test_record_cut_short_is_left_out_and_counted(tmp_path, tail):
    file = raw_file(tmp_path / "x.dat", [3, 4], tail=bytes(tail))
    assert len(file) == 2
    assert file.problems == {CUT_SHORT: tail}
    assert read_all(file)[0].t_us.tolist() == [3, 4]


def test_time_that_runs_backwards_takes_the_latest_time_before(tmp_path):
    file = raw_file(tmp_path / "x.dat", [10, 20, 15, 18, 20, 30, 5, 31])
    events, problems = read_all(file)
    assert events.t_us.tolist() == [10, 20, 20, 20, 20, 30, 30, 31]
    assert problems == {BACKWARDS: 3}
    assert file.read(0, 3)[1] == {BACKWARDS: 1}
    assert [file.index(t) for t in (10, 11, 16, 20, 21, 31, 32)] == [0, 1, 1, 1, 5, 7, 8]


@given(st.data())
def test_any_windows_of_disordered_times_join_to_the_whole(tmp_path_factory, data):
    times = data.draw(st.lists(st.integers(0, 50), min_size=1, max_size=30))
    file = raw_file(tmp_path_factory.mktemp("dat") / "x.dat", times)
    whole = read_all(file)[0]
    assert (np.diff(whole.t_us) >= 0).all()
    cuts = sorted(data.draw(st.lists(st.integers(0, 60), max_size=4)))
    edges = [0, *map(file.index, cuts), len(file)]
    parts = [file.read(a, b)[0] for a, b in pairwise(edges)]
    assert_equal(joined(parts), whole)
    for part, end in zip(parts, cuts, strict=False):
        assert (part.t_us < end).all()


def test_disorder_across_blocks_stays_local_and_does_not_hang_on_the_window(tmp_path):
    t_us = np.arange(3 * BLOCK) * 3
    t_us[BLOCK - 1] = t_us[-1] + 10**6  # a wild time at the end of a block
    t_us[BLOCK + 1 : BLOCK + 4] = 0
    file = raw_file(tmp_path / "x.dat", t_us)
    events, problems = read_all(file)
    assert problems == {BACKWARDS: 4}
    assert (np.diff(events.t_us) >= 0).all()
    changed = np.flatnonzero(events.t_us != t_us)
    assert changed.tolist() == [BLOCK - 1, BLOCK + 1, BLOCK + 2, BLOCK + 3]
    assert set(events.t_us[changed].tolist()) == {3 * BLOCK}
    assert_equal(file.read(BLOCK + 2, BLOCK + 9)[0], events[BLOCK + 2 : BLOCK + 9])
    assert file.index(3 * BLOCK) == BLOCK - 1


def test_events_beyond_the_sensor_are_left_out_and_counted(tmp_path):
    words = [6 | 4 << 14, 7, 5 << 14, 0x3FFF | 0x3FFF << 14 | 1 << 28, 0xF0000000]
    file = raw_file(tmp_path / "x.dat", range(5), words)
    events, problems = read_all(file)
    assert problems == {BEYOND: 3}
    # Of bits 28 to 31 the lowest is the polarity.
    assert_equal(events, events_of([0, 4], [6, 0], [4, 0], [0, 1]))


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ([events_of([3, 2], [0, 0], [0, 0], [0, 0])], "order of time"),
        ([events_of([3], [0], [0], [0]), events_of([2], [0], [0], [0])], "order of time after 3"),
        ([events_of([-1], [0], [0], [0])], "before time 0"),
        ([events_of([1], [7], [0], [0])], "beyond the sensor"),
        ([events_of([1], [0], [5], [0])], "beyond the sensor"),
        ([events_of([1], [0], [0], [2])], "polarity"),
        ([events_of([2**32 - 1, 2**32 + 2**31], [0, 0], [0, 0], [0, 0])], "35 minutes"),
        ([events_of([2**32], [0], [0], [0])], "35 minutes"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(tmp_path, chunks, message):
    with pytest.raises(DataError, match=message):
        write_dat(tmp_path / "x.dat", chunks, SIZE)
    assert list(tmp_path.iterdir()) == []


def test_writing_is_whole_or_not_at_all(tmp_path):
    path = tmp_path / "x.dat"
    write_dat(path, [events_of([1], [0], [0], [0])], SIZE)
    before = path.read_bytes()

    def interrupted():
        yield events_of([1], [1], [1], [1])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dat(path, interrupted(), SIZE)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(WriteError, match="cannot be written"):
        write_dat(tmp_path / "none" / "x.dat", [], SIZE)


def test_real_file_equals_its_decoded_oracle(shared_data):
    folder = shared_data / "events" / "dat"
    file = DatFile(folder / "NCARS_obj_004397_td.dat")
    expected = np.load(folder / "NCARS_obj_004397_expected.npy")
    events, problems = read_all(file)
    assert not problems
    assert_equal(events, events_of(*(expected[name] for name in "txyp")))
    assert file.index(50_000) == (expected["t"] < 50_000).sum()


def test_second_real_file_reads(shared_data, tmp_path):
    file = DatFile(shared_data / "events" / "dat" / "tonic_sample_ncars_td.dat")
    events, problems = read_all(file)
    assert not problems
    assert not file.problems
    assert (len(events), file.sensor_size_hw, file.end_us) == (2009, (240, 304), 99_953)
    assert (events.x.max(), events.y.max()) == (77, 41)
    write_dat(tmp_path / "x.dat", [events], file.sensor_size_hw)
    assert_equal(read_all(DatFile(tmp_path / "x.dat"))[0], events)


def test_a_file_that_is_cut_short_while_it_is_read_is_named(tmp_path):
    write_dat(tmp_path / "a.dat", [random_events(50_000, 1_000_000, (240, 304))], (240, 304))
    recording = open_recording(tmp_path / "a.dat")
    assert len(recording.window(0, 1_000_000)) == 50_000
    os.truncate(tmp_path / "a.dat", 300_000)
    assert 0 < len(recording.window(0, 100_000)) < 10_000  # what is still there
    with pytest.raises(DataError, match=r"a\.dat: was cut short while it was read"):
        recording.window(900_000, 1_000_000)


def test_files_are_closed_when_nobody_has_them_any_more(tmp_path):
    write_dat(tmp_path / "a.dat", [random_events(10, 1000)], (5, 7))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        open_recording(tmp_path / "a.dat").window(0, 1000)
    assert len(os.listdir("/proc/self/fd")) == before
