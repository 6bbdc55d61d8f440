"""The network with MultiThreshold nodes, executed by the qonnx package: the integers of the integer network."""

import numpy as np
import pytest
import torch
from tests.helpers.networks import lively

from spikeyolo import load_reference
from spikeyolo.artefact import IMAGES, LOGITS
from spikeyolo.errors import ConfigError
from spikeyolo.exporting.configs import QonnxConfig
from spikeyolo.exporting.job import Job
from spikeyolo.exporting.write_qonnx import small_integer, write
from spikeyolo.imaging.image_input import ImageInput

pytest.importorskip("qonnx")
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx


@pytest.mark.few(1)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"max_count": 8},
        pytest.param({"max_count": 1}, marks=pytest.mark.long),
        pytest.param({"neuron": "gen1", "input": ImageInput()}, marks=pytest.mark.long),
    ],
    ids=str,
)
def test_the_integers_are_those_of_the_integer_network(tmp_path, changes):
    model = lively("t", num_classes=3, dtype=torch.float32, **changes)
    check(tmp_path, model)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_the_published_network(tmp_path):
    check(tmp_path, load_reference("tests/golden/tiny/reference.pt"))


def check(tmp_path, model):
    images = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    integer = write(Job(model, ImageInput((32, 32)), (32, 32), images), QonnxConfig(), tmp_path / "model.onnx")
    read = ModelWrapper(str(tmp_path / "model.onnx"))
    assert read.get_tensor_datatype("backbone.stage1.0.token_mixer.0.weight").name == "INT8"
    found = execute_onnx(read, {IMAGES: images.float().numpy()})
    assert {node.op_type for node in read.graph.node} <= {
        "Add", "Concat", "Conv", "Identity", "MaxPool", "Mul", "MultiThreshold", "Resize",
    }  # fmt: skip
    for name, logits in zip(LOGITS, integer(images / 255), strict=True):
        np.testing.assert_array_equal(found[name], logits.numpy() * 2**integer.fraction_bits)


def test_what_float32_cannot_hold_or_has_memory_is_refused(tmp_path):
    integer = lively("t", num_classes=3, dtype=torch.float32).to_integer()
    with pytest.raises(ConfigError, match="sums reach 2\\*\\*24"):
        small_integer(integer)
    job = Job(lively("t", timesteps=2), ImageInput((64, 64)), (64, 64), torch.zeros(1, 3, 64, 64))
    with pytest.raises(ConfigError, match="T must be 1"):
        write(job, QonnxConfig(), tmp_path / "model.onnx")
