"""`spikeyolo val`: average precision and speed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..detection.thresholds import EVALUATION, Thresholds
from ..terminal import say, show
from .exported import exported_detector, in_fast_form
from .options import (
    Batch,
    Compile,
    Data,
    Device,
    EngineName,
    Fold,
    ImageSize,
    Overwrite,
    OwnNeuron,
    Preparation,
    Provider,
    Runnable,
    Sequence,
    SlotCode,
    Split,
    Threads,
    Workers,
    own_neuron,
)

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from ..evaluation.validate import Validation
    from ..model.detector import SpikeYOLO


def val(
    weights: Runnable,
    data: Data,
    split: Split = "val",
    batch: Batch = 16,
    imgsz: ImageSize = None,
    device: Device = "auto",
    thresholds: Thresholds = EVALUATION,
    workers: Workers = 2,
    engine: EngineName = "auto",
    threads: Threads = None,
    provider: Provider = None,
    fold: Fold = True,
    compile: Compile = False,
    spike_driven: bool = False,
    integer: bool = False,
    slot_code: SlotCode = None,
    preparation: Preparation = None,
    sequence: Sequence = None,
    neuron: OwnNeuron = None,
    json: str | None = None,
    out: str | None = None,
    overwrite: Overwrite = False,
    given: frozenset[str] = frozenset(),
) -> None:
    """Measure the average precision and the speed of a model on labelled images, or on recordings of event cameras.

    On recordings by the protocol that the data.yaml names (gen1, 1mpx), with plain COCO beside it.

    Args:
        spike_driven: run on binary spikes, by additions alone, once that is proven for these weights; much slower
        integer: the same with int8 weights and 32-bit fixed-point potentials
        json: write the numbers into this file
        out: folder for plots and, on COCO JSON data, the results under the file's own ids; none unless given

    Examples:
        spikeyolo val --weights runs/train/best.safetensors --data data.yaml
        spikeyolo val --weights best.safetensors --data data.yaml --spike-driven --slot-code binary
        spikeyolo val --weights model.onnx --data data.yaml --split test --json numbers.json
    """
    from ..data.open import open_data
    from ..devices import one_device
    from ..evaluation.validate import ValidationSettings, validate
    from ..files import new_file, new_folder

    of_models = _form_options(spike_driven, integer, slot_code, compile)
    of_models |= {"no-fold": not fold, "engine": engine != "auto", "neuron": neuron is not None}
    exported = exported_detector(weights, device, threads, provider, of_models)
    # Before anything is read or written.
    chosen, own = one_device("cpu" if exported else device), own_neuron(neuron, given)
    settings = ValidationSettings(batch, thresholds, workers, imgsz, preparation, sequence)
    opened, reads = open_data(data), [weights, data]
    numbers = None if json is None else new_file(json, [".json"], reads=[*reads, *opened.files], overwrite=overwrite)
    folder = None if out is None else new_folder(out, reads=[data, *opened.files], overwrite=overwrite)
    index = opened.split(split)
    form = spike_driven, integer, slot_code
    model = exported or in_fast_form(_load(weights, own, chosen, *form), fold, engine, imgsz, len(index), compile)
    _report(validate(model, index, settings), numbers, folder)


def _report(found: Validation, numbers: Path | None, folder: Path | None) -> None:
    """Write what is asked for, then print the tables."""
    if numbers is not None:
        found.write_json(numbers)
    written = [] if folder is None else found.write(folder)
    show(*found.tables())
    if written:
        say(f"written: {', '.join(map(str, written))}")


def _form_options(spike_driven: bool, integer: bool, slot_code: str | None, compile: bool) -> dict[str, bool]:
    """Which of the options are given that choose a form, or how it is computed."""
    from ..errors import ConfigError

    if spike_driven and integer:
        raise ConfigError("val: --spike-driven and --integer are two forms; name one")
    if compile and (spike_driven or integer):
        raise ConfigError("compile: not with --spike-driven and --integer, which prove what hardware computes")
    return {"spike-driven": spike_driven, "integer": integer, "slot-code": slot_code is not None, "compile": compile}


def _load(
    weights: str, neuron: str | None, device: torch.device, spike_driven: bool, integer: bool, slot_code: str | None
) -> SpikeYOLO:
    """The model in the form to measure, with a line about what is proven for it."""
    from ..interop.reference import load_any
    from ..model.forms.convert import converted
    from ..model.forms.verify import verify_spike_driven
    from ..spiking import SlotCode

    model = load_any(weights, neuron).to(device)
    if spike_driven:
        model = model.to_spike_driven(slot_code)
        say(f"verified: {verify_spike_driven(model)}")
    elif integer:
        model = model.to_integer(slot_code)
        bits = f"int8 weights, 32-bit potentials with {model.fraction_bits} fraction bits"
        say(f"{bits}, no sum beyond 32 bits, {model.slot_code} slots")
    elif slot_code is not None:
        model = converted(model, model.form, slot_code=SlotCode.of(slot_code))
    return model
