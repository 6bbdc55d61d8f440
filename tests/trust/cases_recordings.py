"""Recordings of event cameras that are broken, lie, or are no files at all."""

import os
from pathlib import Path

import numpy as np
from tests.trust.event_files import (
    H5,
    HEADER,
    attribute,
    content,
    dat,
    elsewhere,
    empty,
    h5,
    huge,
    in_place_of,
    instead_of_group,
    many_unreadable,
    member,
    outside,
    references,
    virtual,
    with_extra,
)
from tests.trust.harness import Case

PREDICT = "predict --weights model-events.safetensors --json --out out --source"
VAL = "val --weights model-events.safetensors --workers 0 --data"
DAT = "events/val/c_td.dat"

CASES = with_extra(
    [
        # .dat: what the header says, and what follows it
        Case(
            "dat: no events in it, no header",
            f"{PREDICT} x_td.dat",
            ("x_td.dat", "not a Prophesee"),
            content("x_td.dat", b""),
        ),
        Case("dat: text", "events info x_td.dat", "x_td.dat: not a Prophesee .dat", content("x_td.dat", b"hello")),
        Case(
            "dat: a header without end",
            "events info x_td.dat",
            "a header line without end",
            content("x_td.dat", b"%" * 90_000),
        ),
        Case(
            "dat: nothing after the header", "events info x_td.dat", "nothing follows", content("x_td.dat", HEADER[:-2])
        ),
        Case(
            "dat: another type of events",
            "events info x_td.dat",
            "type 7 and 8 bytes",
            dat([], HEADER[:-2] + b"\x07\x08"),
        ),
        Case("dat: events of 255 bytes", "events info x_td.dat", "type 12 and 255", dat([], HEADER[:-2] + b"\x0c\xff")),
        Case(
            "dat: a sensor of 10^9",
            f"{PREDICT} x_td.dat",
            ("x_td.dat", "not the rows and columns"),
            dat([1], b"% Width 1000000000\n% Height 1000000000\n\x0c\x08"),
        ),
        Case(
            "dat: a sensor of 16384 x 16384",
            f"{PREDICT} x_td.dat",
            ("x_td.dat: a sensor of 16384 rows", "8388608 pixels"),
            dat([1], b"% Width 16384\n% Height 16384\n\x0c\x08"),
        ),
        Case(
            "dat: a width of 60,000 digits",
            "events info x_td.dat",
            "x_td.dat: header:",
            dat([1], b"% Width " + b"9" * 60_000 + b"\n% Height 3\n\x0c\x08"),
        ),
        Case(
            "dat: a width of ESC and letters",
            "events info x_td.dat",
            "is no size",
            dat([1], b"% Width \x1b[31mred\n% Height 3\n\x0c\x08"),
        ),
        Case("dat: a pipe", "events info x_td.dat", "a pipe or device", in_place_of("x_td.dat", os.mkfifo)),
        Case(
            "dat: a link to a device",
            "events info x_td.dat",
            "a pipe or device",
            in_place_of("x_td.dat", lambda p: p.symlink_to("/dev/zero")),
        ),
        Case(
            "dat: a folder",
            "events view x_td.dat",
            "x_td.dat: cannot be read (it is a folder)",
            in_place_of("x_td.dat", Path.mkdir),
        ),
        Case(
            "dat: a link to itself",
            "events view x_td.dat",
            "x_td.dat",
            in_place_of("x_td.dat", lambda p: p.symlink_to(p)),
        ),
        Case("dat: a name of 300 characters", f"events view {'x' * 300}.dat", "cannot be read"),
        Case(
            "dat: a pipe among recordings",
            f"{VAL} events/events.yaml",
            "",
            in_place_of("events/val/z_td.dat", os.mkfifo),
            code=0,
        ),
        Case(
            "dat: one event an hour later",
            f"{PREDICT} x_td.dat --window-us 5000000",
            "3 frames",
            dat([*range(0, 250_000, 99), 2**32 - 1]),
            code=0,
        ),
        Case(
            "dat: the first event an hour too late",
            f"{PREDICT} x_td.dat --window-us 5000000",
            "frames",
            dat([2**31 + 9, 2**31 + 99_000]),
            code=0,
        ),
        Case("dat: no events", f"{PREDICT} x_td.dat", "x_td.dat: no events in it", dat([])),
        Case(
            "dat: time runs backwards", "events info x_td.dat --check", "99 time runs", dat(range(100, 0, -1)), code=0
        ),
        Case(
            "dat: of 1 GB, without a byte on the disk",
            "events view x_td.dat --window-us 3600000000",
            "more than 67108864 at once",
            lambda folder: (dat([])(folder), os.truncate(folder / "x_td.dat", 1 << 30)),
        ),
        Case("val: a recording is empty", f"{VAL} events/events.yaml", "c_td.dat: not a Prophesee", content(DAT, b"")),
        Case(
            "train: a recording is text",
            "train --data events/events.yaml --model t --epochs 1 --workers 0 --out run",
            "a_td.dat: not a Prophesee",
            content("events/train/a_td.dat", b"text"),
        ),
        Case("info: 300 unreadable recordings", "events info events/val", "and 297 more", many_unreadable),
        # HDF5
        Case("h5: text", "events info x.h5", "x.h5: not an HDF5 file", content(H5, b"text")),
        Case("h5: no dataset t", "events info x.h5", "no events/t", h5(t=None)),
        Case("h5: t is a scalar", "events info x.h5", "t has 0 dimensions", h5(t=5)),
        Case("h5: t is text", "events info x.h5", "x.h5: t holds", h5(t=[b"a"] * 10)),
        Case("h5: t is text of any length", f"{PREDICT} x.h5", "x.h5: t holds object", h5(t="long")),
        Case("h5: t is a group", "events info x.h5", "t is not a list", h5(t=lambda group: group.create_group("t"))),
        Case("h5: t is compound", "events info x.h5", "t holds", h5(t=np.zeros(10, [("a", "i4"), ("b", "i4")]))),
        Case("h5: t has two dimensions", "events info x.h5", "t has 2 dimensions", h5(t=np.zeros((10, 2), "i8"))),
        Case("h5: t is references", "events info x.h5", "t holds object", h5(t=references)),
        Case(
            "h5: t is empty",
            "events info x.h5",
            "t is not a list",
            h5(t=empty),
        ),
        Case("h5: t lies in another file", "events info x.h5", "t lies in another file", h5(t=elsewhere)),
        Case("h5: t is made of other files", "events info x.h5", "t lies in other files", h5(t=virtual)),
        Case("h5: t is /etc/passwd", "events info x.h5", "t lies in other files", h5(t=outside)),
        Case(
            "h5: 2^60 events that were never written",
            f"{PREDICT} x.h5",
            ("x.h5: x claims", "not in the file"),
            h5(x=huge("x")),
        ),
        Case(
            "h5: chunks of 2 GB",
            "events info x.h5",
            "chunks of more than",
            h5(x=lambda group: group.create_dataset("x", (10,), "u2", maxshape=(None,), chunks=(1 << 30,))),
        ),
        Case("h5: lists of two lengths", "events info x.h5", "not lists of one length", h5(x=np.zeros(9, "u2"))),
        Case(
            "h5: events is a number",
            "events info x.h5",
            "no events/x",
            h5(instead_of_group),
        ),
        Case("h5: a sensor of 10^12", f"{PREDICT} x.h5", "not the rows and columns", h5(attribute("width", 10**12))),
        Case("h5: a sensor of text", "events info x.h5", "width is not a whole number", h5(attribute("width", "wide"))),
        Case(
            "h5: a sensor of lists", "events info x.h5", "width is not a whole number", h5(attribute("width", [1, 2]))
        ),
        Case("h5: a sensor of NaN", "events info x.h5", "width is not a whole number", h5(attribute("width", np.nan))),
        Case("h5: t_offset is text", "events info x.h5", "t_offset is not a whole number", h5(member("t_offset", "x"))),
        Case("h5: ms_to_idx is text", "events info x.h5", "ms_to_idx holds", h5(member("ms_to_idx", [b"a"]))),
        Case("h5: ms_to_idx lies", "events info x.h5 --check", "10", h5(member("ms_to_idx", [0, 10**15, -4])), code=0),
        Case(
            "h5: 10^19 microseconds",
            f"{PREDICT} x.h5",
            "at most 285 years",
            h5(t=np.array([0] * 9 + [2**63 + 5], "u8")),
        ),
        Case(
            "h5: a century of nothing",
            f"{PREDICT} x.h5 --window-us 5000000",
            "3 frames",
            h5(t=np.array([*range(9), 3 * 10**15])),
            code=0,
        ),
        # other vendors
        Case("raw: text", "events info x.raw", "x.raw: not a Prophesee .raw", content("x.raw", b"hello")),
        Case(
            "raw: a header alone",
            "events info x.raw",
            "x.raw: cannot be read by faery",
            content("x.raw", b"% evt 9.0\n% end\n" + bytes(64)),
        ),
        Case("es: text", "events info x.es", "x.es: cannot be read by faery", content("x.es", b"hello")),
    ]
)
