"""The time that each stage of an evaluation takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from rich.table import Table


class StageTimer:
    """Milliseconds an image that each stage takes.

    A GPU is waited for at both ends of a stage. The first batches are left out, as they compile, allocate and fill
    caches, unless there are no others.

        timer = StageTimer(device)
        for batch in loader:
            with timer.stage("network"):
                logits = model(batch.images)
            timer.end_batch(batch.batch_size)
        print(timer.table())

    Args:
        device: where the stages compute.
        warmup: batches at the start that are left out.
        clock: gives seconds.
    """

    def __init__(
        self,
        device: torch.device | str = "cpu",
        warmup: int = 1,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._device = torch.device(device)
        self._warmup = warmup
        self._clock = clock
        self._open: dict[str, float] = {}
        self._batches: list[tuple[int, dict[str, float]]] = []

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return self._clock()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what runs inside; a stage that runs several times in a batch is summed."""
        start = self._now()
        yield
        self._open[name] = self._open.get(name, 0.0) + self._now() - start

    def end_batch(self, images: int) -> None:
        """Close a batch of this many images."""
        self._batches.append((images, self._open))
        self._open = {}

    def milliseconds(self) -> dict[str, float]:
        """Return milliseconds an image for each stage, in the order they first ran; empty before a batch has ended."""
        measured = self._batches[self._warmup :] or self._batches
        images = sum(count for count, _ in measured)
        names = dict.fromkeys(name for _, stages in measured for name in stages)
        if images == 0:
            return {}
        return {name: 1e3 * sum(stages.get(name, 0.0) for _, stages in measured) / images for name in names}

    def table(self) -> Table:
        """Return the stages with their sum, for `rich.print`."""
        from rich.table import Table

        table = Table(title=f"Speed on {self._device}")
        table.add_column("stage")
        table.add_column("ms an image", justify="right")
        stages = self.milliseconds()
        for name, value in stages.items():
            table.add_row(name, f"{value:.2f}")
        table.add_section()
        table.add_row("all", f"{sum(stages.values()):.2f}", style="bold")
        return table
