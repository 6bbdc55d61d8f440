from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..data.events.description import EventDescription


def info(source: str, check: bool = False) -> None:
    """Prints sensor, duration, rate and labels of recordings.

    Args:
        source: a recording, a folder of recordings, or the data.yaml of an event data set
        check: also read every event, and say what is wrong with them
    """
    from ..data.events.labels import pair_recordings
    from ..errors import DataError
    from ..events import READERS

    description = _description(source)
    if description is not None and description.frames is not None:
        _info_of_frames(description)
        return
    rows: list[dict[str, str]] = []
    remarks, unreadable = [], []
    total: Counter[str] = Counter()
    for path in _recordings(source):
        try:
            row, counts, found = _look_at(path, description, check)
        except DataError as error:
            unreadable.append(str(error))
            continue
        rows.append(row)
        total += counts
        remarks += found
    _print_rows(source, rows)
    if total:
        print(f"{'by class':<10} {_listed(total)}")
    for folder in description.folders.values() if description else []:
        remarks += pair_recordings(folder, READERS).describe()
    for remark in remarks:
        print(remark)
    if unreadable:
        raise DataError("; ".join(unreadable))


def _look_at(
    path: Path, description: EventDescription | None, check: bool
) -> tuple[dict[str, str], Counter[str], list[str]]:
    """What is told about a recording, its boxes by class, and a line for each thing that is wrong with its files."""
    import warnings

    from ..data.events.labels import BOX_RULES, boxes_path, clean_boxes, describe, read_boxes
    from ..events import open_recording
    from ..events.event_file import MENDED

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        recording = open_recording(path, description.sensor_size_hw if description else None)
    remarks = [str(warning.message) for warning in caught]
    if check and (found := recording.check()):
        remarks = [f"{path}: {describe(found, MENDED)}"]  # what opening it found is among them
    labels, instants, counts = boxes_path(path), "-", Counter[str]()
    if labels.is_file():
        boxes, wrong = clean_boxes(read_boxes(labels), recording.sensor_size_hw, recording.duration_us)
        if wrong:
            remarks.append(f"{labels}: {describe(wrong, BOX_RULES)}")
        counts = Counter(_name(description, number) for number in boxes["class_id"].tolist())
        instants = f"{len(set(boxes['t'].tolist())):,}"
    seconds, (height, width) = (recording.duration_us - recording.start_us) / 1e6, recording.sensor_size_hw
    row = {
        "recording": path.name,
        "sensor": f"{width} x {height}",
        "seconds": f"{seconds:.3f}",
        "from": f"{recording.start_us / 1e6:.3f} s on",
        "events": f"{len(recording):,}",
        "events/s": f"{len(recording) / seconds:,.0f}" if seconds else "-",
        "MB": f"{path.stat().st_size / 1e6:,.1f}",
        "instants": instants,  # that have labels
        "boxes": f"{counts.total():,}" if labels.is_file() else "-",
    }
    return row, counts, remarks


def _print_rows(title: str, rows: list[dict[str, str]]) -> None:
    """One recording line by line, several as a table."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    if len(rows) == 1:
        print("\n".join(f"{name:<10} {value}" for name, value in rows[0].items()))
    elif rows:
        table = Table(title=title, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        columns = ("recording", "sensor", "seconds", "events", "events/s", "instants", "boxes")
        for column in columns:
            name = column == "recording"
            table.add_column(column, justify="left" if name else "right", overflow="fold", no_wrap=not name)
        for row in rows:
            table.add_row(*(row[column] for column in columns))
        Console().print(table)


def view(
    source: str,
    out: str = "events.png",
    start_us: int | None = None,
    window_us: int = 50_000,
    windows: int = 8,
    data: str | None = None,
) -> None:
    """Draws windows of a recording, one after the other, each with the boxes that were labelled last in it.

    Args:
        source: a recording
        out: the image to write
        start_us: where the first window begins, in microseconds; at the first event unless given
        window_us: length of a window, in microseconds
        windows: how many are drawn
        data: the data.yaml of an event data set, for the names of classes
    """
    from ..data.events.description import read_event_description
    from ..data.events.index import corners
    from ..data.events.labels import boxes_path, clean_boxes, read_boxes
    from ..errors import ConfigError, DataError
    from ..events import open_recording
    from ..imaging.draw import draw_boxes, image_grid
    from ..imaging.io import write_rgb
    from ..prediction.events import DRAWN_SIDE, window_image

    if window_us < 1 or windows < 1:
        raise ConfigError(f"events view: window-us {window_us} and windows {windows} must be at least 1")
    description = None if data is None else read_event_description(data)
    recording = open_recording(Path(source), description.sensor_size_hw if description else None)
    start_us = recording.start_us if start_us is None else start_us
    if not 0 <= start_us < max(recording.duration_us, 1):
        raise ConfigError(f"events view: start-us {start_us} is outside the recording's {recording.duration_us} us")
    labels = boxes_path(source)
    boxes = read_boxes(labels) if labels.is_file() else None
    if boxes is not None:
        boxes, _ = clean_boxes(boxes, recording.sensor_size_hw)
    names = [_name(description, number) for number in range(256)]
    enlarged = max(1, DRAWN_SIDE // max(recording.sensor_size_hw))
    images = []
    for begin in range(start_us, min(start_us + windows * window_us, max(recording.duration_us, 1)), window_us):
        image = window_image(recording, begin, begin + window_us)
        image = image.repeat(enlarged, axis=0).repeat(enlarged, axis=1)
        if boxes is not None:
            own = boxes[(boxes["t"] > begin) & (boxes["t"] <= begin + window_us)]
            own = own[own["t"] == own["t"].max()] if len(own) else own
            image = draw_boxes(image, corners(own) * enlarged, own["class_id"], names)
        images.append(image)
    try:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error.strerror})") from error
    write_rgb(Path(out), image_grid(images, columns=min(4, len(images)), background=128))
    drawn = f"{len(images)} windows of {window_us / 1e3:g} ms from {start_us / 1e6:g} s on"
    print(f"{drawn}, brighter red, darker blue: {out}")


def prepare(
    data: str,
    out: str,
    step_us: int = 50_000,
    bins: int = 10,
    cutoff: int = 10,
    downscale: int = 1,
    workers: int = 2,
) -> None:
    """Writes an event data set in RVT's layout (stacked histograms in compressed HDF5, labels beside them).

    Training here needs no preparation; this is for programs that take RVT's folders. A preparation that was interrupted
    goes on where it stopped.

    Args:
        data: the data.yaml of an event data set
        out: folder for the prepared splits
        step_us: length of a frame's window, and from one frame to the next, in microseconds
        bins: steps of time within a frame, which has twice as many channels
        cutoff: largest count of a pixel in a step
        downscale: 2 halves the frames, as usual for 1 Mpx
        workers: processes
    """
    from ..data.events.description import read_event_description
    from ..data.events.rvt_export import RvtConfig, prepare_split
    from ..errors import ConfigError
    from ..progress import progress_bar

    description = read_event_description(data)
    if description.frames is not None:
        raise ConfigError(f"{data}: describes RVT's frames, which are prepared already")
    config = RvtConfig(step_us, bins, cutoff, downscale)
    for split in description.folders:
        with progress_bar(f"preparing {split}") as tell:
            written = prepare_split(description, split, Path(out), config, workers=workers, progress=tell)
        left_out = sum(prepared.left_out for prepared in written)
        frames = sum(prepared.frames for prepared in written)
        there = sum(path.is_dir() for path in (Path(out) / split).iterdir()) - len(written)
        print(
            f"{split}: {len(written)} sequences written, {there} were there; {frames} frames"
            + (f"; {left_out} labelled instants left out, at the end of no frame's window" if left_out else "")
        )
    print(f"written to {out}, as {config.name}")


def _info_of_frames(description: EventDescription) -> None:
    """What there is of RVT's frames, by split."""
    import warnings

    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from ..data.events.index import load_event_index

    made, findings = description.preparation, list[str]()
    table = Table(title=f"{description.file}: {description.frames}", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("split", "sequences", "sensor", "seconds", "instants", "boxes", "by class"):
        table.add_column(column, justify="left" if column in ("split", "by class") else "right")
    for split in description.folders:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            index = load_event_index(description, split)
        findings += index.findings
        counts = Counter(_name(description, number) for number in index.boxes["class_id"].tolist())
        table.add_row(
            split,
            f"{len(index.recordings):,}",
            f"{index.sensor_size_hw[1]} x {index.sensor_size_hw[0]}",
            f"{index.durations_us.sum() / 1e6:,.1f}",
            f"{len(index):,}",
            f"{len(index.boxes):,}",
            _listed(counts),
        )
    Console().print(table)
    print(f"frames of {made.window_us // made.timesteps / 1000:g} ms" + (", halved" if made.downscale == 2 else ""))
    for finding in findings:
        print(finding)


def _description(source: str) -> EventDescription | None:
    from ..data.events.description import is_event_description, read_event_description

    return read_event_description(source) if is_event_description(Path(source)) else None


def _recordings(source: str) -> list[Path]:
    from ..errors import DataError
    from ..events import READERS

    path, description = Path(source), _description(source)
    if description is None and not path.exists():
        raise DataError(f"{source}: no such file or folder")
    if description is None and path.is_file():
        return [path]
    folders = [path] if description is None else list(description.folders.values())
    found = [file for folder in folders for file in sorted(folder.rglob("*")) if file.suffix.lower() in READERS]
    if not found:
        raise DataError(f"{source}: no recordings in it ({', '.join(READERS)})")
    return found


def _name(description: EventDescription | None, number: int) -> str:
    known = description is not None and number < len(description.names)
    return description.names[number] if description is not None and known else f"class {number}"


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.most_common()) or "none"
