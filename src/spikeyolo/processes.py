"""Work in several processes that all end with the one that started them, whatever ends it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any, TypeVar

from .errors import DataError
from .interruption import shielded

T = TypeVar("T")
GRACE = 5  # seconds to clean up in

WORKER_DIED = "a worker process was killed, maybe for want of memory; give fewer --workers or a smaller --batch"


def cores() -> int:
    """Return how many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_processes(function: Callable[..., T], jobs: Sequence[tuple[Any, ...]], count: int) -> Iterator[T]:
    """Call a function with each tuple of arguments in so many processes; yield what it returns as it is done.

    When this process is interrupted or killed, the others remove what they have begun and end.

    Raises:
        DataError: a process was killed.
    """
    context = multiprocessing.get_context("spawn")
    resource_tracker.ensure_running()  # started later, it would lift the shield
    held, leash = context.Pipe(duplex=False)  # closed by the system too, when this process dies
    with ProcessPoolExecutor(count, context, _begin, (held,)) as pool:
        try:
            with shielded(signal.SIGTERM):  # Ctrl-C reaches all processes; the first one ends the others
                futures = [pool.submit(_call, function, job) for job in jobs]
            for future in as_completed(futures):
                yield future.result()
        except BaseException as error:
            leash.close()
            pool.shutdown(cancel_futures=True)
            if isinstance(error, BrokenProcessPool):
                raise DataError(WORKER_DIED) from error
            raise


def _begin(held: Connection) -> None:
    """Set up a new process."""
    signal.signal(signal.SIGTERM, _leave)
    sys.unraisablehook = _leave_later
    threading.Thread(target=_end_with, args=(held,), daemon=True).start()


def _end_with(held: Connection) -> None:
    held.poll(None)  # until the other end is closed
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(1)


def _leave(_signal: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code is _leave_later.__code__:
            return  # an exception would be dropped there again; the timer asks once more
        frame = frame.f_back
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(128 + signal.SIGTERM)


def _leave_later(dropped: Any) -> None:
    """Ask again: in a finalizer or a weak reference's callback, Python drops exceptions, that of the signal too."""
    if not isinstance(dropped.exc_value, SystemExit):
        sys.__unraisablehook__(dropped)
        return
    signal.signal(signal.SIGALRM, _leave)
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)


def _call(function: Callable[..., T], job: tuple[Any, ...]) -> T:
    try:
        return function(*job)
    except SystemExit:
        os._exit(128 + signal.SIGTERM)  # at once: the pool would go on with the next job
