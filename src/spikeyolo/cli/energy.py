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
        imgsz: side of the square that images are letter-boxed to, in place of what the model says
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

    from ..data.open import open_data
    from ..energy.measure import measure
    from ..energy.page import write_page
    from ..energy.report import headline, layer_table, summary_table, to_json
    from ..energy.technology import find_technology
    from ..files import write_whole
    from ..interop.reference import load_any
    from ..progress import progress_bar
    from .device import choose_device

    costs, console = find_technology(technology), Console()
    if not console.is_terminal:
        console = Console(width=120)  # a file or a pipe has no narrow screen: names of layers in one piece
    model = load_any(weights).to(choose_device(device))
    index = open_data(data).split(split)
    with progress_bar("counting", len(index)) as tell:
        found = measure(
            model,
            index,
            imgsz,
            batch=batch,
            workers=workers,
            processes=processes,
            verify=verify,
            progress=lambda done: tell(done, len(index)),
        )
    values = to_json(found, costs)
    if json is not None:
        import json as writer

        write_whole(Path(json), writer.dumps(values, indent=1).encode())
    if html is not None:
        write_page(Path(html), found, costs, f"Energy of {Path(weights).name} on {Path(data).name}, {split}")
    if found.audit is not None:
        print("verified:", found.audit)
    if layers:
        console.print(layer_table(found, costs))
    console.print(summary_table(found, costs))
    print(f"firing rate {values['firing_rate']:.1%}: share of the binary slots that hold a spike")
    print("\n".join(headline(values)))
