"""The curves of a training for TensorBoard, which a full disk may cost; the training goes on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from lightning.pytorch.loggers import TensorBoardLogger

log = logging.getLogger("spikeyolo")


class Curves(TensorBoardLogger):
    """TensorBoard's logger, which ends with a warning when its file cannot be written."""

    failed = False

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add points."""
        self._try(lambda: super(Curves, self).log_metrics(dict(metrics), step))

    def save(self) -> None:
        """Write what is waiting."""
        self._try(super().save)

    def finalize(self, status: str) -> None:
        """Write what is waiting, and close the file."""
        self._try(lambda: super(Curves, self).finalize(status))

    def _try(self, write: Callable[[], object]) -> None:
        if self.failed:
            return
        try:
            write()
        except (OSError, ValueError) as error:
            cause = error.__cause__ or error
            if not isinstance(cause, OSError):
                raise
            self.failed = True
            log.warning("curves for TensorBoard are not written any more, training goes on: %s", cause.strerror)


@contextmanager
def quiet_writers() -> Iterator[None]:
    """Say nothing of a thread that cannot write to a disk: whoever gives it work is told, too."""
    of_others = threading.excepthook

    def report(thread: threading.ExceptHookArgs) -> None:
        if not issubclass(thread.exc_type, OSError):
            of_others(thread)

    threading.excepthook = report
    try:
        yield
    finally:
        threading.excepthook = of_others
