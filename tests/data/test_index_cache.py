"""The kept index of a split: used while nothing has changed, and never believed further than it can be read."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from tests.helpers.event_datasets import write_data_set

from spikeyolo.data.images import scan
from spikeyolo.data.index_cache import PART, IndexCache
from spikeyolo.data.open import open_data


@pytest.fixture(params=["images", "recordings"])
def data_file(request, yolo_set, tmp_path):
    return yolo_set if request.param == "images" else write_data_set(tmp_path / "events")


def kept(file):
    (found,) = (file.parent / ".spikeyolo_cache").glob("*train*.npz")
    return found


def rewritten(file, change):
    with np.load(file) as stored:
        arrays = dict(stored)
    meta = change(json.loads(arrays.pop("meta").tobytes()))
    np.savez(file, meta=np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8), **arrays)


def test_second_reading_is_the_first(data_file, monkeypatch):
    first = open_data(data_file).split("train")
    monkeypatch.setattr(scan, "inspect_image", None)  # would be called to read again
    second = open_data(data_file).split("train")
    assert len(first) == len(second) > 0
    assert np.array_equal(first.boxes, second.boxes)


@pytest.mark.parametrize("number", [0, PART - 1, PART, 2 * PART])
def test_any_of_many_files_is_noticed(tmp_path, number):
    """They are looked at in parts, by several threads."""
    (tmp_path / "others").write_text("a")
    one = tmp_path / "one"
    one.write_text("a")
    os.utime(one, ns=(5, 5))
    files = [tmp_path / "others"] * (2 * PART + 1)
    files[number] = one

    def signature():
        return IndexCache.of(tmp_path / "data.yaml", "train", (1,), files).signature

    found = [signature()]
    assert signature() == found[0]
    os.utime(one, ns=(5, 6))
    found.append(signature())
    one.write_text("bc")
    os.utime(one, ns=(5, 6))
    found.append(signature())
    one.unlink()
    found.append(signature())
    files[number] = tmp_path / "gone"
    found.append(signature())
    del files[number]
    found.append(signature())
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("lie", [lambda meta: {"signature": meta["signature"]}, lambda meta: [meta], lambda meta: {}])
def test_an_index_that_lies_is_made_again(data_file, lie):
    first = open_data(data_file).split("train")
    rewritten(kept(data_file), lie)
    second = open_data(data_file).split("train")
    assert np.array_equal(first.boxes, second.boxes)
    assert isinstance(json.loads(np.load(kept(data_file))["meta"].tobytes())["names"], list)


LIES = {
    "boxes of one number": lambda arrays, meta: arrays.update(boxes=arrays["boxes"][:, :1]),
    "boxes as text": lambda arrays, meta: arrays.update(boxes=arrays["boxes"].astype(str)),
    "a box that is not finite": lambda arrays, meta: arrays.update(boxes=arrays["boxes"] * np.nan),
    "a class beyond the names": lambda arrays, meta: arrays.update(labels=arrays["labels"] + 100),
    "rows beyond the boxes": lambda arrays, meta: arrays.update(starts=arrays["starts"] + 1),
    "rows that fall": lambda arrays, meta: arrays.update(starts=arrays["starts"][::-1]),
    "images without pixels": lambda arrays, meta: arrays.update(sizes_hw=arrays["sizes_hw"] * 0),
    "images of a terapixel": lambda arrays, meta: arrays.update(sizes_hw=arrays["sizes_hw"] * 0 + 10**6),
    "paths that are numbers": lambda arrays, meta: meta.update(paths=[1] * len(meta["paths"])),
    "paths of elsewhere": lambda arrays, meta: meta.update(paths=[f"/dev/{path}" for path in meta["paths"]]),
    "fewer paths than images": lambda arrays, meta: meta.update(paths=meta["paths"][1:]),
    "ids that are lists": lambda arrays, meta: meta.update(image_ids=[[1]] * len(meta["paths"])),
    "one id for all": lambda arrays, meta: meta.update(image_ids=["a"] * len(meta["paths"])),
    "other names": lambda arrays, meta: meta.update(names=["x"] * len(meta["names"])),
    "category ids that are text": lambda arrays, meta: meta.update(category_ids=["x"] * len(meta["names"])),
    "an annotation file of elsewhere": lambda arrays, meta: meta.update(annotation_file="/etc/passwd"),
    "a report without counts": lambda arrays, meta: meta["report"].update(counts=3),
}


EVENT_LIES = {
    "boxes without class": lambda arrays, meta: arrays.update(box_class_id=arrays["box_class_id"] + 100),
    "a box that is not finite": lambda arrays, meta: arrays.update(box_x=arrays["box_x"] * np.nan),
    "rows beyond the boxes": lambda arrays, meta: arrays.update(starts=arrays["starts"] + 1),
    "a recording that is not there": lambda arrays, meta: arrays.update(recording=arrays["recording"] + 100),
    "times in two columns": lambda arrays, meta: arrays.update(t_us=arrays["t_us"].reshape(-1, 1)),
    "times that are text": lambda arrays, meta: arrays.update(t_us=arrays["t_us"].astype(str)),
    "a sensor without pixels": lambda arrays, meta: meta.update(sensor_size_hw=[0, 0]),
    "recordings of elsewhere": lambda arrays, meta: meta.update(recordings=["/dev/zero"] * len(meta["recordings"])),
    "other names": lambda arrays, meta: meta.update(names=["x"] * len(meta["names"])),
    "findings that are numbers": lambda arrays, meta: meta.update(findings=[1]),
}


def tell(file, lie):
    with np.load(file) as stored:
        arrays = dict(stored)
    meta = json.loads(arrays.pop("meta").tobytes())
    lie(arrays, meta)
    np.savez(file, meta=np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8), **arrays)


@pytest.mark.parametrize("lie", EVENT_LIES.values(), ids=EVENT_LIES)
def test_recordings_of_an_index_that_lies_are_read_again(tmp_path, lie):
    data_file = write_data_set(tmp_path / "events")
    first = open_data(data_file).split("train")
    tell(kept(data_file), lie)
    second = open_data(data_file).split("train")
    assert (second.names, second.recordings, second.findings) == (first.names, first.recordings, first.findings)
    assert second.sensor_size_hw == first.sensor_size_hw
    for name in ("boxes", "starts", "recording", "t_us"):
        assert np.array_equal(getattr(second, name), getattr(first, name))


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_images_of_an_index_that_lies_are_scanned_again(yolo_set, lie):
    first = open_data(yolo_set).split("train")
    tell(kept(yolo_set), lie)
    second = open_data(yolo_set).split("train")
    assert (second.names, second.paths, second.image_ids) == (first.names, first.paths, first.image_ids)
    for name in ("sizes_hw", "starts", "boxes", "labels", "crowd"):
        assert np.array_equal(getattr(second, name), getattr(first, name))
    assert (second.annotation_file, second.category_ids) == (first.annotation_file, first.category_ids)


def test_an_index_that_unpacks_to_gigabytes_is_made_again(yolo_set, monkeypatch):
    first = open_data(yolo_set).split("train")
    file = kept(yolo_set)
    with np.load(file) as stored:
        arrays = dict(stored)
    np.savez_compressed(file, **arrays | {"boxes": np.zeros((3 * 10**6, 4))})  # 96 MB, in 0.1 MB
    assert file.stat().st_size < 10**6
    unpacked = []
    monkeypatch.setattr("spikeyolo.data.images.scan.from_cache", lambda *given: unpacked.append(given))
    second = open_data(yolo_set).split("train")
    assert np.array_equal(first.boxes, second.boxes)
    assert not unpacked
