"""How commands end that are interrupted, or whose output is closed or full: a line, a code, and never a traceback."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time

import pytest
from tests.trust.test_interruptions import left_behind, start

from spikeyolo.cli import main as program
from spikeyolo.interruption import SIGNALS, Interrupted, StopRequest, advice, on_signals, signals_restored

FULL = OSError(errno.ENOSPC, "No space left on device")


def chained(error: BaseException, cause: BaseException) -> BaseException:
    error.__context__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "spikeyolo: interrupted\n"),
        (Interrupted(), 130, "spikeyolo: interrupted\n"),
        (Interrupted(signal.SIGTERM), 143, "spikeyolo: stopped by SIGTERM\n"),
        (Interrupted(signal.SIGHUP, "go on"), 129, "spikeyolo: stopped by SIGHUP; go on\n"),
        (chained(ImportError("numpy failed"), KeyboardInterrupt()), 130, "spikeyolo: interrupted\n"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 141, ""),
        (chained(SystemExit(1), BrokenPipeError(errno.EPIPE, "Broken pipe")), 141, ""),  # what rich raises
        (FULL, 1, "spikeyolo: standard output: No space left on device\n"),
        (OSError(errno.EACCES, "Permission denied", "a.txt"), 1, "spikeyolo: a.txt: Permission denied\n"),
        (MemoryError(), 1, "spikeyolo: out of memory; a smaller --batch or --imgsz, or fewer --workers, need less\n"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_ends_a_command_is_a_line_and_a_code(monkeypatch, capsys, error, code, said):
    def end(words):
        raise error

    monkeypatch.setattr(program, "_run", end)
    monkeypatch.setattr(program, "_drop_output", lambda: None)
    assert program.main([]) == code
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_a_command_and_the_handlers_are_those_from_before(monkeypatch, capsys, number):
    with signals_restored():
        signal.signal(number, signal.default_int_handler)  # not ignored, as under nohup
        before = [signal.getsignal(each) for each in SIGNALS]
        monkeypatch.setattr(program, "_run", lambda words: signal.raise_signal(number))
        assert program.main([]) == 128 + number
        assert capsys.readouterr().err.count("\n") == 1
        assert [signal.getsignal(each) for each in SIGNALS] == before


def test_a_signal_waits_for_the_end_of_an_import(monkeypatch, capsys, tmp_path):
    """What is raised within C++ that is being imported aborts the program."""
    (tmp_path / "imported_slowly.py").write_text(
        "import signal, time\nsignal.raise_signal(signal.SIGINT)\ntime.sleep(0.1)\ndone = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    seen = []

    def imports(words):
        import imported_slowly

        seen.append(imported_slowly.done)
        time.sleep(10)

    monkeypatch.setattr(program, "_run", imports)
    with signals_restored():
        signal.signal(signal.SIGINT, signal.default_int_handler)
        assert program.main([]) == 130
    assert seen == [True]
    assert capsys.readouterr().err == "spikeyolo: interrupted\n"


def test_what_nohup_ignores_stays_ignored():
    with signals_restored():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        on_signals(StopRequest())
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert isinstance(signal.getsignal(signal.SIGTERM), StopRequest)


def test_a_second_ctrl_c_ends_at_once_and_a_second_sigterm_does_not():
    stop = StopRequest()
    stop(signal.SIGTERM, None)
    stop(signal.SIGTERM, None)
    assert stop.signum == signal.SIGTERM
    with pytest.raises(Interrupted, match="interrupted"):
        stop(signal.SIGINT, None)


def test_the_outermost_advice_counts():
    with pytest.raises(Interrupted, match="stopped by SIGTERM; begin again"), advice("begin again"), advice("go on"):
        raise Interrupted(signal.SIGTERM)


PROGRAM = f"{sys.executable} -m spikeyolo"


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("--help >&-", 0, ""),
        ("--help 2>&-", 0, ""),
        ("--help <&- >&- 2>&-", 0, ""),
        ("--help >/dev/full", 1, "spikeyolo: standard output: No space left on device\n"),
        ("--help >/dev/full 2>/dev/full", 1, ""),
        ("trian >&-", 2, "no such command"),
        ("trian 2>/dev/full", 2, ""),
        ("trian 2>&-", 2, ""),
        ("train --print-config | true; exit ${PIPESTATUS[0]}", 141, ""),
    ],
)
def test_closed_and_full_outputs(tmp_path, line, code, said):
    done = subprocess.run(["bash", "-c", f"{PROGRAM} {line}"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == code
    assert said in done.stderr
    assert done.stderr.count("\n") == bool(said)


def test_a_closed_output_is_not_the_next_file_that_is_opened(tmp_path):
    code = "import os; from spikeyolo.cli.main import main; main(['--version']); print(os.open('x', os.O_CREAT) > 2)"
    done = subprocess.run(["bash", "-c", f'{sys.executable} -c "{code}" 2>&- <&-'], cwd=tmp_path, capture_output=True)
    assert done.stdout.endswith(b"True\n")


@pytest.mark.long
def test_ctrl_c_while_everything_is_imported_is_one_line(tmp_path):
    """At 0.1 to 1 s torch, Lightning and the rest are on their way."""
    (tmp_path / "x.png").write_bytes(b"")
    for delay in (0.15, 0.4, 0.8):
        process = start(["predict", "--weights", "no.safetensors", "--source", "x.png"], tmp_path)
        try:
            _, errors = process.communicate(timeout=delay)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGINT)
            _, errors = process.communicate(timeout=60)
            assert process.returncode in (130, 1, -signal.SIGINT)  # 1: it was done with the missing weights
            assert errors.count("\n") <= 1, errors
            assert process.returncode != 130 or errors == "spikeyolo: interrupted\n"
        assert not left_behind(process.pid)
