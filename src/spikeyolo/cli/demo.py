from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..demo.steps import Demo


def demo(out: str | None = None, epochs: int | None = None, seed: int = 0, events: bool = False) -> None:
    """Generates images, trains a small detector on them, measures it and draws what it finds; minutes on a laptop.

    Args:
        out: folder for everything; runs/demo, or runs/demo-events, unless given
        epochs: passes over the training data, in place of the demo's own number
        seed: where all randomness comes from
        events: the same on generated recordings of an event camera
    """
    if events:
        from ..demo.events import run_demo

        _say_more(run_demo(_free(Path(out or "runs/demo-events")), epochs, seed), EVENT_HINTS)
    else:
        from ..demo.images import run_demo as run_image_demo

        _say_more(run_image_demo(_free(Path(out or "runs/demo")), epochs, seed), IMAGE_HINTS)


HINTS = """
look at   {made.predictions}  (above as labelled, below as found)
          {made.energy_page}  (energy, layer by layer)
          {made.weights.parent}  (curves, precision and recall)
"""

IMAGE_HINTS = """\
go on     spikeyolo predict --weights {made.weights} --source {made.example} --track true
          spikeyolo val --weights {made.weights} --data {made.data}
          spikeyolo energy --weights {made.weights} --data {made.data}
your data spikeyolo data check YOUR/data.yaml
          spikeyolo train --config small --model t --data YOUR/data.yaml"""

EVENT_HINTS = """\
go on     spikeyolo predict --weights {made.weights} --source {made.example} --carry
          spikeyolo events view {made.example} --data {made.data}
          spikeyolo val --weights {made.weights} --data {made.data} --split test
          spikeyolo energy --weights {made.weights} --data {made.data} --split test
your data spikeyolo events info YOUR/data.yaml
          spikeyolo train --model s-gen1 --data YOUR/data.yaml"""


def _say_more(made: Demo, hints: str) -> None:
    print((HINTS + hints).format(made=made))


def _free(out: Path) -> Path:
    """The folder, or the next number of it that holds no training yet."""
    number = 1
    while (folder := out if number == 1 else out.with_name(f"{out.name}-{number}")).joinpath("run").exists():
        number += 1
    return folder
