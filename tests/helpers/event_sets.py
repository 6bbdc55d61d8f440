"""Public sets of recordings, written small in exactly the layouts that their own documentation gives.

Sources are those that the pages in `docs/sets` name.
"""

from pathlib import Path

import numpy as np
from tests.helpers.event_datasets import boxes_of
from tests.helpers.recordings import random_events

DSEC_SIZE, ETRAM_SIZE, PEDRO_SIZE = (480, 640), (720, 1280), (260, 346)
T_OFFSET = 55_609_600_000  # of the order that DSEC's sequences have
TRACKS_DTYPE = [  # README of dsec-det, section Data Format
    *((name, kind) for name, kind in (("t", "u8"), ("x", "f8"), ("y", "f8"), ("h", "f8"), ("w", "f8"))),
    *((name, kind) for name, kind in (("class_id", "u1"), ("class_confidence", "f8"), ("track_id", "u8"))),
]
ETRAM_DTYPE = [
    *(("t", "<i8"), ("x", "<f4"), ("y", "<f4"), ("w", "<f4"), ("h", "<f4")),
    *(("class_id", "<u4"), ("track_id", "<u4"), ("class_confidence", "<f4")),
]
VOC = """<annotation>
	<folder>frames</folder>
	<filename>{name}.jpg</filename>
	<source>
		<database>Unknown</database>
	</source>
	<size>
		<width>346</width>
		<height>260</height>
		<depth>1</depth>
	</size>
	<segmented>0</segmented>
{objects}</annotation>
"""
VOC_OBJECT = """	<object>
		<name>person</name>
		<pose>Unspecified</pose>
		<truncated>0</truncated>
		<difficult>0</difficult>
		<bndbox>
			<xmin>{}</xmin>
			<ymin>{}</ymin>
			<xmax>{}</xmax>
			<ymax>{}</ymax>
		</bndbox>
	</object>
"""
ROWS = [(100_000, 60, 50, 120, 90, 0), (100_000, 200, 80, 90, 80, 2), (200_000, 64, 52, 120, 90, 0)]


def as_dtype(boxes, dtype):
    found = np.zeros(len(boxes), dtype)
    for name in found.dtype.names:
        found[name] = boxes[name]
    return found


def write_dsec_sequence(folder: Path, seed=0, events=None, rows=ROWS, **changed):
    """events/left/events.h5 (blosc and zstd, `ms_to_idx`, `t_offset`), rectify_map.h5, object_detections/left."""
    import h5py
    import hdf5plugin

    events = random_events(6000, 300_000, DSEC_SIZE, seed) if events is None else events
    left, labels = folder / "events" / "left", folder / "object_detections" / "left"
    left.mkdir(parents=True)
    labels.mkdir(parents=True)
    table = np.searchsorted(events.t_us, np.arange(int(events.t_us[-1]) // 1000 + 1) * 1000)
    with h5py.File(left / "events.h5", "w") as file:
        columns = {"p": events.polarity, "t": events.t_us.astype("u4"), "x": events.x, "y": events.y}
        for name, column in columns.items():
            file.create_dataset(f"events/{name}", data=column, chunks=(1000,), **hdf5plugin.Blosc(cname="zstd"))
        file["ms_to_idx"] = changed.get("ms_to_idx", table).astype("u8")
        file["t_offset"] = np.int64(T_OFFSET)
    with h5py.File(left / "rectify_map.h5", "w") as file:
        file["rectify_map"] = np.zeros((*DSEC_SIZE, 2), "f4")
    tracks = as_dtype(boxes_of(*rows), TRACKS_DTYPE)
    tracks["t"] += T_OFFSET
    np.save(labels / "tracks.npy", tracks)
    return events


def write_dsec(root: Path) -> Path:
    for number, path in enumerate(("train/zurich_city_00_a", "train/zurich_city_16_a", "test/thun_01_a")):
        write_dsec_sequence(root / path, number)
    file = root / "data.yaml"
    file.write_text(
        "format: dsec\ntrain: [train/zurich_city_00_a]\nval: train/zurich_city_16_a\ntest: test\n"
        "names: [pedestrian, rider, car, bus, truck, bicycle, motorcycle, train]\n"
    )
    return file


def write_etram(root: Path) -> Path:
    import h5py

    names = (
        "train_h5_1/train_day_0001",
        "train_h5_2/train_night_0001",
        "val_h5_1/val_day_0001",
        "test_h5_1/test_day_0001",
    )
    for number, name in enumerate(names):
        path = root / "HDF5" / f"{name}_td.h5"
        path.parent.mkdir(parents=True)
        events = random_events(6000, 300_000, ETRAM_SIZE, number)
        with h5py.File(path, "w") as file:
            file["events/x"], file["events/y"] = events.x, events.y
            file["events/p"], file["events/t"] = events.polarity.astype("i2"), events.t_us
            file["events/height"], file["events/width"] = ETRAM_SIZE
        np.save(path.with_name(f"{Path(name).name}_bbox.npy"), as_dtype(boxes_of(*ROWS), ETRAM_DTYPE))
    return root


def write_pedro(root: Path) -> Path:
    """numpy, xml and yolo, each with train, val and test."""
    for number, (split, people) in enumerate((("train", 2), ("val", 1), ("test", 1))):
        name = f"frame{number:07}"
        events = random_events(3000, 40_000, PEDRO_SIZE, number)
        columns = (events.t_us + 1_672_932_172_785_744, events.x, events.y, events.polarity)
        corners = [(40 + 100 * i, 30, 120 + 100 * i, 210) for i in range(people)]
        rows = [(0, (x + u) / 2 / 346, (y + v) / 2 / 260, (u - x) / 346, (v - y) / 260) for x, y, u, v in corners]
        xml = VOC.format(name=name, objects="".join(VOC_OBJECT.format(*c) for c in corners))
        yolo = "".join(" ".join(map(str, row)) + "\n" for row in rows)
        for kind, suffix in (("numpy", "npy"), ("xml", "xml"), ("yolo", "txt")):
            file = root / kind / split / f"{name}.{suffix}"
            file.parent.mkdir(parents=True)
            if kind == "numpy":
                np.save(file, np.stack(columns, axis=1).astype(np.int64))
            else:
                file.write_text(xml if kind == "xml" else yolo)
    return root
