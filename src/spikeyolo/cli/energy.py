from __future__ import annotations

from pathlib import Path


def energy(
    weights: str,
    data: str,
    split: str = "val",
    imgsz: int | None = None,
    batch: int = 8,
    device: str = "auto",
    workers: int = 1,
    processes: int = 1,
    technology: str = "45nm-fp32",
    verify: bool = True,
    layers: bool = True,
    json: str | None = None,
    html: str | None = None,
) -> None:
    """Counts spikes and operations of a model on images or recordings, and what they cost, with spikes and as an ANN.

    Args:
        weights: a saved model (.safetensors) in its trained form, or a published checkpoint (.pt)
        data: a data.yaml (of images, or of recordings of an event camera), or a COCO annotation file
        split: train, val or test
        imgsz: side of the square that images are letter-boxed to; that of the weights' run, or 640, unless given
        batch: images looked at together
        device: auto, cpu, cuda or cuda:N
        workers: processes that prepare images
        processes: processes that count, on CPUs
        technology: what an operation costs; a name of the package's table, or a YAML file of your own
        verify: also prove that the network runs on spikes and additions alone
        layers: print a row for every layer
        json: write everything into this file
        html: write the whole report as one page, with heat maps, into this file
    """
    from rich.console import Console

    from ..energy.measure import measure
    from ..energy.page import write_page
    from ..energy.report import layer_table, summary_table, to_json, weighted_rate
    from ..energy.technology import find_technology
    from ..evaluation.validate import read_split, trained_size
    from ..files import write_atomically
    from ..interop.reference import load_any
    from ..model.forms.verify import verify_spike_driven
    from ..progress import progress_bar
    from .device import choose_device

    costs, console = find_technology(technology), Console()
    if not console.is_terminal:
        console = Console(width=120)  # a file or a pipe has no narrow screen: names of layers in one piece
    model = load_any(weights).to(choose_device(device))
    size = imgsz or trained_size(Path(weights)) or 640
    index = read_split(data, split)
    if verify:
        print("verified:", verify_spike_driven(model.to_spike_driven()))
    with progress_bar("counting", len(index)) as tell:
        found = measure(
            model,
            index,
            size,
            batch=batch,
            workers=workers,
            processes=processes,
            progress=lambda done: tell(done, len(index)),
        )
    if json is not None:
        import json as writer

        write_atomically(Path(json), writer.dumps(to_json(found, costs), indent=1).encode())
    if html is not None:
        write_page(Path(html), found, costs, f"Energy of {Path(weights).name} on {Path(data).name}, {split}")
    if layers:
        console.print(layer_table(found, costs))
    console.print(summary_table(found, costs))
    print(f"firing rate {weighted_rate(found.layers):.1%}: share of the binary slots that hold a spike")
