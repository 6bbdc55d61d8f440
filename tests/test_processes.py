"""Processes that end with the one that started them."""

import time

import pytest

from spikeyolo.processes import in_processes


class Finalized:
    def __del__(self):
        time.sleep(3)


def work(folder, number):
    """Fails if it is the first; else goes on for long, first in a finalizer, and says when it was ended."""
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
def test_a_signal_that_a_finalizer_drops_is_sent_again(tmp_path, capfd):
    with pytest.raises(ValueError, match="the first fails"):
        list(in_processes(work, [(tmp_path, number) for number in range(2)], 2))
    assert (tmp_path / "cleaned").exists()
    assert "Traceback" not in capfd.readouterr().err
