"""Items that are made in the background, some ahead of who takes them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from queue import Empty, Full, Queue
from typing import Any, Generic, TypeVar

T = TypeVar("T")

LOOK = 0.1
"""Seconds after which the background looks whether anybody still waits for it."""

GRACE = 2.0
"""Seconds that `close` waits for what is being made; a thread that waits for the system longer ends by itself."""


class Ahead(Iterator[T], Generic[T]):
    """An iterator whose items a thread makes before they are asked for, in their order.

    What its iterator raises is raised where the item would have been taken. `close` ends the thread; so does the end of
    this object. The thread never keeps the program from ending.

    Args:
        items: made in the thread alone, from the first one asked for on.
        most: items that may wait; memory is theirs, and that of the one being made.
    """

    def __init__(self, items: Iterator[T], most: int = 2) -> None:
        self._waiting: Queue[tuple[Any, BaseException | None]] = Queue(most)
        self._unwanted = threading.Event()
        work = (items, self._waiting, self._unwanted)  # not this object, whose end is to end the thread
        self._thread: threading.Thread | None = threading.Thread(target=_make, args=work, daemon=True)
        self._thread.start()

    def __next__(self) -> T:
        if self._thread is None:
            raise StopIteration
        item, error = self._waiting.get()
        if error is None:
            return item
        self.close()
        raise error

    def close(self) -> None:
        """End the thread; what it has made and nobody has taken is dropped."""
        self._unwanted.set()
        if (thread := self._thread) is not None:
            self._thread, until = None, time.monotonic() + GRACE
            while thread.is_alive() and time.monotonic() < until:
                _emptied(self._waiting)
                thread.join(LOOK)

    def __del__(self) -> None:
        self._unwanted.set()


def _emptied(waiting: Queue[Any]) -> None:
    with suppress(Empty):
        while True:
            waiting.get_nowait()


def _make(items: Iterator[Any], waiting: Queue[Any], unwanted: threading.Event) -> None:
    try:
        for item in items:
            if not _handed_over((item, None), waiting, unwanted):
                return
        _handed_over((None, StopIteration()), waiting, unwanted)
    except BaseException as error:  # it belongs to who takes the items
        _handed_over((None, error), waiting, unwanted)
    finally:
        if (close := getattr(items, "close", None)) is not None:
            close()


def _handed_over(item: Any, waiting: Queue[Any], unwanted: threading.Event) -> bool:
    """Wait until there is room; return False where nobody wants it any more."""
    while not unwanted.is_set():
        with suppress(Full):
            waiting.put(item, timeout=LOOK)
            return True
    return False
