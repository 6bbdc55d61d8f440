import errno
import json
import os

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import spikeyolo
from spikeyolo.errors import CheckpointError, ConfigError, WriteError
from spikeyolo.model import checkpoint


def model(**changes):
    torch.manual_seed(0)
    return spikeyolo.SpikeYOLO("t", num_classes=2, names=["cat", "dög"], **changes).eval()


@pytest.mark.few(3)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
@pytest.mark.parametrize(
    "form", [lambda m: m, lambda m: m.fold(), lambda m: m.fold(dense=True)], ids=["trainable", "separable", "dense"]
)
def test_save_and_load_are_the_identity(tmp_path, form, dtype):
    original = form(model(timesteps=2, max_count=8, decay=0.1)).to(dtype)
    original.save(tmp_path / "m.safetensors")
    loaded = spikeyolo.load(tmp_path / "m.safetensors")
    assert loaded.config == original.config
    assert loaded.names == ("cat", "dög")
    assert loaded.form == original.form
    assert not loaded.training
    found = loaded.state_dict()
    assert found.keys() == original.state_dict().keys()
    for key, value in original.state_dict().items():
        assert found[key].dtype == value.dtype
        assert torch.equal(found[key], value)
    if dtype != torch.float16:
        image = torch.rand(1, 3, 64, 64, dtype=dtype)
        with torch.no_grad():
            for ours, theirs in zip(loaded(image), original(image), strict=True):
                assert torch.equal(ours, theirs)


def test_loading_does_not_touch_the_random_numbers_of_the_user(tmp_path):
    model().save(tmp_path / "m.safetensors")
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    spikeyolo.load(tmp_path / "m.safetensors")
    assert torch.equal(torch.rand(1), expected)


def test_a_new_file_has_the_permissions_of_any_file(tmp_path):
    (tmp_path / "plain").touch()
    model().save(tmp_path / "m.safetensors")
    assert (tmp_path / "m.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("moment", ["write", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch, moment):
    path = tmp_path / "m.safetensors"
    model().save(path)
    before = path.read_bytes()

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    if moment == "write":
        monkeypatch.setattr(checkpoint.os, "fsync", full)
    else:
        monkeypatch.setattr(checkpoint.Path, "replace", full)
    with pytest.raises(WriteError, match=r"m\.safetensors: cannot be written \(No space left on device\)"):
        model(timesteps=3).save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["m.safetensors"]


def test_no_such_folder(tmp_path):
    with pytest.raises(WriteError, match="cannot be written"):
        model().save(tmp_path / "nowhere" / "m.safetensors")


def damaged(tmp_path, kind):
    path = tmp_path / f"{kind}.safetensors"
    good = model()
    tensors = {key: value.contiguous() for key, value in good.state_dict().items()}
    metadata = {
        "format": "spikeyolo",
        "version": "1",
        "config": json.dumps(good.config.to_dict()),
        "names": json.dumps(good.names),
        "form": "trainable",
    }
    first = next(iter(tensors))
    match kind:
        case "empty":
            path.write_bytes(b"")
            return path
        case "text":
            path.write_text("hello, this is not a model")
            return path
        case "cut":
            good.save(path)
            path.write_bytes(path.read_bytes()[:-100])
            return path
        case "foreign":
            metadata = {"format": "pt"}
        case "newer":
            metadata["version"] = "4"
        case "no config":
            del metadata["config"]
        case "bad config":
            metadata["config"] = json.dumps({**good.config.to_dict(), "colour": 1})
        case "bad names":
            metadata["names"] = json.dumps(["one"])
        case "bad form":
            metadata["form"] = "melted"
        case "missing":
            del tensors[first]
        case "extra":
            tensors["one.more"] = torch.zeros(1)
        case "shape":
            tensors[first] = torch.zeros(1, 2)
    save_file(tensors, path, metadata)
    return path


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("empty", "not a safetensors file"),
        ("text", "not a safetensors file"),
        ("cut", "not a safetensors file"),
        ("foreign", "not of spikeyolo"),
        ("newer", "format version 4, this spikeyolo reads up to 3"),
        ("no config", "config"),
        ("bad config", "colour: no such setting"),
        ("bad names", "1 class names"),
        ("bad form", "melted"),
        ("missing", r"missing 1: backbone\.stem\.conv\.weight$"),
        ("extra", r"left over 1: one\.more$"),
        ("shape", r"stem\.conv\.weight has shape \(1, 2\)"),
    ],
)
def test_files_that_do_not_load(tmp_path, kind, word):
    path = damaged(tmp_path, kind)
    with pytest.raises(CheckpointError, match=word) as caught:
        spikeyolo.load(path)
    assert str(caught.value).startswith(str(path))


def test_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        spikeyolo.load(tmp_path / "m.safetensors")


def test_predict_gives_boxes_in_pixels_of_each_image():
    network = model()
    tall, wide = np.full((90, 40, 3), 200, np.uint8), np.full((30, 120, 3), 50, np.uint8)
    found = network.predict([tall, wide], conf=0.0, imgsz=64, max_det=50)
    assert len(found) == 2
    for detections, (rows, columns) in zip(found, [(90, 40), (30, 120)], strict=True):
        assert len(detections) > 0
        assert detections.boxes.min() >= 0
        assert detections.boxes[:, 2].max() <= columns
        assert detections.boxes[:, 3].max() <= rows
    assert network.predict([], imgsz=64) == []
    (single,) = network.predict(tall, conf=0.0, imgsz=64, max_det=50)
    torch.testing.assert_close(single.boxes, found[0].boxes)  # neighbours in a batch do not matter


def test_predict_of_a_tensor_is_decode_and_nms_of_the_logits():
    from spikeyolo.detection.anchors import decode
    from spikeyolo.detection.nms import non_maximum_suppression
    from spikeyolo.structures import STRIDES

    network, image = model().train(), torch.rand(2, 3, 64, 64)
    found = network.predict(image, conf=1e-5, iou=0.5, max_det=7)
    assert network.training
    with torch.no_grad():
        expected = non_maximum_suppression(*decode(network.eval()(image), STRIDES), conf=1e-5, iou=0.5, max_det=7)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours.boxes, theirs.boxes)
        assert torch.equal(ours.labels, theirs.labels)


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_predict_refuses_other_arrays(image):
    from spikeyolo.errors import ShapeError

    with pytest.raises(ShapeError, match="uint8"):
        model().predict(image)


def test_a_folder_or_a_checkpoint_in_place_of_weights_names_the_file_to_give(tmp_path):
    run = tmp_path / "demo" / "run"
    run.mkdir(parents=True)
    (run / "last.ckpt").write_bytes(b"what Lightning writes")
    with pytest.raises(CheckpointError, match=r"run: is a folder without a .safetensors file in it"):
        spikeyolo.load(run)
    (run / "average.safetensors").touch()
    (run / "best.safetensors").touch()
    for folder in (run, run.parent):  # that of a run, and that of a demo around it
        with pytest.raises(CheckpointError, match=rf"{folder}: is a folder; give {run / 'best.safetensors'}$"):
            spikeyolo.load(folder)
    with pytest.raises(CheckpointError, match=rf"resumes from, not weights; give {run / 'best.safetensors'}$"):
        spikeyolo.load(run / "last.ckpt")


def test_a_device_that_is_not_there_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ConfigError, match=r"^device: no GPU 0 on this machine"):  # it was torch's AssertionError
        spikeyolo.load(tmp_path / "any.safetensors", device="cuda")
