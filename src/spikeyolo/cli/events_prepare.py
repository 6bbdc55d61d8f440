"""`spikeyolo events prepare`: an event data set in RVT's layout."""

from __future__ import annotations

from pathlib import Path

from ..terminal import say


def prepare(
    data: str,
    out: str,
    step_us: int = 50_000,
    bins: int = 10,
    cutoff: int = 10,
    downscale: int = 1,
    workers: int = 2,
) -> None:
    """Write an event data set in RVT's layout (stacked histograms in compressed HDF5, labels beside them).

    Training here needs no preparation; this is for programs that take RVT's folders. When it was interrupted, it
    continues where it stopped.

    Args:
        data: the data.yaml of an event data set
        out: folder for the prepared splits
        step_us: length of a frame's window, and from one frame to the next, in microseconds
        bins: steps of time within a frame, which has twice as many channels
        cutoff: largest count of a pixel in a step
        downscale: 2 halves the frames, as usual for 1 Mpx

    Examples:
        spikeyolo events prepare data.yaml OUT --workers 8
        spikeyolo events prepare data.yaml OUT --downscale 2
    """
    from ..data.events.rvt_export import RvtFormat, export_split
    from ..data.open import open_recordings
    from ..progress import progress_bar

    opened, rvt_format = open_recordings(data), RvtFormat(step_us, bins, cutoff, downscale)
    for split in opened.splits:
        with progress_bar(f"preparing {split}") as report:
            written = export_split(opened, split, Path(out), rvt_format, workers=workers, progress=report)
        left_out = sum(sequence.left_out for sequence in written)
        frames = sum(sequence.frames for sequence in written)
        there = sum(path.is_dir() and path.name[0] != "." for path in (Path(out) / split).iterdir()) - len(written)
        say(
            f"{split}: {len(written)} sequences written, {there} were there; {frames} frames"
            + (f"; {left_out} labelled instants left out, at the end of no frame's window" if left_out else "")
        )
    say(f"written to {out}, as {rvt_format.name}")
