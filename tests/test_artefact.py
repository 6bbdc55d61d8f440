"""What an exported network says of itself: read back as it was written, and refused where it makes no sense."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from spikeyolo.artefact import Artefact, read_artefact
from spikeyolo.errors import CheckpointError

ARTEFACT = Artefact(
    names=("猫", "dog"),
    input={"kind": "images", "size_hw": [64, 96]},
    config={"width": 0.125},
    form="dense",
    precision="float32",
    timesteps=1,
    streaming=False,
    outputs="boxes",
    size_hw=(64, 96),
    batch=1,
    strides=(8, 16, 32),
    decay=0.25,
    gain=1.0,
    max_count=4,
    slot_code=(1, 1, 1, 1),
    fraction_bits=None,
    spikeyolo="0.1.0",
)


@pytest.mark.parametrize("artefact", [ARTEFACT, replace(ARTEFACT, size_hw=None, batch=None, fraction_bits=12)])
def test_what_is_written_is_read_back(artefact):
    assert read_artefact(artefact.to_json(), "model.onnx") == artefact


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "not written by spikeyolo export"),
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("7", "not written by spikeyolo export"),
        (json.dumps({"format": "spikeyolo-export", "version": 2}), "install a newer one"),
        (json.dumps({"format": "spikeyolo-export", "version": 1}), "missing"),
        (ARTEFACT.to_json().replace('"timesteps": 1', '"timesteps": "many"'), "timesteps"),
        (ARTEFACT.to_json().replace('"outputs": "boxes"', '"outputs": "masks"'), "outputs"),
    ],
)
def test_what_makes_no_sense_is_one_line_that_names_the_file(text, said):
    with pytest.raises(CheckpointError, match=said) as caught:
        read_artefact(text, "model.onnx")
    assert str(caught.value).startswith("model.onnx: ")
    assert "\n" not in str(caught.value)


def test_no_torch_is_needed():
    program = "import sys, spikeyolo.artefact; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
