"""`spikeyolo events info`: what is in recordings of event cameras."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from ..terminal import say, show

if TYPE_CHECKING:
    from rich.table import Table

    from ..data.events.event_data import EventData

COLUMNS = ("recording", "sensor", "seconds", "events", "events/s", "instants", "boxes")
"""Of the table of several recordings; a single one has some more lines."""
MAX_SHOWN = 3  # recordings that cannot be read, in the last line


def info(source: str, check: bool = False) -> None:
    """Print sensor, duration, rate and labels of recordings.

    Args:
        source: a recording, a folder of recordings, or the data.yaml of an event data set
        check: also read every event, and say what is wrong with them

    Examples:
        spikeyolo events info drive_td.dat
        spikeyolo events info data.yaml --check
    """
    from ..data.events.labels import pair_recordings
    from ..data.open import open_recordings
    from ..errors import DataError
    from ..events import READERS

    data = open_recordings(source) if Path(source).suffix.lower() in (".yaml", ".yml") else None
    if data is not None and data.description.source.made is not None:
        _print_rvt(data)
        return
    rows: list[dict[str, str]] = []
    notes, unreadable = list[str](), list[str]()
    boxes_by_class: Counter[str] = Counter()
    for path in _recordings(source, data):
        try:
            row, boxes, found = _inspect(path, data, check)
        except DataError as error:
            unreadable.append(str(error))
            continue
        rows.append(row)
        boxes_by_class += boxes
        notes += found
    _print_rows(source, rows)
    if boxes_by_class:
        say(f"{'by class':<10} {counted(boxes_by_class)}")
    for folder in data.description.folders.values() if data else []:
        notes += pair_recordings(folder, READERS).describe()
    say(*notes)
    if unreadable:
        more = len(unreadable) - MAX_SHOWN
        raise DataError("; ".join([*unreadable[:MAX_SHOWN], *([f"and {more} more like these"] if more > 0 else [])]))


def _recordings(source: str, data: EventData | None) -> list[Path]:
    """The recording, or those in the folder or in the folders of the data set."""
    from ..errors import DataError
    from ..events import READERS
    from ..reading import entries

    path = Path(source)
    if not os.path.exists(path):  # False too where it cannot be asked
        raise DataError(f"{source}: no such file or folder")
    if data is None and not os.path.isdir(path):
        return [path]
    folders = [path] if data is None else list(data.description.folders.values())
    below = (file for folder in folders if entries(folder) for file in sorted(folder.rglob("*")))
    found = [file for file in below if file.suffix.lower() in READERS]
    if not found:
        raise DataError(f"{source}: no recordings in it ({', '.join(READERS)})")
    return found


def _inspect(path: Path, data: EventData | None, check: bool) -> tuple[dict[str, str], Counter[str], list[str]]:
    """A recording's row, its boxes by class, and a line for each thing that is wrong with its files."""
    import warnings

    from ..data.events.labels import BOX_RULES, boxes_path, clean_boxes, describe, read_boxes
    from ..events import open_recording
    from ..events.event_file import REPAIRS
    from .event_words import class_name, sensor_of

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        recording = open_recording(path, sensor_of(data))
    notes = [str(warning.message) for warning in caught]
    if check and (problems := recording.check()):
        notes = [f"{path}: {describe(problems, REPAIRS)}"]  # what opening it found is among them
    labels, instants, counts = boxes_path(path), "-", Counter[str]()
    if os.path.isfile(labels):
        boxes, wrong = clean_boxes(read_boxes(labels), recording.sensor_size_hw, recording.duration_us)
        if wrong:
            notes.append(f"{labels}: {describe(wrong, BOX_RULES)}")
        counts = Counter(class_name(data, number) for number in boxes["class_id"].tolist())
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
        "boxes": f"{counts.total():,}" if os.path.isfile(labels) else "-",
    }
    return row, counts, notes


def _print_rows(title: str, rows: list[dict[str, str]]) -> None:
    """One recording line by line, several as a table."""
    if len(rows) == 1:
        say(*(f"{name:<10} {value}" for name, value in rows[0].items()))
    elif rows:
        table = _table(title, COLUMNS, left=("recording",))
        for row in rows:
            table.add_row(*(row[column] for column in COLUMNS))
        show(table)


def _print_rvt(data: EventData) -> None:
    """What there is of RVT's frames, by split."""
    import warnings

    from .event_words import class_name

    made, findings = data.description.source.made, list[str]()
    assert made is not None
    columns = ("split", "sequences", "sensor", "seconds", "instants", "boxes", "by class")
    table = _table(f"{data.file}: RVT's frames", columns, left=("split", "by class"))
    for split in data.splits:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the same lines follow the table, all of them
            index = data.split(split)
        findings += index.findings
        counts = Counter(class_name(data, number) for number in index.boxes["class_id"].tolist())
        table.add_row(
            split,
            f"{len(index.recordings):,}",
            f"{index.sensor_size_hw[1]} x {index.sensor_size_hw[0]}",
            f"{index.durations_us.sum() / 1e6:,.1f}",
            f"{len(index):,}",
            f"{len(index.boxes):,}",
            counted(counts),
        )
    show(table)
    say(f"frames of {made.equal_steps_us('frames') / 1000:g} ms" + (", halved" if made.downscale == 2 else ""))
    say(*findings)


def _table(title: str, columns: tuple[str, ...], left: tuple[str, ...]) -> Table:
    """An empty table; columns of text on the left may be folded, numbers not."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        text = column in left
        table.add_column(column, justify="left" if text else "right", overflow="fold", no_wrap=not text)
    return table


def counted(counts: Counter[str]) -> str:
    """Return how often each name occurs, the most frequent first."""
    return ", ".join(f"{count:,} {name}" for name, count in counts.most_common()) or "none"
