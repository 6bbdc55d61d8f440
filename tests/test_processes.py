"""Processes that end with the one that started them."""

import signal
import time

import pytest

from spikeyolo.processes import in_processes


class Finalized:
    def __del__(self):
        time.sleep(3)


def work(folder, number, slow):
    """Fails if it is the first; else goes on for long, first in a finalizer, and says when it was ended.

    On a busy machine the signal that is sent again comes while the finalizer's error is still looked at.
    """
    ask = signal.setitimer
    if slow:
        signal.setitimer = lambda *times: (ask(*times), time.sleep(0.05))
    (folder / f"begun{number}").touch()
    if number == 0:
        while not (folder / "begun1").exists():
            time.sleep(0.01)
        raise ValueError("the first fails")
    try:
        Finalized()
        time.sleep(60)
    finally:
        (folder / "cleaned").touch()


@pytest.mark.slow
@pytest.mark.parametrize("slow", [False, True])
def test_a_signal_that_a_finalizer_drops_is_sent_again(tmp_path, capfd, slow):
    with pytest.raises(ValueError, match="the first fails"):
        list(in_processes(work, [(tmp_path, number, slow) for number in range(2)], 2))
    assert (tmp_path / "cleaned").exists()
    assert "Traceback" not in capfd.readouterr().err
