"""Files of recordings, of their boxes and of RVT that are broken or lie, written into a user's folder."""

import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from tests.helpers.event_datasets import boxes_of

from spikeyolo.data.events.rvt import write_rvt

HEADER = b"% Width 96\n% Height 64\n\x0c\x08"
if find_spec("h5py"):  # it asks the system for the processor when it is imported: not while a row runs
    import h5py

BOXES, H5 = "events/val/c_bbox.npy", "x.h5"


def content(name, data):
    """Write a file."""
    return lambda folder: (folder / name).write_bytes(data)


def dat(times, header=HEADER, name="x_td.dat"):
    """Write a recording with events at these times in the first pixel."""
    records = np.zeros((len(times), 2), "<u4")
    records[:, 0] = times
    return content(name, header + records.tobytes())


def in_place_of(name, make):
    """Put something that is no file in place of one."""

    def prepare(folder):
        path = folder / name
        path.unlink(missing_ok=True)
        make(path)

    return prepare


def npy(header, data=b"", name=BOXES):
    """Write a numpy file with a header of our own."""
    text = header.encode("latin-1")
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return content(name, b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data)


def array(values, name=BOXES, **options):
    """Write an array."""
    return lambda folder: np.save(folder / name, values, **options)


def boxes(**changes):
    """Write two boxes with some fields changed."""
    rows = boxes_of((100_000, 10, 8, 30, 24, 0), (200_000, 12, 9, 30, 24, 0))
    fields = [(name, changes[name].dtype if name in changes else rows.dtype[name]) for name in rows.dtype.names]
    changed = np.zeros(2, fields)
    for name in rows.dtype.names:
        changed[name] = changes.get(name, rows[name])
    return array(changed)


def h5(change=None, name=H5, **columns):
    """Write events to HDF5; a column is None to be left out, or a function that makes it in its group."""
    good = {"t": np.arange(10) * 1000, "x": np.arange(10, dtype="u2"), "y": np.arange(10, dtype="u2"), "p": np.ones(10)}

    def prepare(folder):
        with h5py.File(folder / name, "w") as file:
            file.attrs["height"], file.attrs["width"] = 64, 96
            group = file.create_group("events")
            for key, value in (good | columns).items():
                if callable(value):
                    value(group)
                elif value is not None:
                    group[key] = value
            if change is not None:
                change(file)

    return prepare


def elsewhere(group):
    (Path(group.file.filename).parent / "secret.h5").write_bytes(b"")
    group["t"] = h5py.ExternalLink("secret.h5", "/t")


def virtual(group):
    layout = h5py.VirtualLayout((10,), "i8")
    layout[:] = h5py.VirtualSource("secret.h5", "t", (10,))
    group.create_virtual_dataset("t", layout)


def empty(group):
    group["t"] = h5py.Empty("i8")


def instead_of_group(file):
    del file["events"]
    file["events"] = 5


def huge(name, count=1 << 60):
    return lambda group: group.create_dataset(name, (count,), "u2", maxshape=(None,), chunks=(1000,))


def references(group):
    data = group.create_dataset("t", (10,), h5py.ref_dtype)
    data[0] = group.ref


def outside(group):
    group.create_dataset("t", (2,), "i8", external=[("/etc/passwd", 0, 16)])


def attribute(name, value):
    def change(file):
        file.attrs[name] = value

    return change


def member(name, value):
    def change(file):
        file[name] = value

    return change


def rvt(change):
    """Write a folder of RVT with one sequence, then change it."""

    def prepare(folder):
        frames = [np.zeros((20, 32, 32), np.uint8)] * 4
        sequence = folder / "rvt" / "train" / "s"
        boxes = boxes_of((100_000, 10, 8, 12, 14, 0))
        write_rvt(sequence, frames, np.arange(1, 5) * 50_000, boxes)
        (folder / "rvt.yaml").write_text("format: rvt\npath: rvt\ntrain: train\nval: train\nnames: [car, person]\n")
        change(sequence)

    return prepare


FRAMES = "event_representations_v2/stacked_histogram_dt=50_nbins=10"


def rvt_frames(make):
    def change(sequence):
        with h5py.File(sequence / FRAMES / "event_representations.h5", "w") as file:
            make(file)

    return rvt(change)


def rvt_array(name, values):
    return rvt(lambda sequence: np.save(sequence / name, values))


def rvt_labels(**arrays):
    good = {"labels": boxes_of((100_000, 10, 8, 12, 14, 0)), "objframe_idx_2_label_idx": np.array([0])}
    return rvt(lambda sequence: np.savez(sequence / "labels_v2/labels.npz", **(good | arrays)))


def zip_bomb(sequence):
    with zipfile.ZipFile(sequence / "labels_v2/labels.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(5):
            archive.writestr(f"a{number}.npy", bytes(1 << 26))


def many_unreadable(folder):
    for number in range(300):
        (folder / f"events/val/bad{number:03}_td.dat").write_bytes(b"not events")


def yaml(text):
    return lambda folder: (folder / "e.yaml").write_text(text)


def with_extra(cases):
    """Leave out the rows that need packages of the extra 'events', where they are not installed."""
    there = find_spec("h5py") and find_spec("hdf5plugin") and find_spec("faery")
    return [case for case in cases if there or not case.name.startswith(("h5", "rvt", "raw", "es:", "prepare"))]


E = "format: prophesee\npath: events\ntrain: train\nval: val\nnames: [car, person]\n"
