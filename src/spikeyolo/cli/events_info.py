"""`spikeyolo events info`: what is in recordings of event cameras."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from ..progress import progress_bar
from ..terminal import say, show
from ..text import with_bytes_escaped

if TYPE_CHECKING:
    from rich.table import Table

    from ..data.events.event_data import EventData
    from ..data.events.inspect_recording import InspectedRecording
    from ..events.filters import EventFilters

COLUMNS = ("recording", "sensor", "seconds", "events", "events/s", "instants", "boxes")
"""Of the table of several recordings; a single one has some more lines."""
MAX_SHOWN = 3  # recordings that cannot be read, in the last line
LISTED = 20  # recordings, and lines about problems, where not all are asked for


def info(
    source: str,
    check: bool = False,
    all: bool = False,
    refractory_us: int | None = None,
    background_us: int | None = None,
    region: list[int] | None = None,
) -> None:
    """Print sensor, duration, rate and labels of recordings: of several a summary first.

    Args:
        source: a recording, a folder of recordings, or an event data set: its data.yaml or the name of a public one
        check: also read every event, say what is wrong with them, and count those that the data set's filters drop
        all: list every recording and every problem, not the first 20
        refractory_us: read every event and count those so soon after the last one of their pixel, in microseconds
        background_us: the same for those without a neighbour's in so many microseconds before
        region: x0 y0 x1 y1: the same for those beside this part of the sensor

    Examples:
        spikeyolo events info drive_td.dat
        spikeyolo events info data.yaml --check
        spikeyolo events info drive_td.dat --refractory-us 1000 --background-us 5000
    """
    from ..data.known import named_set
    from ..errors import ConfigError, DataError
    from ..events import EventInput

    data = None
    if Path(source).suffix.lower() in (".yaml", ".yml") or named_set(source) is not None:
        from ..data.open import open_recordings  # which imports torch

        data = open_recordings(source)
    own = data.description.input if data is not None and check else EventInput()
    given = {"refractory_us": refractory_us, "background_us": background_us, "region": region}
    filters = EventInput.of(own, **given).filters
    if data is not None and data.description.source.made is not None:
        if any(value is not None for value in given.values()):
            raise ConfigError(f"{source}: holds frames, made beforehand; filters need the recordings themselves")
        _print_rvt(data)
        return
    paths = _recordings(source, data)
    found, unreadable = _inspected(paths, data, filters, check)
    notes = [note for one in found for note in one.notes]
    for split in data.splits if data else ():
        notes += data.description.pair(split).describe() if data else []
    if len(paths) > 1:
        say(*summary(found, data, notes, unreadable, check))
    _print_each(source, found, data, all)
    kept = notes if all else notes[:LISTED]
    more = len(notes) - len(kept)
    say(*kept, *([f"and {more} more problems; --all names them"] if more else []))
    if unreadable:
        more = len(unreadable) - MAX_SHOWN
        raise DataError("; ".join([*unreadable[:MAX_SHOWN], *([f"and {more} more like these"] if more > 0 else [])]))


def summary(
    found: Sequence[InspectedRecording],
    data: EventData | None,
    notes: Sequence[str],
    unreadable: Sequence[str],
    checked: bool,
) -> list[str]:
    """Return what recordings are together, a line each thing."""
    lines = {"recordings": f"{len(found):,}" + (f"; {len(unreadable):,} cannot be read" if unreadable else "")}
    if found:
        seconds, events = [one.seconds for one in found], sum(one.events for one in found)
        rates = sorted((one.rate, one.name) for one in found if one.rate is not None)
        sensors = Counter(sensor_words(one.sensor_size_hw) for one in found)
        lines["sensor"] = ", ".join(
            size if len(sensors) == 1 else f"{size} ({n:,})" for size, n in sensors.most_common()
        )
        lines["seconds"] = (
            f"{sum(seconds):,.1f} in all, of one {min(seconds):,.3f} to {max(seconds):,.3f}, median "
            f"{median(seconds):,.3f}"
        )
        lines["events"] = f"{events:,} in {sum(one.file_bytes for one in found) / 1e6:,.1f} MB"
        if rates:
            (low, slowest), (high, fastest) = rates[0], rates[-1]
            mean = events / sum(seconds)
            lines["events/s"] = f"{mean:,.0f} on average, {low:,.0f} ({slowest}) to {high:,.0f} ({fastest})"
        labelled = [one.instants for one in found if one.instants is not None]
        boxes = sum((one.boxes for one in found), Counter[int]())
        if labelled:
            lines["labels"] = f"{boxes.total():,} boxes at {sum(labelled):,} instants of {len(labelled):,} recordings"
            lines["by class"] = by_class(boxes, data)
        for step, count in sum((one.dropped for one in found), Counter[str]()).items():
            lines[step] = f"{count:,} events dropped ({count / max(events, 1):.1%})"
    unlooked = "" if checked else "; single events were not looked at (--check)"
    lines["problems"] = (f"{len(notes):,}, below" if notes else "none") + unlooked
    return [f"{name:<10} {value}" for name, value in lines.items()]


def by_class(boxes: Counter[int], data: EventData | None) -> str:
    """Return how often each class occurs, by its name."""
    from .event_words import class_name

    named = Counter[str]()
    for number, count in boxes.items():
        named[class_name(data, number)] += count
    return counted(named)


def sensor_words(size_hw: tuple[int, int]) -> str:
    """Return columns and rows as people say them."""
    return f"{size_hw[1]} x {size_hw[0]}"


def _recordings(source: str, data: EventData | None) -> list[Path]:
    """The file of a recording, or those in the folder or in the folders of the data set."""
    from ..data.events.frame_sources import RecordingSource
    from ..errors import DataError
    from ..events import READERS, is_recording
    from ..events.recording import RVT_FRAMES
    from ..reading import files_below

    if data is not None:
        described = data.description
        assert isinstance(described.source, RecordingSource)
        pairings = [described.pair(split) for split in data.splits]
        paths = [path for p in pairings for path in (*(path for path, _ in p.pairs), *p.without_boxes)]
        return list(map(described.source.events_file, paths))
    path = Path(source)
    if data is None and not os.path.exists(path):  # False too where it cannot be asked
        raise DataError(f"{source}: no such file or folder")
    if not os.path.isdir(path):
        return [path]
    files = list(files_below(path))
    found = [Path(file) for file in files if is_recording(file)]
    if not found and any(Path(file).name in RVT_FRAMES for file in files):
        raise DataError(f"{source}: holds frames that RVT made, no recordings; give a data.yaml with format: rvt")
    if not found:
        raise DataError(f"{source}: no recordings in it ({', '.join(READERS)})")
    return found


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """Names of recordings that share theirs with another: the path from the folder on that holds them all."""
    twice = {name for name, times in Counter(path.name for path in paths).items() if times > 1}
    above = os.path.commonpath([path.parent for path in paths]) if twice else ""
    return {path: with_bytes_escaped(os.path.relpath(path, above)) for path in paths if path.name in twice}


def _row(one: InspectedRecording) -> dict[str, str]:
    return {
        "recording": one.name,
        "sensor": sensor_words(one.sensor_size_hw),
        "seconds": f"{one.seconds:.3f}",
        "from": f"{one.start_us / 1e6:.3f} s on",
        "events": f"{one.events:,}",
        "events/s": "-" if one.rate is None else f"{one.rate:,.0f}",
        "MB": f"{one.file_bytes / 1e6:,.1f}",
        "instants": "-" if one.instants is None else f"{one.instants:,}",  # that have labels
        "boxes": "-" if one.instants is None else f"{one.boxes.total():,}",
        **{step: f"{count / max(one.events, 1):.1%}" for step, count in one.dropped.items()},
    }


def _print_each(title: str, found: Sequence[InspectedRecording], data: EventData | None, all: bool) -> None:
    """One recording line by line, several as a table."""
    if len(found) == 1:
        one = found[0]
        row = _row(one) | {step: f"{count:,} dropped ({_row(one)[step]})" for step, count in one.dropped.items()}
        say(*(f"{name:<10} {value}" for name, value in row.items()))
        if one.boxes:
            say(f"{'by class':<10} {by_class(one.boxes, data)}")
    elif found:
        listed = found if all else found[:LISTED]
        columns = (*COLUMNS, *found[0].dropped)
        table = _table(title, columns, left=("recording",))
        for one in listed:
            row = _row(one)
            table.add_row(*(row[column] for column in columns))
        show(table)
        if more := len(found) - len(listed):
            say(f"and {more:,} more recordings; --all lists them")


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


def _inspected(
    paths: Sequence[Path], data: EventData | None, filters: EventFilters, check: bool
) -> tuple[list[InspectedRecording], list[str]]:
    """What is known of those that can be read, and what is wrong with the others."""
    from ..data.events.inspect_recording import inspect_recording
    from ..errors import DataError
    from .event_words import sensor_of, source_of

    found: list[InspectedRecording] = []
    unreadable: list[str] = []
    names = _names(paths)
    with progress_bar("reading recordings", len(paths), show=len(paths) > 1) as report:
        for path in paths:
            try:
                one = inspect_recording(path, source_of(path, data), sensor_of(data), filters, check=check)
                found.append(replace(one, name=names.get(path, one.name)))
            except DataError as error:
                unreadable.append(str(error))
            report(len(found) + len(unreadable), len(paths))
    return found, unreadable
