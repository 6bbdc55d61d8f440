"""`spikeyolo.val`: average precision and speed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..artefact import SlotCodeName
from ..detection.thresholds import EVALUATION, Thresholds
from ..option_help import RUNNABLE, described
from .runnable import Log, exported_detector, files_of, in_fast_form, load_model, nothing

if TYPE_CHECKING:
    from ..evaluation.validate import Validation
    from ..model.detector import SpikeYOLO


@described(weights=RUNNABLE)
def val(  # noqa: D417
    weights: Any,
    data: str | os.PathLike[str],
    *,
    split: Literal["train", "val", "test"] = "val",
    batch: int = 16,
    imgsz: int | None = None,
    device: str = "auto",
    conf: float = EVALUATION.conf,
    iou: float = EVALUATION.iou,
    max_det: int = EVALUATION.max_det,
    workers: int = 2,
    engine: Literal["auto", "torch", "onnxruntime", "openvino"] = "auto",
    threads: int | None = None,
    provider: str | None = None,
    fold: bool = True,
    compile: bool = False,
    spike_driven: bool = False,
    integer: bool = False,
    slot_code: SlotCodeName | None = None,
    preparation: str | None = None,
    window_us: int | None = None,
    window_events: int | None = None,
    refractory_us: int | None = None,
    background_us: int | None = None,
    region: list[int] | None = None,
    sequence: int | None = None,
    neuron: Any = None,
    json: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Log = nothing,
) -> Validation:
    """Measure the average precision and the speed of a model on labelled images, or on recordings of event cameras.

    On recordings by the protocol that the data.yaml names (gen1, 1mpx), with plain COCO beside it.

    Args:
        spike_driven: run on binary spikes, by additions alone, once that is proven for these weights; much slower
        integer: the same with int8 weights and 32-bit fixed-point potentials
        json: write the numbers into this file
        out: folder for plots and, on COCO JSON data, the results under the file's own ids; none unless given

    Returns:
        The numbers, by class too, with curves and speed: `metrics`, `to_json()`, `tables()`, `write(folder)`.

    Raises:
        ConfigError: a setting that does not exist, is out of range or does not apply, or data of other classes.
        CheckpointError: the weights cannot be used.
        DataError: the data cannot be read.
        WriteError: nothing may be written there, or it cannot be.
    """
    from ..data.open import open_data
    from ..devices import one_device
    from ..evaluation.validate import ValidationSettings, validate
    from ..files import new_file, new_folder

    of_models = _form_options(spike_driven, integer, slot_code, compile)
    of_models |= {"no-fold": not fold, "engine": engine != "auto", "neuron": neuron is not None}
    exported = exported_detector(weights, device, threads, provider, of_models)
    one_device("cpu" if exported else device)  # before anything is read or written
    changes = {"window_us": window_us, "window_events": window_events, "region": region}
    changes |= {"refractory_us": refractory_us, "background_us": background_us}
    settings = ValidationSettings(batch, Thresholds(conf, iou, max_det), workers, imgsz, preparation, sequence, changes)
    opened, reads = open_data(str(data)), files_of(weights, data)
    numbers = None if json is None else new_file(json, [".json"], reads=[*reads, *opened.files], overwrite=overwrite)
    folder = None if out is None else new_folder(out, reads=[data, *opened.files], overwrite=overwrite)
    index = opened.split(split)
    model: Any = exported
    if model is None:
        loaded = _in_form(load_model(weights, device, neuron), spike_driven, integer, slot_code, progress)
        model = in_fast_form(loaded, fold, engine, imgsz, len(index), progress, compile)
    found = validate(model, index, settings)
    _write(found, numbers, folder, progress)
    return found


def _write(found: Validation, numbers: Path | None, folder: Path | None, progress: Log) -> None:
    if numbers is not None:
        found.write_json(numbers)
    if folder is not None and (written := found.write(folder)):
        progress(f"written: {', '.join(map(str, written))}")


def _form_options(spike_driven: bool, integer: bool, slot_code: str | None, compile: bool) -> dict[str, bool]:
    """Which of the options are given that choose a form, or how it is computed."""
    from ..errors import ConfigError

    if spike_driven and integer:
        raise ConfigError("val: --spike-driven and --integer are two forms; name one")
    if compile and (spike_driven or integer):
        raise ConfigError("compile: not with --spike-driven and --integer, which prove what hardware computes")
    return {"spike-driven": spike_driven, "integer": integer, "slot-code": slot_code is not None, "compile": compile}


def _in_form(model: SpikeYOLO, spike_driven: bool, integer: bool, slot_code: str | None, progress: Log) -> SpikeYOLO:
    """The model in the form to measure, with a line about what is proven for it."""
    from ..model.forms.convert import converted
    from ..model.forms.verify import verify_spike_driven
    from ..spiking import SlotCode

    if spike_driven:
        model = model.to_spike_driven(slot_code)
        progress(f"verified: {verify_spike_driven(model)}")
    elif integer:
        model = model.to_integer(slot_code)
        bits = f"int8 weights, 32-bit potentials with {model.fraction_bits} fraction bits"
        progress(f"{bits}, no sum beyond 32 bits, {model.slot_code} slots")
    elif slot_code is not None:
        model = converted(model, model.form, slot_code=SlotCode.of(slot_code))
    return model
