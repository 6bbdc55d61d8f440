"""`spikeyolo export`: a network for another runtime, or for a chip."""

from __future__ import annotations

from dataclasses import asdict, field, make_dataclass
from typing import TYPE_CHECKING, Any

from ..exporting.export import export as write
from ..exporting.registry import FORMATS
from ..terminal import say
from .arguments import options_of_fields
from .options import own_neuron
from .twin import twin_of


def _choices() -> Any:
    """A dataclass of all that formats let one choose, None where it is not given, with their own help."""
    types: dict[str, Any] = {}
    about: dict[str, str] = {}
    takers: dict[str, list[str]] = {}
    for entry in FORMATS.values():
        for option in options_of_fields(entry.config, None):
            name = option.name.removeprefix("thresholds.")
            types.setdefault(name, option.kind | None)
            about.setdefault(name, option.help)
            takers.setdefault(name, []).append(entry.name)
    lines = [f"    {name}: {text} (of {', '.join(takers[name])})" for name, text in about.items()]
    made = make_dataclass("Choices", [(name, kind, field(default=None)) for name, kind in types.items()])
    made.__doc__ = "\n".join(["What formats let one choose.", "", "Attributes:", *lines])
    return made


if TYPE_CHECKING:
    Choices = Any
else:
    Choices = _choices()

NOTHING = Choices()


@twin_of(write)
def export(choices: Choices = NOTHING, given: frozenset[str] = frozenset(), **options: Any) -> None:
    """Write a network for another runtime or for a chip, and measure how close that comes to PyTorch.

    Formats: onnx (ONNX Runtime, TensorRT), openvino, integer-onnx (integer operators alone), integer (a folder from
    which hardware can be written and checked bit by bit), qonnx (FINN), nir, web (a page for browsers). An option that
    a format does not have is refused.

    Args:
        imgsz: side of the square that the network is to see, in place of its own
        samples: images to measure on, to find the ranges of int8 on, and to try a page on: files, folders, "glob*";
            unless given those of a shipped model, else generated ones

    Examples:
        spikeyolo export --weights best.safetensors --format onnx --out model.onnx
        spikeyolo export --weights best.safetensors --format integer --out chip/
        spikeyolo export --weights t-bccd --format web --out page/
    """
    chosen = {name: value for name, value in asdict(choices).items() if value is not None}
    options |= {"neuron": own_neuron(options.get("neuron"), given), "samples": options.get("samples") or ()}
    done = write(**options, **chosen)
    say(f"written to {done.path}: {done.format}, {done.size / 1e6:.1f} MB")
    if done.parity is not None:
        say(f"beside PyTorch: {done.parity}")
    if done.program is not None:
        say(f"python {done.program} IMAGE OUT finds objects without spikeyolo")
    if done.format == "web":
        say(f"python -m http.server --directory {done.path} shows it at http://localhost:8000; any static host does")
