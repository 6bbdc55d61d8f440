"""`spikeyolo demo`: the whole story on generated data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..terminal import say

if TYPE_CHECKING:
    from ..demo.steps import Demo


def demo(
    out: str | None = None,
    epochs: int | None = None,
    seed: int = 0,
    events: bool = False,
    sequence: int | None = None,
    twin: bool | None = None,
) -> None:
    """Show a trained network at work on real images; then train one on generated ones; minutes on a laptop.

    Boxes, spikes and energy are on a page after some seconds, OUT/demo.html; average precision and energy of what is
    trained come to it at the end.

    Args:
        out: folder for everything, new or empty; runs/demo (runs/demo-events), or the next free number, unless given
        epochs: passes over the training data, in place of the demo's own number
        seed: where all randomness comes from
        events: the same on generated recordings of an event camera
        sequence: with --events: a row of a batch in four is trained along recordings, potentials carried, so many
            timesteps of 50 ms at once
        twin: train the ReLU twin to compare with; where ten minutes are enough for both unless given

    Examples:
        spikeyolo demo
        spikeyolo demo --events
        spikeyolo demo --events --sequence 4
    """
    from ..errors import ConfigError
    from ..files import new_folder, numbered
    from ..optional import require_extra

    require_extra("train")
    if sequence is not None and not events:
        raise ConfigError("sequence: of recordings; add --events")
    folder = new_folder(out) if out is not None else numbered("runs/demo-events" if events else "runs/demo")
    if events:
        from ..demo.events import run_demo as run_event_demo

        done = run_event_demo(folder, epochs, seed, sequence=sequence, twin=twin)
        _print_events(done, sequence)
    else:
        from ..demo.images import run_demo

        _print_images(run_demo(folder, epochs, seed, twin=twin))


def _print_events(done: Demo, sequence: int | None) -> None:
    streamed = "" if sequence is None else f" --sequence {sequence}"
    say(
        *f"""
look at   {done.page}  (everything on one page)
          {done.predictions}  (above as labelled, below as found)
          {done.energy_page}  (spikes, operations and energy, layer by layer)
          {done.weights.parent}  (curves, precision and recall)
go on     spikeyolo predict --weights {done.weights} --source {done.example} --carry --iou 0.5
          spikeyolo events view {done.example} --data {done.data}
          spikeyolo val --weights {done.weights} --data {done.data} --split test{streamed}
          spikeyolo energy --weights {done.weights} --data {done.data} --split test
your data spikeyolo events info YOUR/data.yaml
          spikeyolo train --model s-gen1 --data YOUR/data.yaml""".splitlines()
    )


def _print_images(done: Demo) -> None:
    say(
        *f"""
look at   {done.page}  (everything on one page)
          {done.predictions}  (above as labelled, below as found)
          {done.energy_page}  (spikes, operations and energy, layer by layer)
          {done.weights.parent}  (curves, precision and recall, confusion matrix)
go on     spikeyolo predict --weights {done.weights} --source {done.example} --track
          spikeyolo val --weights {done.weights} --data {done.data}
          spikeyolo energy --weights {done.weights} --data {done.data}
your data spikeyolo data check YOUR/data.yaml
          spikeyolo train --config small --model t --data YOUR/data.yaml""".splitlines()
    )
