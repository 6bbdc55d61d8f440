"""Files that are no exported network, or no longer the one that was written: one line that names the file."""

import json
import shutil

import pytest
from tests.helpers.exported import edited, finding, write_onnx, write_openvino

from spikeyolo.errors import CheckpointError
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.runtime import Inferencer

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")

SIZE = (64, 64)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    network = finding(input=ImageInput(SIZE), num_classes=2)
    write_onnx(folder / "network.onnx", network, SIZE)
    write_onnx(folder / "stream.onnx", network, SIZE, streaming=True, outputs="logits")
    write_openvino(folder / "openvino", network, SIZE)
    return folder


def refused(path, said):
    with pytest.raises(CheckpointError, match=said) as caught:
        Inferencer(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.99, 0.999999])
def test_an_onnx_file_cut_short(files, tmp_path, share):
    content = (files / "network.onnx").read_bytes()
    path = tmp_path / "cut.onnx"
    path.write_bytes(content[: int(len(content) * share)])
    refused(path, "cut short")


def test_bytes_that_are_no_onnx(tmp_path):
    for content in (b"hello", b"\xff" * 1000, bytes(range(256)) * 10, b"\x89PNG\r\n\x1a\n"):
        path = tmp_path / "other.onnx"
        path.write_bytes(content)
        refused(path, "not an ONNX file")


def test_the_onnx_file_of_another_program(tmp_path):
    helper, element = onnx.helper, onnx.TensorProto.FLOAT
    value = helper.make_tensor_value_info
    node = helper.make_node("Relu", ["images"], ["boxes"])
    graph = helper.make_graph([node], "g", [value("images", element, [1])], [value("boxes", element, [1])])
    path = tmp_path / "other.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    refused(path, "not written by spikeyolo export")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": 99}, "install a newer one"),
        ({"names": []}, "no class"),
        ({"names": ["a"]}, r"scores is of shape .* not of 1 classes"),
        ({"outputs": "logits"}, "its outputs are boxes, scores, not logits16, logits32, logits8"),
        ({"streaming": True}, "its inputs are images"),
        ({"batch": 4}, r"of shape \(1, 3, 64, 64\), not \(4, 3, 64, 64\)"),
        ({"batch": None}, r"not \(free, 3, 64, 64\)"),
        ({"size_hw": [32, 64]}, "two sizes"),
        ({"size_hw": None}, r"not \(1, 3, free, free\)"),
        ({"size_hw": [64]}, "two sizes|no rows and columns"),
        ({"strides": [8, 16]}, "not 3 strides"),
        ({"strides": [0, 0, 0]}, "not 3 strides"),
        ({"input": {"kind": "smells"}}, "smells"),
        ({"input": {"kind": "images", "size_hw": [1, 1]}}, "multiple of 32"),
        ({"input": {"kind": "recordings"}}, r"not \(1, 2, 64, 64\)"),
        ({"config": {}}, "config.timesteps"),
        ({"timesteps": "many"}, "timesteps"),
    ],
    ids=str,
)
def test_edited_metadata(files, tmp_path, changes, said):
    refused(edited(shutil.copy(files / "network.onnx", tmp_path / "edited.onnx"), **changes), said)


def test_a_stream_that_is_said_to_be_none(files, tmp_path):
    refused(edited(shutil.copy(files / "stream.onnx", tmp_path / "edited.onnx"), streaming=False), "its inputs are")


def test_metadata_that_are_no_json(files, tmp_path):
    model = onnx.load(files / "network.onnx")
    (entry,) = model.metadata_props
    entry.value = "{"
    path = tmp_path / "edited.onnx"
    path.write_bytes(model.SerializeToString())
    refused(path, "is no JSON")


def test_a_graph_that_the_engine_does_not_take(files, tmp_path):
    model = onnx.load(files / "network.onnx")
    model.graph.node[3].op_type = "Teleport"
    path = tmp_path / "edited.onnx"
    path.write_bytes(model.SerializeToString())
    refused(path, "cannot be run by ONNX Runtime")


@pytest.fixture
def folder(files, tmp_path):
    return shutil.copytree(files / "openvino", tmp_path / "openvino")


@pytest.mark.parametrize("name", ["network.bin", "spikeyolo.json"])
def test_an_openvino_folder_without_a_file(folder, name):
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name}: cannot be read \\(no such file"):
        Inferencer(folder)


@pytest.mark.parametrize("name", ["network.xml", "network.bin", "spikeyolo.json"])
@pytest.mark.parametrize("share", [0, 0.5])
def test_an_openvino_folder_with_a_file_cut_short(folder, name, share):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(len(content) * share)])
    refused(folder, "cannot be run by OpenVINO|no JSON")


def test_an_openvino_folder_with_edited_metadata(folder):
    file = folder / "spikeyolo.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "names": ["a", "b", "c"]}))
    refused(folder, "not of 3 classes")


def test_what_is_no_exported_network(folder, tmp_path):
    refused(tmp_path / "missing.onnx", "no such file")
    refused(tmp_path / "missing", "no such file or folder")
    refused(tmp_path, "no network of spikeyolo export")
    refused(folder / "network.xml", f"give the folder {folder}")
    (tmp_path / "folder.onnx").mkdir()
    refused(tmp_path / "folder.onnx", "it is a folder")
