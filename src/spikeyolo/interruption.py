"""Signals that ask a process to end: Ctrl-C, SIGTERM as schedulers send it, SIGHUP of a terminal that is closed."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

AGAIN = 0.02  # seconds

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Interrupted(KeyboardInterrupt):
    """A signal asked the process to end.

    Attributes:
        signum: which.
        advice: how to go on with what was interrupted, as a part of a sentence; may be empty.
    """

    def __init__(self, signum: int = signal.SIGINT, advice: str = "") -> None:
        self.signum, self.advice = signum, advice
        what = "interrupted" if signum == signal.SIGINT else f"stopped by {signal.Signals(signum).name}"
        super().__init__(f"{what}; {advice}" if advice else what)

    @property
    def exit_code(self) -> int:
        """What a shell reports of a process that a signal ended."""
        return 128 + self.signum


class StopRequest:
    """A handler that notes a signal, for work that ends where nothing is lost; Ctrl-C after that raises at once.

    Attributes:
        signum: the signal that was noted; 0 before.
    """

    def __init__(self) -> None:
        self.signum = 0

    def __call__(self, signum: int, frame: Any) -> None:
        """Note the signal."""
        if self.signum and signum == signal.SIGINT:
            raise Interrupted(signum)
        self.signum = self.signum or signum


def interrupt(signum: int, frame: Any) -> None:
    """Raise `Interrupted`: the handler for work that can end anywhere, but for imports.

    Libraries in C++ abort when something is raised while they are imported, or swallow it and fail in another way: the
    signal is sent again until they are done.
    """
    if not _is_importing(frame):
        raise Interrupted(signum)
    again = threading.Timer(AGAIN, _send_again, (signum,))
    again.daemon = True
    again.start()


def _send_again(signum: int) -> None:
    if isinstance(signal.getsignal(signum), StopRequest) or signal.getsignal(signum) is interrupt:
        os.kill(os.getpid(), signum)


def _is_importing(frame: Any) -> bool:
    while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame is not None


def on_signals(handler: Callable[[int, Any], None]) -> None:
    """Let these signals call a handler; those that are ignored, as under nohup, stay so. In the main thread alone."""
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                signal.signal(number, handler)


@contextmanager
def signals_restored() -> Iterator[None]:
    """Give these signals back the handlers from before when the block ends."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                if handler is not None:
                    signal.signal(number, handler)


@contextmanager
def advice(text: str) -> Iterator[None]:
    """Let an interruption of the block say how to go on."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted(getattr(error, "signum", signal.SIGINT), text) from error


@contextmanager
def shielded(*spared: int) -> Iterator[None]:
    """Processes that are started in the block never get these signals, but for those `spared`.

    A Ctrl-C goes to all processes of a terminal, a scheduler's SIGTERM to all of a job: helpers go on until the process
    that started them has come to an end of its own and ends them.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, set(SIGNALS) - set(spared))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
