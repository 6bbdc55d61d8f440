"""`spikeyolo predict`: objects on images, videos, cameras and recordings."""

from __future__ import annotations

from typing import Any

from ..terminal import say, tell_apart
from ..verbs.predict import Results
from ..verbs.predict import predict as find
from .options import own_neuron
from .twin import twin_of


@twin_of(find, source=list[str], json=bool)
def predict(given: frozenset[str] = frozenset(), **options: Any) -> None:
    """Find objects on images, folders, glob patterns, videos and cameras, and on recordings of event cameras.

    Args:
        source: images, folders, "glob*", addresses, videos, camera numbers, streams, or recordings (.dat .h5 .raw
            .aedat4 .es); "-" for a .dat on standard input
        out: folder for what is written, new or empty; runs/predict, or the next free number, unless given

    Examples:
        spikeyolo predict --weights t-bccd --source cells.jpg
        spikeyolo predict --weights best.safetensors --source drive_td.dat --carry
        spikeyolo predict --weights best.safetensors --source - --no-draw --json-lines -
    """
    from ..progress import progress_bar

    options["neuron"] = own_neuron(options.get("neuron"), given)
    tell = tell_apart if options.get("json_lines") == "-" else say
    results = find(**options, write=True, stream=True, progress=tell)
    assert isinstance(results, Results)
    with progress_bar("frames") as report:
        for _ in results:
            report(results.summary.frames, results.summary.total)
    tell(*results.summary.lines())
