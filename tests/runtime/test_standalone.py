"""The program beside an exported network, without torch and without this package."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from tests.helpers.exported import finding, pixels, write_either, write_onnx
from tests.helpers.golden import GOLDEN
from tests.runtime.test_integer_session import packaged

from spikeyolo import load_reference
from spikeyolo.errors import WriteError
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.imaging.io import read_rgb, write_rgb
from spikeyolo.runtime import Inferencer
from spikeyolo.runtime.standalone import PROGRAM, write_run_py

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")

SIZE = (64, 96)


@pytest.fixture(scope="module")
def network():
    return finding(input=ImageInput(SIZE), names=("猫", "dog", "elephant"))


@pytest.fixture
def image(tmp_path):
    write_rgb(tmp_path / "image.png", pixels(50, 70))
    return tmp_path / "image.png"


def run(program, *words, cwd=None):
    """Run it where neither torch nor this package can be imported."""
    blocked = cwd / "blocked"
    for name in ("torch", "spikeyolo"):
        (blocked / name).mkdir(parents=True, exist_ok=True)
        (blocked / name / "__init__.py").write_text("raise ImportError('not here')")
    environment = {**os.environ, "PYTHONPATH": str(blocked), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, str(program), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environment)


def assert_finds(done, expected, names):
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == len(expected) > 0
    for line, box, score, label in zip(lines, expected.boxes, expected.scores, expected.labels, strict=True):
        name, said, corners = re.fullmatch(r"(\S+) (0\.\d+) at \[(.*)\]", line).groups()
        assert name == names[label]
        assert float(said) == pytest.approx(score, abs=2e-3)
        np.testing.assert_allclose([int(c) for c in corners.split(", ")], box, atol=0.51)


def test_it_is_short():
    assert len(PROGRAM.read_text().splitlines()) <= 80


@pytest.mark.few(2)
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"outputs": "logits", "batch": 2},
        {"outputs": "detections"},
        {"preprocessing": False},
        {"dynamic_batch": True, "dynamic_size": True},
    ],
    ids=str,
)
def test_it_finds_what_the_inferencer_finds(engine, choices, network, image, tmp_path):
    path = write_either(engine, tmp_path, network, SIZE, **choices)
    program = write_run_py(path)
    before = image.read_bytes()
    (expected,) = Inferencer(path).predict(image)
    assert_finds(run(program, image, cwd=tmp_path), expected, network.names)
    drawn = read_rgb(tmp_path / "boxes.png")
    assert drawn.shape == (50, 70, 3)
    assert (drawn == (0, 200, 0)).all(-1).any()
    assert image.read_bytes() == before


def test_a_package_for_chips(image, tmp_path):
    network = load_reference(GOLDEN / "tiny_t4" / "reference.pt")
    network.input = ImageInput(SIZE)
    folder = packaged(tmp_path / "package", network.to_integer())
    program = write_run_py(folder)
    text = program.read_text()
    program.write_text(text.replace("0.25, 0.7", "0.001, 0.7"))  # it is sure of nothing
    (expected,) = Inferencer(folder).predict(image, conf=0.001)
    assert_finds(run(program, image, cwd=tmp_path), expected, network.names)


def test_nothing_is_found(network, image, tmp_path):
    program = write_run_py(write_onnx(tmp_path / "network.onnx", network, SIZE))
    program.write_text(program.read_text().replace("0.25, 0.7", "0.999, 0.7"))
    done = run(program, image, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert np.array_equal(read_rgb(tmp_path / "boxes.png"), read_rgb(image))


def test_mistakes_are_a_line(network, image, tmp_path):
    program = write_run_py(write_onnx(tmp_path / "network.onnx", network, SIZE))
    (tmp_path / "text.png").write_text("hello")
    before = image.read_bytes()
    link = tmp_path / "link.png"
    link.symlink_to(image)
    for words, said in (
        ([], "python run.py IMAGE"),
        (["missing.png"], "No such file"),
        (["text.png"], "text.png: no image"),
        ([image, image], "the image itself"),
        ([image, link], "the image itself"),
        ([image, "out.hello"], "run.py: "),
        ([image, "no/such/folder.png"], "cannot be written"),
    ):
        done = run(program, *words, cwd=tmp_path)
        assert done.returncode == 1, words
        errors = [line for line in done.stderr.splitlines() if not line.startswith("[ WARN")]
        assert said in errors[-1]
        assert len(errors) == 1
    assert image.read_bytes() == before


def test_a_stream_is_refused(network, image, tmp_path):
    program = write_run_py(write_onnx(tmp_path / "s.onnx", network, SIZE, streaming=True, outputs="logits"))
    assert "spikeyolo predict runs it" in run(program, image, cwd=tmp_path).stderr


def test_where_it_is_written(network, tmp_path):
    one = write_onnx(tmp_path / "one.onnx", network, SIZE)
    two = write_onnx(tmp_path / "two.onnx", network, SIZE)
    assert write_run_py(one) == tmp_path / "run.py"
    assert write_run_py(two) == tmp_path / "run_two.py"
    (tmp_path / "run.py").write_text((tmp_path / "run.py").read_text() + "# of an older version\n")
    assert write_run_py(str(one)) == tmp_path / "run.py"
    assert (tmp_path / "run.py").read_text() == PROGRAM.read_text().replace("network.onnx", "one.onnx").replace(
        '"one.onnx"', "'one.onnx'"
    )
    for name in ("run.py", "run_two.py"):
        (tmp_path / name).write_text("print('mine')")
    with pytest.raises(WriteError, match="is another program"):
        write_run_py(two)
    assert (tmp_path / "run_two.py").read_text() == "print('mine')"
