"""`spikeyolo models`: weights that come with the package, and where others are had."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..terminal import say


def models(samples: str | None = None, overwrite: bool = False, json: bool = False) -> None:
    """List the models that come with the package, with what was measured of each, and published checkpoints.

    A name stands for its weights wherever a file of weights is taken, also in Python: spikeyolo.load("t-bccd"). A file
    of that name comes first.

    Args:
        samples: also write data to try them on into this folder, new or empty
        json: print what is known of each as JSON

    Examples:
        spikeyolo models
        spikeyolo models --samples samples
    """
    from ..weights.shipped import published_models, shipped_models

    shipped, published = shipped_models(), published_models()
    if samples is not None:
        _write_samples(samples, overwrite, shipped)
    elif json:
        from dataclasses import asdict
        from json import dumps

        content: dict[str, Any] = {"models": [asdict(model) for model in shipped.values()]}
        say(*dumps({**content, "published": [asdict(model) for model in published]}, indent=1).splitlines())
    else:
        say("Models that come with the package, by name:")
        for name, model in shipped.items():
            _block(name, model.lines())
        say("", "Checkpoints that the authors of SpikeYOLO publish; `spikeyolo convert` runs nothing that they hold:")
        for other in published:
            _block(other.name, [other.about, other.where, other.convert])
        say("", "spikeyolo models --samples FOLDER writes data to try the models on.")


def _block(title: str, lines: Iterable[str]) -> None:
    import textwrap

    say("", title)
    for line in lines:
        wrap = not line.startswith(("by spikeyolo", "spikeyolo"))  # a command is copied as one line
        say(*(textwrap.wrap(line, 96, initial_indent="  ", subsequent_indent="    ") if wrap else [f"  {line}"]))


def _write_samples(folder: str, overwrite: bool, shipped: Iterable[str]) -> None:
    from ..demo.samples import write_samples
    from ..files import new_folder

    target = new_folder(folder, overwrite=overwrite)
    for name in shipped:
        sample = write_samples(name, target)
        carry = " --carry" if sample.is_recording else ""
        say(
            f"{name}: {sample.data}",
            f"  spikeyolo predict --weights {name} --source {sample.source}{carry}",
            f"  spikeyolo val --weights {name} --data {sample.data} --split test",
        )
