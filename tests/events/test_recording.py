import multiprocessing
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.recordings import assert_equal, events_of, joined, random_events, recordings, windows

from spikeyolo.errors import ConfigError, DataError, MissingPackage
from spikeyolo.events import Events, open_recording, write_dat
from spikeyolo.events.event_file import BACKWARDS, BEYOND, CUT_SHORT

SIZE = (5, 7)
FORMATS = ("dat", "h5", "dsec", "es")


def write_hdf5(path, events, size_hw=SIZE, dsec=False, group="events", **changed):
    """An event file as DSEC (blosc, indexed) or as RVT and eTraM (plain, with a size) have it."""
    h5py = pytest.importorskip("h5py")
    hdf5plugin = pytest.importorskip("hdf5plugin")
    columns = {"t": events.t_us, "x": events.x, "y": events.y, "p": events.polarity, **changed}
    with h5py.File(path, "w") as file:
        for name, column in columns.items():
            settings = hdf5plugin.Blosc(cname="zstd") if dsec else {}
            file.create_dataset(f"{group}/{name}", data=column, chunks=(16,), maxshape=(None,), **settings)
        if dsec:
            last_ms = int(events.t_us[-1]) // 1000 if len(events) else 0
            file["ms_to_idx"] = np.searchsorted(events.t_us, np.arange(last_ms + 1) * 1000).astype(np.uint64)
            file["t_offset"] = 5_000_000_000
        elif size_hw is not None:
            file[f"{group}/height"], file[f"{group}/width"] = size_hw
    return path


def write_es(path, events):
    faery = pytest.importorskip("faery")
    array = np.zeros(len(events), faery.EVENTS_DTYPE)
    for name, column in zip(("t", "x", "y", "on"), vars(events).values(), strict=True):
        array[name] = column
    faery.events_stream_from_array(array, SIZE[::-1]).to_file(path)
    return path


def recording_of(folder, events, kind):
    path = folder / f"x.{'h5' if kind == 'dsec' else kind}"
    if kind == "dat":
        write_dat(path, [events], SIZE)
    elif kind == "es":
        write_es(path, events)
    else:
        write_hdf5(path, events, dsec=kind == "dsec")
    return open_recording(path, SIZE)


@pytest.mark.parametrize("kind", FORMATS)
@given(data=st.data())
def test_every_split_of_every_format_gives_the_events_written(tmp_path_factory, data, kind):
    # faery counts the times of an .es from its first event.
    events = data.draw(recordings(first_us=0 if kind == "es" else 2000))
    recording = recording_of(tmp_path_factory.mktemp("recording"), events, kind)
    assert len(recording) == len(events)
    assert recording.sensor_size_hw == SIZE
    assert recording.duration_us == (events.t_us[-1] + 1 if len(events) else 0)
    assert recording.start_us == (events.t_us[0] if len(events) else 0)
    assert_equal(recording.window(0, recording.duration_us), events)
    count = data.draw(st.integers(1, 70))
    parts = (recording._store.read(first, min(first + count, len(events))) for first in range(0, len(events), count))
    assert_equal(joined(part for part, _ in parts), events)

    step = data.draw(st.integers(300, 10_000))
    cut = list(windows(recording, step))
    assert_equal(joined(part for _, part in cut), events)
    for start, part in cut:
        assert_equal(part, events[(events.t_us >= start) & (events.t_us < start + step)])

    start, end = sorted(data.draw(st.integers(-10, recording.duration_us + 10)) for _ in range(2))
    inside = (events.t_us >= start) & (events.t_us < end)
    assert_equal(recording.window(start, end), events[inside])
    assert not recording.check()


@pytest.mark.parametrize("kind", FORMATS)
def test_pickling_opens_the_file_again(tmp_path, kind):
    events = random_events(50_000, 10**6)
    recording = recording_of(tmp_path, events, kind)
    content = pickle.dumps(recording)
    assert len(content) < 500
    again = pickle.loads(content)
    assert again.path == recording.path
    assert_equal(again.window(10_000, 20_000), recording.window(10_000, 20_000))


def test_hdf5_is_opened_again_after_a_fork(tmp_path):
    recording = recording_of(tmp_path, random_events(5000, 10**6), "h5")
    before = recording._store._data
    sent, received = multiprocessing.get_context("fork").Pipe()

    def child():
        recording.window(0, 1000)
        sent.send(recording._store._data is not before)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads, from Python 3.12 on
        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
    process.join(20)
    assert received.poll(0)
    assert received.recv()
    recording.window(0, 1000)
    assert recording._store._data is before


def test_windows_without_events_are_empty(tmp_path):
    recording = recording_of(tmp_path, events_of([2500, 9000], [0, 1], [0, 1], [0, 1]), "dat")
    assert [(start, len(part)) for start, part in windows(recording, 1000)] == [
        (start, int(start in (2000, 9000))) for start in range(2000, 10_000, 1000)
    ]
    assert len(recording.window(5, 5)) == 0


def test_a_window_that_ends_before_it_starts(tmp_path):
    with pytest.raises(ConfigError, match="ends before"):
        recording_of(tmp_path, Events.empty(), "dat").window(5, 4)


def test_each_kind_of_problem_warns_once_and_check_counts_all(tmp_path):
    path = tmp_path / "x.dat"
    write_dat(path, [events_of(range(0, 80, 10), [6] * 8, [4] * 8, [1] * 8)], SIZE)
    content = bytearray(path.read_bytes() + b"cut")
    start = len(content) - 3 - 8 * 8
    content[start + 8 * 2] = 5  # its time: 5 after 10
    content[start + 8 * 6] = 35
    content[start + 8 * 3 + 4] = 7  # column 7 of 0..6
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=r"x.dat: 3 cut short \(bytes after the last whole event: left out\)"):
        recording = open_recording(path)
    with pytest.warns(UserWarning, match="beyond the sensor|time runs backwards") as seen:
        events = recording.window(0, 40)
    assert sorted(str(warning.message).split(": ")[1][:12] for warning in seen) == ["1 beyond the", "1 time runs "]
    assert seen[0].filename == __file__
    assert events.t_us.tolist() == [0, 10, 10]
    assert recording.window(0, 80).t_us.tolist() == [0, 10, 10, 40, 50, 50, 70]
    assert recording.check() == {CUT_SHORT: 3, BACKWARDS: 2, BEYOND: 1}


def test_disorder_in_hdf5_stays_within_the_window(tmp_path):
    t = np.array([10, 20, 90, 30, 40, 50, 45, 60])
    events = events_of(t, [0] * 8, [0] * 8, [1] * 8)
    recording = open_recording(write_hdf5(tmp_path / "x.h5", events))
    with pytest.warns(UserWarning, match="time runs backwards"):
        assert recording.window(0, 50).t_us.tolist() == [10, 20, 49, 49, 49, 49, 49]
    parts = [recording.window(a, b) for a, b in ((0, 25), (25, 42), (42, 70))]
    assert sum(map(len, parts)) == 8


def test_hdf5_size_polarity_and_offset(tmp_path):
    events = random_events(100, 10**6)
    dsec = open_recording(write_hdf5(tmp_path / "dsec.h5", events, dsec=True))
    assert dsec.sensor_size_hw == (480, 640)
    assert dsec.t_offset_us == 5_000_000_000
    with pytest.raises(DataError, match="give sensor_size_hw"):
        open_recording(write_hdf5(tmp_path / "bare.h5", events, size_hw=None))
    signed = write_hdf5(tmp_path / "x.hdf5", events, p=np.where(events.polarity > 0, 1, -1).astype("i1"), group="/")
    assert_equal(open_recording(signed).window(0, 10**6), events)
    x = events.x.astype(np.int64)
    x[:3] = (-1, 70_000, 7)
    with pytest.warns(UserWarning, match="3 beyond the sensor"):
        assert_equal(open_recording(write_hdf5(tmp_path / "x.h5", events, x=x)).window(0, 10**6), events[3:])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x": np.zeros(3, "u2")}, "one length"),
        ({"t": np.zeros(4)}, "t holds float64, not whole numbers"),
    ],
)
def test_hdf5_of_another_kind(tmp_path, changed, message):
    with pytest.raises(DataError, match=message):
        open_recording(write_hdf5(tmp_path / "x.h5", random_events(4, 100), **changed))


def test_hdf5_without_the_datasets_or_by_prophesee(tmp_path):
    h5py = pytest.importorskip("h5py")
    for name, message in (("frames", "no events/x"), ("events", "no events/x"), ("CD/events", "ECF")):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file[name] = np.zeros(3)
        with pytest.raises(DataError, match=message):
            open_recording(tmp_path / "x.h5")


@pytest.mark.parametrize("suffix", [".dat", ".h5", ".hdf5", ".raw", ".aedat4", ".es"])
def test_foreign_files_give_one_clear_line(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    with pytest.raises(DataError, match="no such file"):
        open_recording(path)
    for content in (b"", b"hello world " * 100):
        path.write_bytes(content)
        with pytest.raises(DataError) as error:
            open_recording(path)
        assert str(error.value).startswith(str(path))
        assert "\n" not in str(error.value)


def test_unknown_endings(tmp_path):
    (tmp_path / "x.mp4").touch()
    with pytest.raises(DataError, match=r"known are \.dat, \.h5"):
        open_recording(tmp_path / "x.mp4")
    with pytest.raises(DataError, match=r"x\.rw: .*no such file"):
        open_recording(tmp_path / "x.rw")


@pytest.mark.parametrize(("suffix", "package"), [(".h5", "h5py"), (".raw", "faery"), (".es", "faery")])
def test_missing_packages_are_named_with_the_command(tmp_path, monkeypatch, suffix, package):
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / f"x{suffix}").write_bytes(b"% evt 2.0\n")
    with pytest.raises(MissingPackage, match=rf'{package} is not installed: pip install "spikeyolo\[events\]"'):
        open_recording(tmp_path / f"x{suffix}")


def test_import_brings_none_of_the_optional_packages():
    program = "import sys, spikeyolo.events; print([m for m in ('h5py', 'hdf5plugin', 'faery') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_real_evt2_through_faery(shared_data, tmp_path):
    pytest.importorskip("faery")
    recording = open_recording(shared_data / "events" / "evt2" / "evt2_sample.raw")
    assert (len(recording), recording.sensor_size_hw) == (539_481, (720, 1280))
    assert (recording.start_us, recording.duration_us) == (1_317_888, 1_367_889)
    cut = list(windows(recording, 10_000))
    assert cut[0][0] == 1_310_000
    events = joined(part for _, part in cut)
    assert len(events) == len(recording)
    # A sensor of 640 x 480; the header does not say so.
    assert (events.x.max() < 640, events.y.max() < 480) == (True, True)
    assert open_recording(recording.path, (480, 640)).sensor_size_hw == (480, 640)
    write_dat(tmp_path / "x.dat", [part for _, part in cut], (480, 640))
    assert_equal(open_recording(tmp_path / "x.dat").window(0, 2_000_000), events)


def test_steps_leave_out_long_stretches_without_events(tmp_path):
    hour = 3_600_000_000
    events = events_of([0, 12_000_000, hour, hour + 1], [0] * 4, [0] * 4, [1] * 4)
    recording = recording_of(tmp_path, events, "dat")
    # Pieces of 10 s with events: 0..10, 10..20, 3600..3610; windows of 4 s end in 4, 8, ... 20 and in 3604.
    ends = [[end // 1_000_000 for end in part] for part in recording.steps(4_000_000, 4_000_000)]
    assert ends == [[4, 8, 12, 16, 20], [3604]]
    # From another first end on, and to a time after the last event.
    ends = [[end // 1_000_000 for end in part] for part in recording.steps(4_000_000, 3_000_000, hour + 9_000_000)]
    assert ends == [[3, 7, 11, 15, 19, 23], [3603, 3607, 3611]]


def test_steps_of_a_recording_that_never_stands_still_follow_each_other(tmp_path):
    events = random_events(2000, 95_000_000)
    recording = recording_of(tmp_path, events, "dat")
    (ends,) = recording.steps(300_000, 300_000)
    assert ends == range(300_000, -(-recording.duration_us // 300_000) * 300_000 + 1, 300_000)


def test_too_many_stretches_are_refused(tmp_path):
    times = np.arange(1002) * 30_000_000
    events = events_of(times, *(np.zeros((3, 1002), int)))
    with pytest.raises(DataError, match="more than 1000 times nothing"):
        recording_of(tmp_path, events, "h5").steps(50_000, 50_000)
