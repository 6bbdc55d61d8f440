"""Work ahead in the background: in order, so much and no more, and its errors are raised where they belong."""

import gc
import threading
import time

import pytest

from spikeyolo.prediction.ahead import Ahead


def counted(count, made):
    for number in range(count):
        made.append(number)
        yield number


def until(condition):
    """Wait for what another thread does."""
    for _ in range(500):
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_items_come_in_order_from_one_other_thread():
    threads = set()

    def items():
        for number in range(50):
            threads.add(threading.get_ident())
            yield number

    assert list(Ahead(items())) == list(range(50))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_no_more_are_made_than_may_wait():
    made = []
    ahead = Ahead(counted(100, made), most=2)
    assert until(lambda: len(made) == 3)  # two wait, one is in the hand
    time.sleep(0.05)
    assert len(made) == 3
    assert next(ahead) == 0
    assert until(lambda: len(made) == 4)
    ahead.close()
    assert len(made) < 10
    assert list(ahead) == []


def test_an_error_is_raised_after_the_items_before_it():
    def items():
        yield 1
        raise ValueError("broken")

    ahead = Ahead(items())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="broken"):
        next(ahead)
    assert list(ahead) == []


@pytest.mark.parametrize("how", ["close", "forget"])
def test_the_thread_ends_with_who_takes_the_items(how):
    closed, before = threading.Event(), threading.active_count()

    def items():
        try:
            yield from range(1000)
        finally:
            closed.set()

    ahead = Ahead(items())
    next(ahead)
    if how == "close":
        ahead.close()
        assert threading.active_count() == before
    else:
        del ahead
        gc.collect()
    assert closed.wait(5)
