from __future__ import annotations

from pathlib import Path


def demo(out: str | None = None, epochs: int | None = None, seed: int = 0, events: bool = False) -> None:
    """Generates images, trains a small detector on them, measures it and draws what it finds; minutes on a laptop.

    Args:
        out: folder for everything; runs/demo, or runs/demo-events, unless given
        epochs: passes over the training data, in place of the demo's own number
        seed: where all randomness comes from
        events: the same on generated recordings of an event camera
    """
    if events:
        _demo_events(_free(Path(out or "runs/demo-events")), epochs, seed)
    else:
        _demo_images(_free(Path(out or "runs/demo")), epochs, seed)


def _demo_events(out: Path, epochs: int | None, seed: int) -> None:
    from rich import print as show

    from ..demo.events import tell_events
    from ..evaluation.metrics import class_table

    story = tell_events(out, epochs, seed)
    show(class_table(story.validation.metrics, places="at {} labelled instants of recordings not seen before"))
    show(story.validation.timer.table())
    print(
        f"""
look at   {story.predictions}  (above as labelled, below as found)
          {story.weights.parent}  (curves, precision and recall)
go on     spikeyolo predict --weights {story.weights} --source {story.recording} --carry
          spikeyolo events view {story.recording} --data {story.data}
          spikeyolo val --weights {story.weights} --data {story.data} --split test
          spikeyolo energy --weights {story.weights} --data {story.data}
your data spikeyolo events info YOUR/data.yaml
          spikeyolo train --model s-gen1 --data YOUR/data.yaml"""
    )


def _demo_images(out: Path, epochs: int | None, seed: int) -> None:
    from rich import print as show

    from ..demo.images import tell
    from ..evaluation.metrics import class_table

    story = tell(out, epochs, seed)
    show(class_table(story.validation.metrics))
    show(story.validation.timer.table())
    snn, ann = story.millijoules
    print(f"firing rate {story.firing_rate:.1%}: share of the binary slots that hold a spike")
    print(f"energy of an image, 45 nm model without memory: {snn:.3f} mJ with spikes, {ann:.3f} mJ as an ANN")
    print(
        f"""
look at   {story.predictions}  (above as labelled, below as found)
          {story.weights.parent}  (curves, precision and recall, confusion matrix)
go on     spikeyolo predict --weights {story.weights} --source {story.video} --imgsz 128 --track true
          spikeyolo val --weights {story.weights} --data {story.data}
your data spikeyolo data check YOUR/data.yaml
          spikeyolo train --config small --model t --data YOUR/data.yaml"""
    )


def _free(out: Path) -> Path:
    """The folder, or the next number of it that holds no training yet."""
    number = 1
    while (folder := out if number == 1 else out.with_name(f"{out.name}-{number}")).joinpath("run").exists():
        number += 1
    return folder
