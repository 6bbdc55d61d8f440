"""Recordings read as they come: the windows of the whole file, whatever parts it comes in and however it ends."""

import os
import threading
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.recordings import random_events

from spikeyolo.errors import ConfigError, DataError
from spikeyolo.events import EventInput, Events, open_recording, write_dat
from spikeyolo.events.live import LiveRecording, growing_file
from spikeyolo.events.stream import StreamWindows
from spikeyolo.events.types import COLUMNS

GAPS = [0, 1, 1000, 10**6, 9_999_999, 10**7, 15 * 10**6, 25 * 10**6, 10**9]


def coming(content, part=65_536):
    """What gives bytes in parts of a size."""
    parts = iter([content[at : at + part] for at in range(0, len(content), part)])
    return lambda closed: next(parts, b"")


def dat_of(path, t_us, size_hw=(6, 9)):
    rng, count = np.random.default_rng(0), len(t_us)
    x, y, polarity = (rng.integers(side, size=count) for side in (size_hw[1], size_hw[0], 2))
    events = Events(np.array(t_us, np.int64), x.astype("u2"), y.astype("u2"), polarity.astype("u1"))
    write_dat(path, [events], size_hw)
    return path.read_bytes()


def same(ours, theirs):
    return all(np.array_equal(getattr(ours, name), getattr(theirs, name)) for name in COLUMNS)


@settings(max_examples=60, deadline=None)
@given(
    gaps=st.lists(st.sampled_from(GAPS), min_size=1, max_size=60),
    step_us=st.sampled_from([50_000, 999_999, 3_000_000, 10_000_000]),
    timesteps=st.integers(1, 3),
    part=st.sampled_from([1, 7, 100, 65_536]),
)
def test_windows_are_those_of_the_whole_file(tmp_path_factory, gaps, step_us, timesteps, part):
    """Pauses, 32-bit overflows and all."""
    path = tmp_path_factory.mktemp("live") / "a_td.dat"
    content = dat_of(path, np.cumsum(gaps))
    recording, live = open_recording(path), LiveRecording("a", coming(content, part))
    found = list(live.windows(step_us, timesteps))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # says how much time is left out
        windows = StreamWindows(recording, EventInput(window_us=step_us * timesteps, timesteps=timesteps), carry=True)
    assert [(w.end_us, w.first) for w in found] == [(w.end_us, w.fresh) for w in windows]
    assert len(found) == windows.total
    assert all(same(w.events, recording.window(w.end_us - step_us, w.end_us)) for w in found)
    assert live.sensor_size_hw == (6, 9)


def test_a_stream_that_ends_within_an_event(tmp_path):
    content = dat_of(tmp_path / "a.dat", [10, 20, 70])
    with pytest.warns(UserWarning, match="a: 5 cut short"):
        found = list(LiveRecording("a", coming(content[:-3])).windows(50))
    assert [len(window.events) for window in found] == [2]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "a: nothing came"),
        (b"% Width 30", "a header line without end"),
        (b"% Width 30\n", "nothing follows the header"),
        (b"% Width 30\n% Height 20\n\x05\x08", "events of type 5"),
        (b"hello", "not a Prophesee .dat file"),
        (b"\x89HDF\r\n\x1a\n", "HDF5; only .dat can be read as it comes"),
        (b"% evt 3.0\n% format EVT3;height=720;width=1280\n", "RAW; only .dat"),
        (b"#!AER-DAT4.0\r\n", "AEDAT; only .dat"),
        (b"Event Stream\x02", "only .dat"),
        (b"% " + b"x" * 100_000, "a header line without end"),
        (b"% Width 99999\n% Height 99999\n\x0c\x08", "not the rows and columns of a sensor"),
    ],
)
def test_what_is_no_recording_is_said_in_a_line(content, said):
    with pytest.raises(DataError, match=said):
        LiveRecording("a", coming(content, 7))


def test_a_stray_time_does_not_stop_the_clock(tmp_path):
    content = bytearray(dat_of(tmp_path / "a.dat", range(0, 1000, 10)))
    start = len(content) - 800
    content[start + 80 : start + 84] = (4_000_000_000).to_bytes(4, "little")  # the 11th event, an hour later
    for part in (1, 8, 65_536):
        with pytest.warns(UserWarning, match="1 time runs backwards"):
            found = list(LiveRecording("a", coming(bytes(content), part)).windows(500))
        assert [window.end_us for window in found] == [500, 1000]
        assert found[0].events.t_us[9:12].tolist() == [90, 90, 110]


def test_time_that_runs_backwards_takes_the_latest_before(tmp_path):
    content = bytearray(dat_of(tmp_path / "a.dat", [100, 200, 300, 400]))
    content[-16:-12] = (150).to_bytes(4, "little")
    with pytest.warns(UserWarning, match="1 time runs backwards"):
        (window,) = LiveRecording("a", coming(bytes(content))).windows(1000)
    assert window.events.t_us.tolist() == [100, 200, 200, 400]


def test_windows_of_more_than_ten_seconds_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="window_us"):
        next(LiveRecording("a", coming(dat_of(tmp_path / "a.dat", [1]))).windows(10_000_001))


def test_a_file_that_grows_ends_when_nothing_is_added(tmp_path):
    whole, path = tmp_path / "whole.dat", tmp_path / "a.dat"
    write_dat(whole, [random_events(2000, 400_000, (6, 9), seed=1)], (6, 9))
    content = whole.read_bytes()
    path.write_bytes(content[:3000])

    def add():
        with path.open("ab") as file:
            file.write(content[3000:])

    live = growing_file(path, 0.5)
    writer = threading.Timer(0.1, add)
    writer.start()
    found = list(live.windows(50_000))
    writer.join()
    recording = open_recording(whole)
    assert len(found) == 8
    assert all(same(w.events, recording.window(w.end_us - 50_000, w.end_us)) for w in found)


def test_a_file_that_shrinks_while_it_grows(tmp_path):
    path = tmp_path / "a.dat"
    dat_of(path, range(1000))
    live = growing_file(path, 1)
    os.truncate(path, 100)
    with pytest.raises(DataError, match=r"a\.dat: was cut short while it was read"):
        list(live.windows(100))


@pytest.mark.parametrize(
    ("name", "seconds", "said"), [("a.h5", 1, "only .dat"), ("a.dat", 0, "follow"), ("b.dat", 1, "no such")]
)
def test_what_cannot_be_followed(tmp_path, name, seconds, said):
    (tmp_path / "a.dat").touch()
    with pytest.raises((DataError, ConfigError), match=said):
        growing_file(tmp_path / name, seconds)


def test_memory_is_that_of_a_window():
    """Ten million events come in windows of a thousand."""
    records = np.zeros((10_000, 2), "<u4")
    sent = iter(range(1000))

    def read(closed):
        if (number := next(sent, None)) is None:
            return b""
        records[:, 0] = np.arange(number * 10_000, (number + 1) * 10_000)
        return (b"% Width 9\n% Height 6\n\x0c\x08" if number == 0 else b"") + records.tobytes()

    live, count = LiveRecording("a", read), 0
    for window in live.windows(1000):
        assert len(window.events) == 1000
        assert window.events.t_us.base is None or window.events.t_us.base.nbytes < 1_000_000
        count += 1
    assert count == 10_000
