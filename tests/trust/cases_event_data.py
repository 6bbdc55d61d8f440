"""Data sets of recordings: boxes, RVT's folders, data.yaml and options that are broken, lie, or ask for too much."""

import os

import numpy as np
from tests.trust.event_files import (
    BOXES,
    FRAMES,
    E,
    array,
    boxes,
    content,
    in_place_of,
    npy,
    rvt,
    rvt_array,
    rvt_frames,
    rvt_labels,
    with_extra,
    yaml,
    zip_bomb,
)
from tests.trust.harness import Case

from spikeyolo.data.events.labels import BOX_DTYPE

PREDICT = "predict --weights model-events.safetensors --json --out out --source"
VAL = "val --weights model-events.safetensors --workers 0 --data"
DAT = "events/val/c_td.dat"

CASES = with_extra(
    [
        # boxes
        Case(
            "npy: claims 2^40 boxes",
            f"{VAL} events/events.yaml",
            ("c_bbox.npy", "announced"),
            npy(f"{{'descr': {BOX_DTYPE.descr}, 'fortran_order': False, 'shape': ({2**40},), }}"),
        ),
        Case(
            "npy: claims 10^400 boxes",
            f"{VAL} events/events.yaml",
            ("c_bbox.npy", "cut short: 33000"),
            npy(f"{{'descr': {BOX_DTYPE.descr}, 'fortran_order': False, 'shape': ({10**400},), }}"),
        ),
        Case(
            "npy: claims 2^60 boxes of no bytes",
            f"{VAL} events/events.yaml",
            ("c_bbox.npy", "never read"),
            npy(f"{{'descr': '|V0', 'fortran_order': False, 'shape': ({2**60},), }}"),
        ),
        Case(
            "npy: a header without end",
            f"{VAL} events/events.yaml",
            "c_bbox.npy: cannot be read",
            content(BOXES, b"\x93NUMPY\x01\x00\xff\xff{'descr': '"),
        ),
        Case("npy: a header of brackets", f"{VAL} events/events.yaml", "c_bbox.npy: cannot be read", npy("(" * 9000)),
        Case(
            "npy: a header that calls",
            f"{VAL} events/events.yaml",
            "c_bbox.npy: cannot be read",
            npy("__import__('os').system('touch ran')"),
        ),
        Case(
            "npy: pickled objects",
            f"{VAL} events/events.yaml",
            "never loaded",
            array(np.array([{}, []], object), allow_pickle=True),
        ),
        Case(
            "npy: a pickle",
            f"{VAL} events/events.yaml",
            "c_bbox.npy: cannot be read",
            content(BOXES, b"\x80\x04cos\nsystem\n(S'touch ran'\ntR."),
        ),
        Case("npy: numbers, no boxes", f"{VAL} events/events.yaml", "not a list of boxes", array(np.zeros((3, 5)))),
        Case(
            "npy: a field is missing",
            "events info events/val",
            "no field 'w'",
            array(np.zeros(2, [("t", "i8"), ("x", "f4"), ("y", "f4")])),
        ),
        Case(
            "npy: a name of 9000 characters",
            "events info events/val",
            "no field 't'",
            array(np.zeros(2, [("q" * 9000, "i8")])),
        ),
        Case(
            "npy: words for numbers",
            f"{VAL} events/events.yaml",
            "field 'x' holds '<U9', not numbers",
            boxes(x=np.array(["left", "right"], "<U9")),
        ),
        Case(
            "npy: class ids of 10^9",
            f"{VAL} events/events.yaml",
            ("c_bbox.npy", "'class_id' has a value outside 0..255"),
            boxes(class_id=np.array([0, 10**9])),
        ),
        Case(
            "npy: a time that is NaN",
            f"{VAL} events/events.yaml",
            "'t' has a value outside",
            boxes(t=np.array([np.nan, 1])),
        ),
        Case(
            "npy: all boxes are NaN",
            f"{VAL} events/events.yaml",
            "2 not finite",
            boxes(x=np.array([np.nan, np.inf], "f4")),
        ),
        Case(
            "npy: boxes at 1e30", f"{VAL} events/events.yaml", "2 off the sensor", boxes(x=np.array([1e30, 1e30], "f4"))
        ),
        Case("npy: boxes at 1e300", f"{VAL} events/events.yaml", "2 not finite", boxes(x=np.array([1e300, -1e300]))),
        Case(
            "npy: negative times",
            f"{VAL} events/events.yaml",
            "2 outside the recording's time",
            boxes(t=np.array([-5, -(2**62)])),
        ),
        Case("npy: a pipe", "events info events/val", "96 x 64", in_place_of(BOXES, os.mkfifo), code=0),
        Case(
            "npy: no labels at all",
            f"{VAL} events/events.yaml",
            "no recording with boxes",
            lambda folder: (folder / BOXES).unlink(),
        ),
        # RVT
        Case(
            "rvt: frames are text",
            f"{VAL} rvt.yaml",
            "data holds",
            rvt_frames(lambda file: file.create_dataset("data", data=[b"a"])),
        ),
        Case("rvt: no frames", f"{VAL} rvt.yaml", "no frames 'data'", rvt_frames(lambda file: None)),
        Case(
            "rvt: frames of two dimensions",
            "events info rvt.yaml",
            "data has 2 dimensions",
            rvt_frames(lambda file: file.create_dataset("data", data=np.zeros((4, 20)))),
        ),
        Case(
            "rvt: frames of 2^60 rows",
            "events info rvt.yaml",
            "not in the file",
            rvt_frames(
                lambda file: file.create_dataset("data", (4, 20, 1 << 30, 1 << 30), "u1", chunks=(1, 1, 64, 64))
            ),
        ),
        Case(
            "rvt: frames without rows",
            "events info rvt.yaml",
            "not the rows and columns",
            rvt_frames(lambda file: file.create_dataset("data", data=np.zeros((4, 20, 0, 32), "u1"))),
        ),
        Case(
            "rvt: other channels",
            "events info rvt.yaml",
            "7 channels",
            rvt_frames(lambda file: file.create_dataset("data", data=np.zeros((4, 7, 32, 32), "u1"))),
        ),
        Case(
            "rvt: times for other frames",
            "events info rvt.yaml",
            "4 frames, but 3 times",
            rvt_array(f"{FRAMES}/timestamps_us.npy", np.arange(3)),
        ),
        Case(
            "rvt: times of nothing",
            "events info rvt.yaml",
            "4 frames, but 0 times",
            rvt_array(f"{FRAMES}/timestamps_us.npy", np.zeros((4, 0), "i8")),
        ),
        Case(
            "rvt: times beyond all clocks",
            "events info rvt.yaml",
            "times",
            rvt_array(f"{FRAMES}/timestamps_us.npy", np.arange(4, dtype="u8") + 2**63),
        ),
        Case(
            "rvt: a label at frame 10^9",
            "events info rvt.yaml",
            "a label at frame 1000000000 of 4",
            rvt_array(f"{FRAMES}/objframe_idx_2_repr_idx.npy", np.array([10**9])),
        ),
        Case(
            "rvt: first boxes are words",
            "events info rvt.yaml",
            "not an array of integers",
            rvt_labels(objframe_idx_2_label_idx=np.array(["a"])),
        ),
        Case("rvt: boxes are numbers", "events info rvt.yaml", "not a list of boxes", rvt_labels(labels=np.zeros(3))),
        Case("rvt: labels that unpack to 320 MB", "events info rvt.yaml", "never read", rvt(zip_bomb)),
        Case(
            "rvt: a pipe in place of times",
            "events info rvt.yaml",
            "a pipe or device",
            rvt(lambda sequence: in_place_of(f"{FRAMES}/timestamps_us.npy", os.mkfifo)(sequence)),
        ),
        Case(
            "rvt: a number of 5000 digits in a name",
            "events info rvt.yaml",
            "frames:",
            lambda folder: (
                rvt(lambda _: None)(folder),
                (folder / "rvt.yaml").write_text(
                    "format: rvt\npath: rvt\ntrain: train\nnames: [a]\nframes: stacked_histogram_dt="
                    + "9" * 5000
                    + "_nbins=10\n"
                ),
            ),
        ),
        # data.yaml
        Case(
            "events.yaml: a format that is a list",
            f"{VAL} e.yaml",
            "e.yaml: format:",
            yaml(E.replace("prophesee", "[prophesee]")),
        ),
        Case("events.yaml: a sensor of text", f"{VAL} e.yaml", "sensor_size_hw", yaml(E + "sensor_size_hw: big\n")),
        Case(
            "events.yaml: another sensor than the files'",
            f"{VAL} e.yaml",
            "64 rows and 96 columns, not 9 and 9",
            yaml(E + "sensor_size_hw: [9, 9]\n"),
        ),
        Case(
            "events.yaml: 10^9 timesteps",
            "train --data e.yaml --model t --out run",
            "timesteps: 1000000000 is not",
            yaml(E + "preparation: {timesteps: 1000000000}\n"),
        ),
        Case(
            "events.yaml: 1000 bins of 1000 timesteps",
            "train --data e.yaml --model t --out run --workers 0 --epochs 1",
            "more than 268435456 values",
            yaml(E + "preparation: {representation: {name: voxel_grid, bins: 1000}, timesteps: 1000}\n"),
        ),
        Case(
            "events.yaml: bins of text",
            "train --data e.yaml --model t --out run",
            "bins",
            yaml(E + "preparation: {representation: {name: voxel_grid, bins: many}}\n"),
        ),
        # options
        Case("predict: --window-us 0", f"{PREDICT} {DAT} --window-us 0", "window_us: 0 is not an integer in 1.."),
        Case("predict: --window-us -5", f"{PREDICT} {DAT} --window-us -5", "window_us: -5 is not"),
        Case(
            "predict: --window-us 10^12",
            f"{PREDICT} {DAT} --window-us 1000000000000",
            "window_us: 1000000000000 is not",
        ),
        Case(
            "train: --timesteps 10^6 of recordings",
            "train --data events/events.yaml --model t --out run --timesteps 1000000",
            "timesteps",
        ),
        Case("view: --window-us 10^30", f"events view {DAT} --window-us {10**30}", "window-us"),
        Case("view: --windows 10^9", f"events view {DAT} --windows 1000000000 --window-us 1", "draw fewer"),
        Case("view: --start-us -1", f"events view {DAT} --start-us -1", "start-us -1 is outside"),
        Case("view: --start-us 10^30", f"events view {DAT} --start-us {10**30}", "is outside"),
        Case("prepare: --step-us 10^15", "events prepare events/events.yaml out --step-us 1000000000000000", "step_us"),
        Case("prepare: --step-us 1", "events prepare events/events.yaml out --step-us 1", "step_us: 1 is not"),
        Case("prepare: --bins 10^9", "events prepare events/events.yaml out --bins 1000000000", "bins: 1000000000"),
        Case("prepare: --cutoff 256", "events prepare events/events.yaml out --cutoff 256", "cutoff: 256"),
        Case("prepare: --downscale 3", "events prepare events/events.yaml out --downscale 3", "downscale: 3"),
        Case("prepare: a file in place of the folder", "events prepare events/events.yaml notes.txt", "notes.txt"),
        Case(
            "prepare: a link in place of the split",
            "events prepare events/events.yaml out",
            "out/train: is a link",
            lambda folder: ((folder / "out").mkdir(), (folder / "out/train").symlink_to(folder / "images")),
        ),
        Case(
            "prepare: what looks like remains stays",
            "events prepare events/events.yaml out --workers 1",
            "written to out",
            lambda folder: (
                (folder / "out/train/.my.partial").mkdir(parents=True),
                (folder / "out/train/.my.partial/notes").write_text("mine"),
            ),
            code=0,
        ),
    ]
)
