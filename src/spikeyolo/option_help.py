"""What options are that several commands and functions have: said once, for `--help` and for docstrings."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable
from typing import TypeVar

from .docstring import Docstring

Documented = TypeVar("Documented", bound=Callable[..., object])

WIDTH = 116  # of a line; docstrings are indented by four

TRAINED = "a saved model (.safetensors), a published checkpoint (.pt), or a name of `spikeyolo models`"
RUNNABLE = f"{TRAINED}; or what export wrote: a .onnx, an OpenVINO folder, or a package for chips"

OPTIONS = {
    "batch": "images looked at together",
    "compile": "have PyTorch's compiler make faster code of the network, which takes minutes first; for GPUs and long "
    "runs",
    "conf": "least score of a detection, 0..1",
    "crops": "write what each box shows, OUT/crops/CLASS/*.jpg",
    "data": "a data.yaml (of images, or of recordings of an event camera), a COCO annotation file, or the name of a "
    "public set (spikeyolo data list)",
    "device": "auto (a GPU where there is one), cpu, cuda, or the number of a GPU",
    "draw": "write images and videos with boxes",
    "engine": "what computes on a CPU: auto takes the fastest that is installed and finds the same",
    "fold": "fold the batch norms first, which is faster and gives the same result",
    "imgsz": "side of the square that images are letter-boxed to, a multiple of 32; that of the training unless given",
    "iou": "overlap over which the weaker of two boxes of a class is dropped, 0..1",
    "json": "write OUT/predictions.json",
    "max_det": "most detections of an image",
    "neuron": "package.module:Class, of weights whose neuron is your own; on the command line that module is imported, "
    "and so run",
    "overwrite": "replace files that are there already, but never one that is read",
    "preparation": "how recordings become frames, by name (counts, gen1-published), in place of what the model says",
    "progress": "called with a line about each step",
    "provider": "of ONNX Runtime, for an exported .onnx, by its name, in place of the device's",
    "sensor": "rows and columns of the event camera, for a network whose frames keep its size",
    "sequence": "follow recordings from start to end, so many timesteps at once, potentials carried on; windows from "
    "rest unless given",
    "slot_code": "how counts become slots in the forms that run on them: unary or binary, with the same results; the "
    "model's own unless given",
    "split": "the part of the data set",
    "technology": "what an operation costs; a name of the package's table, or a YAML file of your own",
    "text": "write YOLO text files, OUT/labels/*.txt",
    "threads": "processor threads that one run takes, and PyTorch from then on; one for each core unless given",
    "track": "number objects through the frames of a video",
    "weights": TRAINED,
    "window_us": "length of a window of a recording in microseconds, in place of what the model says",
    "window_events": "most events of a window, in place of that; a window is what window_us and this say together",
    "refractory_us": "drop events less than so many microseconds after the last kept one of their pixel, in place of "
    "what the model says; 0: none",
    "background_us": "drop events without one of a neighbouring pixel in so many microseconds before, in place of "
    "that; 0: none",
    "region": "x0 y0 x1 y1, the part of the sensor to look at, in place of that",
    "workers": "processes that load images",
}
"""By name. Where it means something else, the docstring of the command, function or class says so and comes first."""

IN_PYTHON = {
    "device": "; auto leaves a model that is given where it is",
    "neuron": "; see `SpikeYOLO.load`",
    "weights": "; or a `SpikeYOLO`, which stays as it is",
}
"""What functions take beside that."""


def described(**texts: str) -> Callable[[Documented], Documented]:
    """Return a decorator that fills up the `Args`, or `Attributes`, of a docstring, in the order of the signature.

    Args:
        **texts: for this function or class, in place of those of `OPTIONS`.

    Raises:
        KeyError: a parameter that nothing is said about.
    """

    def of(thing: Documented) -> Documented:
        about = inspect.getdoc(thing) or ""
        before, title, section = re.split(r"^(Args|Attributes):\n", about, maxsplit=1, flags=re.MULTILINE)
        _, blank, after = f"\n{section}".partition("\n\n")
        beside = IN_PYTHON if title == "Args" else {}
        shared = {name: text + beside.get(name, "") for name, text in {**OPTIONS, **texts}.items()}
        own = Docstring.of(thing).parameters
        lines = []
        made = getattr(thing, "__init__", thing) if inspect.isclass(thing) else thing
        for name, parameter in inspect.signature(made).parameters.items():
            if name == "self":
                continue
            stars = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
            entry = f"{stars}{name}: {own[name] if name in own else shared[name]}"
            lines.append(textwrap.fill(entry, WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 8))
        thing.__doc__ = f"{before}{title}:\n{chr(10).join(lines)}{blank}{after}"
        return thing

    return of
