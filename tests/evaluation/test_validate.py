from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from spikeyolo import Detections, SpikeYOLO
from spikeyolo.cli.main import main
from spikeyolo.data.images.description import read_description
from spikeyolo.data.images.scan import load_index
from spikeyolo.errors import ConfigError
from spikeyolo.evaluation.image_evaluator import Evaluation
from spikeyolo.evaluation.metrics import TWELVE
from spikeyolo.evaluation.validate import ValidationSettings, check_classes, read_split, trained_size, validate

SMALL = ValidationSettings(batch=3, imgsz=64, workers=0)


def perfect(index):
    """The labelled boxes themselves, as detections."""
    for image, image_id in enumerate(index.image_ids):
        boxes, labels = (torch.from_numpy(part) for part in index.objects(image))
        yield image_id, Detections(boxes, torch.ones(len(boxes)), labels)


def test_labelled_boxes_as_detections_have_ap_one_each_image_once(shapes):
    index = read_split(shapes, "val")
    evaluation = Evaluation.of(index)
    for image_id, found in perfect(index):
        evaluation.update([image_id], [found])
    metrics = evaluation.compute()
    assert (metrics.AP, metrics.images, metrics.boxes) == (pytest.approx(1.0), 4, len(index.labels))


def test_coco_file_keeps_its_own_ids_whatever_the_order_of_names(shapes, tmp_path):
    """The annotation file's categories stand in another order than the names of the data.yaml."""
    index = read_split(shapes, "val")
    truth = index.ground_truth()
    for image in truth["images"]:
        image["id"] += 100
    for row in truth["annotations"]:
        row["image_id"] += 100
        row["category_id"] = 50 - row["category_id"]
    for category in truth["categories"]:
        category["id"] = 50 - category["id"]
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    names = "\n".join(f"  - {name}" for name in index.names)
    (tmp_path / "data.yaml").write_text(
        f"path: {shapes.parent}\nval: images/val\nval_json: {tmp_path / 'truth.json'}\nnames:\n{names}\n"
    )
    mapped = load_index(read_description(tmp_path / "data.yaml"), "val", cache=False)
    evaluation = Evaluation.of(mapped)
    for image_id, found in perfect(mapped):
        evaluation.update([image_id], [found])
    assert pytest.approx(1.0) == evaluation.compute().AP
    results = evaluation.evaluator.results()
    assert {row["image_id"] for row in results} <= {101, 102, 103, 104}
    assert {row["category_id"] for row in results} <= {49, 48, 47, 46, 45, 44}


def test_validate_gives_numbers_and_speed_and_leaves_the_model(shapes):
    model = SpikeYOLO("t", names=read_split(shapes, "val").names, num_classes=len(read_split(shapes, "val").names))
    found = validate(model.train(), read_split(shapes, "val"), SMALL)
    content = found.to_json()
    assert set(TWELVE) <= content.keys()
    assert (content["images"], content["detections"] > 0) == (4, True)
    assert list(content["speed_ms"]) == ["load", "prepare", "network", "boxes"]
    assert all(value > 0 for value in content["speed_ms"].values())
    assert model.training


def test_batches_do_not_change_the_numbers(shapes):
    names = read_split(shapes, "val").names
    torch.manual_seed(0)
    model = SpikeYOLO("t", names=names, num_classes=len(names))
    one, four = (validate(model, read_split(shapes, "val"), replace(SMALL, batch=b)) for b in (1, 4))
    rows = [list(found.evaluation.evaluator.state().values()) for found in (one, four)]
    for a, b in zip(*rows, strict=True):
        np.testing.assert_allclose(a[:20], b[:20], atol=1e-3)


@pytest.mark.parametrize(
    ("model", "data", "said"),
    [(("a", "b"), ("a",), "1 classes, the model has 2"), (("a", "b"), ("b", "a"), "class 'b' stands where")],
)
def test_other_classes_are_refused(model, data, said):
    with pytest.raises(ConfigError, match=said):
        check_classes(model, data)
    check_classes(("class0", "class1"), ("x", "y"))  # a model that never had names


def test_commands_train_and_val(shapes, tmp_path, capsys):
    out = tmp_path / "run"
    small = ["--epochs", "1", "--batch", "4", "--imgsz", "64", "--workers", "0", "--device", "cpu"]
    assert main(["train", "--config", "small", "--model", "t", "--data", str(shapes), "--out", str(out), *small]) == 0
    assert {"precision_recall.png", "f1.png", "confusion.png"} <= {path.name for path in out.iterdir()}
    assert trained_size(out / "best.safetensors") == 64
    said = capsys.readouterr()
    assert "best weights" in said.out
    numbers = tmp_path / "numbers.json"
    command = ["val", "--weights", str(out / "best.safetensors"), "--data", str(shapes), "--workers", "0"]
    assert main([*command, "--device", "cpu", "--split", "train", "--json", str(numbers)]) == 0
    content = json.loads(numbers.read_text())
    assert {"AP", "AP50", "AP75", "images", "boxes"} <= content.keys()
    assert content["images"] == 10
    assert content["form"] == "separable"
    for switch, form, words in (
        ("--spike-driven", "spike-driven", "convolutions on zeros and ones alone"),
        ("--integer", "integer", "fraction bits"),
    ):
        assert main([*command, switch, "--json", str(numbers)]) == 0
        assert words in capsys.readouterr().out
        assert json.loads(numbers.read_text())["form"] == form
    assert main([*command, "--integer", "--spike-driven"]) == 1
    assert "name one" in capsys.readouterr().err
    assert main([*command, "--split", "test"]) == 1
    assert "no split 'test'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["train"], 1, "data: name a data.yaml"),
        (["train", "--data", "nowhere.yaml"], 1, "nowhere.yaml"),
        (["train", "--epoch", "3"], 2, "did you mean '--epochs'"),
        (["train", "--augmentation.mosaic", "3"], 1, "augmentation.mosaic: 3.0 is outside"),
        (["train", "--resume", "nowhere"], 1, "no folder of a run"),
        (["train", "--config", "tiny"], 2, "tiny"),
    ],
)
def test_mistakes_are_one_line(words, code, said, capsys):
    assert main(words) == code
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1
