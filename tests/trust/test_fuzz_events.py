"""Mutated files of recordings, of boxes and of RVT: each is read, or refused with an error of ours, and nothing else.

The short form is in the suite; `pytest -m long` tries 10,000 of each. They run in a process of their own, because a
library in C might end it, with little memory.
"""

import multiprocessing
import os
import random
import resource
import shutil
import time
import warnings

import numpy as np
import pytest
from tests.helpers.event_datasets import SIZE_HW, boxes_of
from tests.helpers.recordings import random_events

from spikeyolo.cli.main import main
from spikeyolo.data.events.labels import clean_boxes, read_boxes, write_boxes
from spikeyolo.data.events.rvt import open_rvt, write_rvt
from spikeyolo.errors import SpikeYOLOError
from spikeyolo.events import open_recording, write_dat

SHORT, LONG = 60, 10_000
SECONDS, BYTES = 2, 500 << 20  # that one input may take


def read_recording(path):
    """What the commands do with a recording."""
    recording = open_recording(path, None if path.suffix == ".dat" else SIZE_HW)
    recording.check()
    recording.window(0, 100_000)
    for ends in recording.steps(50_000, 50_000)[:3]:
        recording.window(ends.start - 50_000, ends.start)


def read_labels(path):
    boxes, _ = clean_boxes(read_boxes(path), SIZE_HW, 300_000)
    assert np.isfinite(boxes["x"] + boxes["w"]).all()
    assert (boxes["x"] + boxes["w"] <= SIZE_HW[1] + 0.02).all()


def read_sequence(path):
    """Whatever file of a sequence was changed."""
    sequence = open_rvt(path.parents[2] if path.suffix == ".h5" or "idx" in path.name else path.parents[1])
    for end_us in sequence.end_us[:2].tolist():
        sequence.before(end_us, 2)


def dat_file(folder):
    write_dat(folder / "x.dat", [random_events(500, 300_000, SIZE_HW)], SIZE_HW)
    return folder / "x.dat"


def boxes_file(folder):
    rows = [(100_000 * k, 10, 8, 30, 24, k % 2) for k in range(1, 4)]
    write_boxes(folder / "x_bbox.npy", boxes_of(*rows))
    return folder / "x_bbox.npy"


def hdf5_file(folder):
    h5py = pytest.importorskip("h5py")
    hdf5plugin = pytest.importorskip("hdf5plugin")
    events = random_events(300, 30_000, SIZE_HW)
    columns = {"t": events.t_us, "x": events.x, "y": events.y, "p": events.polarity}
    with h5py.File(folder / "x.h5", "w") as file:
        for name, column in columns.items():
            packed = hdf5plugin.Blosc() if name == "x" else {"compression": "gzip"}
            file.create_dataset(f"events/{name}", data=column, chunks=(100,), **packed)
        file["ms_to_idx"] = np.searchsorted(events.t_us, np.arange(31) * 1000)
        file["t_offset"] = 5
    return folder / "x.h5"


def rvt_file(name):
    def make(folder):
        pytest.importorskip("hdf5plugin")
        frames = [np.full((4, 8, 8), k, np.uint8) for k in range(4)]
        boxes = boxes_of((100_000, 1, 2, 3, 4, 0), (200_000, 1, 2, 3, 4, 1))
        write_rvt(folder / "s", frames, np.arange(1, 5) * 50_000, boxes)
        return next((folder / "s").rglob(name))

    return make


def vendor_file(name, **options):
    def make(folder):
        faery = pytest.importorskip("faery")
        events = random_events(300, 30_000, SIZE_HW)
        array = np.zeros(300, faery.EVENTS_DTYPE)
        array["t"], array["x"], array["y"], array["on"] = events.t_us, events.x, events.y, events.polarity
        faery.events_stream_from_array(array, SIZE_HW[::-1]).to_file(folder / name, **options)
        return folder / name

    return make


FORMATS = {
    "dat": (dat_file, read_recording),
    "bbox.npy": (boxes_file, read_labels),
    "hdf5": (hdf5_file, read_recording),
    "rvt frames": (rvt_file("event_representations.h5"), read_sequence),
    "rvt labels": (rvt_file("labels.npz"), read_sequence),
    "rvt times": (rvt_file("objframe_idx_2_repr_idx.npy"), read_sequence),
    "evt2": (vendor_file("x.raw", version="evt2"), read_recording),
    "evt3": (vendor_file("x.raw", version="evt3"), read_recording),
    "es": (vendor_file("x.es"), read_recording),
    "aedat4": (vendor_file("x.aedat4", compression=None), read_recording),
}


# Each .aedat4 is decoded by a process of its own: a tenth or twentieth as many of them.


def mutated(content, rng):
    """Some bytes changed, most of them near the start, where headers are; or cut short."""
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        width = rng.choice([1, 2, 4, 8])
        at = rng.randrange(len(content) if rng.random() < 0.5 else min(len(content), 2500))
        values = [
            rng.randbytes(width),
            b"\xff" * width,
            bytes(width),
            (1 << rng.randrange(8 * width)).to_bytes(width, "little"),
        ]
        changed[at : at + width] = rng.choice(values)
    return bytes(changed[: rng.randrange(len(changed))] if rng.random() < 0.15 else changed)


def try_all(name, folder, first, last, sent):
    """In a process of its own: read each mutated file, say which one is next, and what was wrong."""
    make, read = FORMATS[name]
    path = make(folder)
    content = path.read_bytes()
    read(path)
    usual = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    warnings.simplefilter("ignore")
    for number in range(first, last):
        path.write_bytes(mutated(content, random.Random(number)))
        sent.send((number, None))
        start = time.monotonic()
        try:
            read(path)
        except SpikeYOLOError as error:
            if str(folder) not in str(error):  # of files that do not fit each other, their folder is named
                sent.send((number, f"names no file: {error}"))
            if len(str(error)) > 600:
                sent.send((number, f"long: {error}"[:500]))
        except BaseException as error:
            sent.send((number, f"{type(error).__name__}: {error}"))
        taken, seconds = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - usual, time.monotonic() - start
        if taken << 10 > BYTES:
            sent.send((number, f"{taken >> 10} MB"))
        if seconds > SECONDS:
            sent.send((number, f"{seconds:.1f} s"))
    sent.send((last, None))


def wrong(name, folder, count):
    """What was wrong among so many mutated files."""
    context, found, following = multiprocessing.get_context("fork"), [], 0
    while following < count:
        received, sent = context.Pipe(duplex=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads, from Python 3.12 on
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            child = context.Process(target=try_all, args=(name, folder, following, count, sent))
            child.start()
        sent.close()
        number = following - 1
        try:
            while received.poll(60):
                number, said = received.recv()
                if said:
                    found.append((number, said))
        except EOFError:
            pass
        child.kill()
        child.join()
        if number < count:
            found.append((number, f"ended with {child.exitcode}"))
        following = number + 1
    return found


@pytest.mark.parametrize("name", FORMATS)
def test_mutated_files_are_read_or_refused(name, tmp_path):
    assert wrong(name, tmp_path / "x", SHORT // 10 if name == "aedat4" else SHORT) == []


@pytest.mark.long
@pytest.mark.parametrize("name", FORMATS)
def test_ten_thousand_mutated_files_are_read_or_refused(name, tmp_path):
    assert wrong(name, tmp_path / "x", LONG // 20 if name == "aedat4" else LONG) == []


def test_a_lying_aedat4_does_not_end_the_program(tmp_path, capfd):
    path = vendor_file("x.aedat4", compression=None)(tmp_path)
    content = bytearray(path.read_bytes())
    at = content.index(b"EVTS", 600)
    content[at + 16 : at + 24] = b"\xff" * 8  # where it says how many events there are
    path.write_bytes(content)
    assert main(["events", "info", str(path)]) == 1
    said = capfd.readouterr().err
    assert said.startswith(f"spikeyolo: {path}: cannot be read by faery")
    assert said.count("\n") == 1
