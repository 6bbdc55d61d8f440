"""`events prepare` in real processes: whatever ends the first of them, none is left and nothing is half done."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.helpers.event_datasets import boxes_of, write_recording
from tests.trust.test_interruptions import as_in_a_terminal

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="processes from /proc")]


def alive(session):
    """Processes of a session that are not zombies."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split() if entry.isdecimal() else []
        except OSError:
            continue
        if fields and int(fields[3]) == session and fields[0] != "Z":
            found.append(int(entry))
    return found


def until(true, seconds):
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return true()


@pytest.fixture
def begun(tmp_path):
    """A program that two others write recordings for, of which each takes a minute."""
    for name in "ab":
        write_recording(tmp_path / "set", name, boxes_of((100_000, 10, 8, 30, 24, 0)), end_us=10**10, count=20_000)
    (tmp_path / "data.yaml").write_text("format: prophesee\ntrain: set\nnames: [car]\n")
    command = [sys.executable, "-m", "spikeyolo", "events", "prepare", "data.yaml", "out", "--workers", "2"]
    started = subprocess.Popen(
        command,
        cwd=tmp_path,
        start_new_session=True,
        preexec_fn=as_in_a_terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    out = tmp_path / "out" / "train"
    try:
        assert until(lambda: out.is_dir() and len(list(out.iterdir())) == 2, 60), started.communicate(timeout=5)
        assert len(alive(started.pid)) >= 3
        yield started, out
    finally:
        for process in alive(started.pid):
            os.kill(process, signal.SIGKILL)
        started.communicate()


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "sent", ["Ctrl-C", "SIGTERM", *(pytest.param(s, marks=pytest.mark.long) for s in ("SIGINT", "SIGKILL"))]
)
def test_no_process_and_no_half_folder_is_left(begun, sent):
    started, out = begun
    if sent == "Ctrl-C":
        os.killpg(started.pid, signal.SIGINT)  # a terminal sends it to all
    else:
        os.kill(started.pid, getattr(signal, sent))
    assert until(lambda: not alive(started.pid), 15)
    _, said = started.communicate()
    assert "Traceback" not in said
    assert until(lambda: not list(out.iterdir()), 10)  # the other processes clear up after themselves
    if sent in ("Ctrl-C", "SIGINT"):
        assert started.returncode == 130
        assert said.strip().endswith("spikeyolo: interrupted")


@pytest.mark.long
def test_a_process_that_is_killed_ends_the_others_with_one_line(begun):
    started, out = begun
    workers = [p for p in alive(started.pid) if b"spawn_main" in Path(f"/proc/{p}/cmdline").read_bytes()]
    os.kill(workers[0], signal.SIGKILL)
    _, said = started.communicate(timeout=20)
    assert started.returncode == 1
    assert "was killed" in said
    assert "fewer --workers" in said
    assert "Traceback" not in said
    assert until(lambda: not alive(started.pid), 15)
    assert len(list(out.iterdir())) == 1  # of the process that was killed; it is cleared when the recording is written
