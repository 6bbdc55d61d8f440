from __future__ import annotations

from pathlib import Path


def val(
    weights: str,
    data: str,
    split: str = "val",
    batch: int = 16,
    imgsz: int | None = None,
    device: str = "auto",
    conf: float = 0.001,
    iou: float = 0.7,
    max_det: int = 300,
    workers: int = 2,
    fold: bool = True,
    spike_driven: bool = False,
    integer: bool = False,
    preparation: str | None = None,
    json: str | None = None,
    out: str | None = None,
) -> None:
    """Measures the average precision and the speed of a model on labelled images, or on recordings of event cameras.

    On recordings by the protocol that the data.yaml names (gen1, 1mpx), with plain COCO beside it.

    Args:
        weights: a saved model (.safetensors) or a published checkpoint (.pt)
        data: a data.yaml (of images, or of recordings of an event camera), or a COCO annotation file
        split: train, val or test
        batch: images looked at together
        imgsz: side of the square that images are letter-boxed to; that of the weights' run, or 640, unless given
        device: auto, cpu, cuda or cuda:N
        conf: least score of a detection
        iou: overlap over which the weaker of two boxes of a class is dropped
        max_det: most detections of an image
        workers: processes that prepare images
        fold: fold the batch norms first, which is faster and gives the same result
        spike_driven: run on binary spikes, by additions alone, once that is proven for these weights; much slower
        integer: the same with int8 weights and 32-bit fixed-point potentials
        preparation: how recordings become frames, by name (counts, gen1-published), in place of what the model says
        json: write the numbers into this file
        out: folder for plots and, on COCO JSON data, the results under the file's own ids; none unless given
    """
    from rich import print as show

    from ..errors import ConfigError
    from ..evaluation.metrics import class_table
    from ..evaluation.prophesee import protocol_tables
    from ..evaluation.validate import ValidationSettings, read_split, trained_size, validate
    from ..interop.reference import load_any
    from ..model.forms.form import Form
    from ..model.forms.verify import verify_spike_driven
    from .device import choose_device

    if spike_driven and integer:
        raise ConfigError("val: --spike-driven and --integer are two forms; name one")
    model = load_any(weights).to(choose_device(device))
    if spike_driven:
        model = model if model.form is Form.SPIKE_DRIVEN else model.to_spike_driven()
        print("verified:", verify_spike_driven(model))
    elif integer:
        model = model if model.form is Form.INTEGER else model.to_integer()
        print("int8 weights, 32-bit potentials with", model.fraction_bits, "fraction bits, no sum beyond 32 bits")
    elif fold and model.form == "trainable":
        model = model.fold()
    size = imgsz or trained_size(Path(weights)) or 640
    settings = ValidationSettings(batch, size, conf, iou, max_det, workers, preparation)
    found = validate(model, read_split(data, split), settings)
    if json is not None:
        found.write_json(Path(json))
    written = [] if out is None else found.write_all(Path(out))
    tables = protocol_tables(found.event_metrics) if found.event_metrics else [class_table(found.metrics)]
    for table in tables:
        show(table)
    show(found.timer.table())
    if written:
        print("written:", ", ".join(map(str, written)))
