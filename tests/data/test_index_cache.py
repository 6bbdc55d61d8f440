"""The kept index of a split: used while nothing has changed, and never believed further than it can be read."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.helpers.event_datasets import write_data_set

from spikeyolo.data.images import scan
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


@pytest.mark.parametrize("lie", [lambda meta: {"signature": meta["signature"]}, lambda meta: [meta], lambda meta: {}])
def test_an_index_that_lies_is_made_again(data_file, lie):
    first = open_data(data_file).split("train")
    rewritten(kept(data_file), lie)
    second = open_data(data_file).split("train")
    assert np.array_equal(first.boxes, second.boxes)
    assert isinstance(json.loads(np.load(kept(data_file))["meta"].tobytes())["names"], list)
