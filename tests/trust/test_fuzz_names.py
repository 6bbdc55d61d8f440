"""Any text as the name of a class or a file: shown, drawn, and made a folder's name, without an exception."""

from __future__ import annotations

import os
import resource
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikeyolo.imaging.draw import draw_boxes
from spikeyolo.text import class_name, folder_names, visible

ANY = st.text(st.characters(codec=None), max_size=400)  # halves of characters too
GREY = np.full((48, 64, 3), 128, dtype=np.uint8)
SHORT = {"deadline": None, "suppress_health_check": list(HealthCheck)}


def check(names: list[str], folder: str) -> None:
    """What holds for any names."""
    classes = [class_name(name) for name in names]
    assert all(len(name) <= 100 and visible(name) == name for name in classes)
    folders = folder_names(names)
    assert len({name.casefold() for name in folders}) == len(names)
    for name in folders:
        assert os.path.basename(name) == name
        os.mkdir(os.path.join(folder, name))
        os.rmdir(os.path.join(folder, name))
    draw_boxes(GREY, [[1, 1, 9, 9]] * len(names), range(len(names)), names, [0.5] * len(names))


@pytest.mark.filterwarnings("ignore:.*drawn as numbers")
@settings(max_examples=60, **SHORT)
@given(names=st.lists(ANY, min_size=1, max_size=4))
def test_any_names(tmp_path_factory, names):
    check(names, str(tmp_path_factory.getbasetemp()))


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.*drawn as numbers")
@settings(max_examples=10_000, **SHORT)
@given(names=st.lists(ANY, min_size=1, max_size=4))
def test_ten_thousand_names_are_quick_and_small(tmp_path_factory, names):
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    check(names, str(tmp_path_factory.getbasetemp()))
    assert time.process_time() - began < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500 * 1024  # KB
