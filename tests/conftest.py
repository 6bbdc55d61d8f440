"""Shared fixtures: golden numbers, small generated runs, and real data beside the repository, which may be absent."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tests themselves run in parallel; before NumPy reads it

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from tests.helpers.golden import GOLDEN
from tests.helpers.runs import tiny_settings

from spikeyolo.imaging.io import write_rgb
from spikeyolo.synthetic.shapes import ShapesConfig, write_shapes
from spikeyolo.training.callbacks import images
from spikeyolo.training.settings import TrainSettings

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"

settings.register_profile("default", deadline=None, max_examples=60)
settings.load_profile("default")

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def golden() -> Path:
    return GOLDEN


@pytest.fixture
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip("the real data sets do not lie beside the repository")
    return SHARED_DATA


@pytest.fixture(scope="session")
def shapes(tmp_path_factory) -> Path:
    """Ten training and four validation images of 64 x 64 pixels; the data.yaml."""
    folder = tmp_path_factory.mktemp("shapes") / "data"
    return write_shapes(folder, ShapesConfig(seed=3, train=10, val=4, size=64))


@pytest.fixture(scope="session", autouse=True)
def quick_curves() -> Iterator[None]:
    """Trainings write an empty figure of their curves, but for the run `finished`: dozens end here, all with the same.

    What is drawn has tests of its own.
    """

    def blank(figure: object, path: Path) -> Path:
        write_rgb(path, np.zeros((1, 1, 3), dtype=np.uint8))
        return path

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(images, "save_figure", blank)
        yield


@pytest.fixture
def tiny(shapes) -> TrainSettings:
    return tiny_settings(shapes)


@pytest.hookimpl(tryfirst=True)  # before those that are not asked for are left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none, and leave to the long tests all but `few` cases of a behaviour."""
    many: dict[tuple[Path, str], list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a GPU"))
        if item.get_closest_marker("few") and not item.get_closest_marker("long"):
            many[item.path, item.originalname].append(item)
    for cases in many.values():
        (count,) = cases[0].get_closest_marker("few").args
        kept = {round(n) for n in np.linspace(len(cases) - 1, 0, count)}  # the last ones ask for most
        for number, case in enumerate(cases):
            if number not in kept:
                case.add_marker(pytest.mark.long)
