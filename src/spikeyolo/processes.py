"""Work in several processes, of which none is left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import Any, TypeVar

from .errors import DataError
from .interruption import Interrupted, interrupt, shielded

T = TypeVar("T")

WORKER_DIED = (
    "a worker process ended unexpectedly; it was killed, or memory ran out: give fewer --workers or a smaller batch"
)

GRACE_S = 10.0
"""Seconds that a worker has to remove what it has half written."""


def in_processes(function: Callable[..., T], jobs: Sequence[tuple[Any, ...]], workers: int) -> Iterator[T]:
    """Call a function with the arguments of each job, in so many new processes; yield what it returns in their order.

    When this ends early, the workers end too, after they have cleaned up; so they do when this process is killed.

    Args:
        function: of a module; it is imported anew there.
        jobs: arguments.
        workers: processes.

    Raises:
        DataError: a process was killed.
    """
    resource_tracker.ensure_running()  # starting it later would lift the shield
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_follow_parent)
    try:
        with shielded(signal.SIGTERM):  # by which they are ended
            results = [pool.submit(_run, function, job) for job in jobs]
        for result in results:
            yield result.result()
    except BrokenProcessPool as error:
        raise DataError(WORKER_DIED) from error
    except BaseException:
        _end(list((pool._processes or {}).values()))
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _end(processes: Sequence[Any]) -> None:
    """The pool's own end would wait until the work is done."""
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(GRACE_S)
        process.kill()


def _follow_parent() -> None:
    """A worker whose parent is killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()


def _run(function: Callable[..., T], job: tuple[Any, ...]) -> T:
    """In the worker: a job that is interrupted removes what it has half written, then the process ends."""
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        return function(*job)
    except Interrupted as stop:
        os._exit(stop.exit_code)
    finally:
        signal.signal(signal.SIGTERM, before)
