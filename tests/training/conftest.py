from __future__ import annotations

import pytest
import torch
from tests.helpers.runs import tiny_settings

from spikeyolo.evaluation.plots import save_figure
from spikeyolo.training.callbacks import images
from spikeyolo.training.run import train
from spikeyolo.training.run_folder import RunFolder


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny tensors are faster so, above all beside other work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def finished(shapes, tmp_path_factory) -> RunFolder:
    """A run that nothing interrupted, with its curves: the settings of `tiny`. Nobody writes to it."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(images, "save_figure", save_figure)
        return train(tiny_settings(shapes), tmp_path_factory.mktemp("finished") / "run")
