"""Validation of a model on images and on recordings: numbers, modes, files."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.helpers.event_datasets import write_data_set
from tests.helpers.networks import lively

from spikeyolo import Detections, SpikeYOLO
from spikeyolo.cli.main import main
from spikeyolo.data.open import open_data
from spikeyolo.errors import ConfigError, DataError, WriteError
from spikeyolo.evaluation.evaluator import make_evaluator
from spikeyolo.evaluation.event_evaluator import EventEvaluator
from spikeyolo.evaluation.metrics import TWELVE
from spikeyolo.evaluation.validate import ValidationSettings, check_classes, validate
from spikeyolo.events import EventInput, open_recording
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.prediction.events import EventStream
from spikeyolo.structures import Placement

SMALL = ValidationSettings(batch=3, workers=0)
PREPARATION = EventInput("stacked_histogram", window_us=40_000)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    return write_data_set(tmp_path_factory.mktemp("recordings"), "protocol: gen1\n")


def model_of(names):
    torch.manual_seed(0)
    return SpikeYOLO("t", names=names, num_classes=len(names), input=ImageInput((64, 64)))


def event_model():
    torch.manual_seed(0)
    return SpikeYOLO(
        "t", names=("car", "person"), num_classes=2, input=PREPARATION, timesteps=2, in_channels=PREPARATION.channels
    )


def perfect(index):
    """The labelled boxes themselves, as detections, under the ids of a batch."""
    ids = getattr(index, "image_ids", range(len(index)))
    for number, image_id in enumerate(ids):
        boxes, labels = (torch.from_numpy(part) for part in index.objects(number))
        yield image_id, Detections(boxes, torch.ones(len(boxes)), labels)


def evaluated(index):
    evaluator = make_evaluator(index)
    for image_id, found in perfect(index):
        evaluator.update([image_id], [found])
    return evaluator


def test_labelled_boxes_as_detections_have_ap_one_each_image_once(shapes):
    index = open_data(shapes).split("val")
    metrics = evaluated(index).compute().metrics
    assert (metrics.AP, metrics.images, metrics.boxes) == (pytest.approx(1.0), 4, len(index.labels))


def test_labelled_boxes_as_detections_have_ap_one_by_both_rules_at_each_instant(recordings):
    index = open_data(recordings).split("train")
    evaluation = evaluated(replace(index, protocol="none")).compute()
    assert pytest.approx(1.0) == evaluation.metrics.AP == evaluation.both.plain_coco.AP
    assert evaluation.metrics.images == len(index)


@pytest.mark.parametrize("data", ["shapes", "recordings"])
def test_every_evaluator_forgets_refuses_gaps_and_keeps_what_it_gave(request, tmp_path, data):
    index = open_data(request.getfixturevalue(data)).split("train")
    evaluator = evaluated(index)
    first = evaluator.compute(curves=True)
    evaluator.gather()  # alone: nothing changes
    assert evaluator.compute().to_json() == {**first.to_json(), **evaluator.compute().to_json()}
    evaluator.reset()
    with pytest.raises(DataError, match=r"were (not )?evaluated"):
        evaluator.compute()
    assert {"AP", "AP50", "AP75", "images", "boxes"} <= first.to_json().keys()
    assert len(first.tables()) >= 1
    names = {path.name for path in first.write(tmp_path)}  # of the detections before the reset
    assert {"precision_recall.png", "f1.png"} <= names
    assert all((tmp_path / name).stat().st_size > 5000 for name in names)


def test_an_evaluation_without_curves_writes_no_curves(shapes, tmp_path):
    written = evaluated(open_data(shapes).split("val")).compute().write(tmp_path)
    assert [path.name for path in written] == ["confusion.png"]


def test_nothing_else_has_an_evaluator():
    with pytest.raises(TypeError, match="no evaluator for list"):
        make_evaluator([])


def test_coco_file_keeps_its_own_ids_whatever_the_order_of_names(shapes, tmp_path):
    """The annotation file's categories stand in another order than the names of the data.yaml."""
    index = open_data(shapes).split("val")
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
    evaluation = evaluated(open_data(tmp_path / "data.yaml").split("val")).compute()
    assert pytest.approx(1.0) == evaluation.metrics.AP
    evaluation.write(tmp_path)
    results = json.loads((tmp_path / "coco_results.json").read_text())
    assert {row["image_id"] for row in results} <= {101, 102, 103, 104}
    assert {row["category_id"] for row in results} <= {49, 48, 47, 46, 45, 44}


def test_validate_gives_numbers_and_speed(shapes):
    index = open_data(shapes).split("val")
    content = validate(model_of(index.names), index, SMALL).to_json()
    assert set(TWELVE) <= content.keys()
    assert (content["images"], content["detections"] > 0) == (4, True)
    assert (content["form"], content["precision"]) == ("trainable", "float32")
    assert content["engine"] == f"torch {torch.__version__}"
    assert list(content["speed_ms"]) == ["load", "prepare", "network", "boxes"]
    assert all(value > 0 for value in content["speed_ms"].values())


@pytest.mark.parametrize("breaks", [False, True])
def test_validate_leaves_every_part_in_its_mode_also_when_it_breaks(shapes, breaks):
    """A part that was frozen in eval mode stays so."""
    index = open_data(shapes).split("val")
    model = model_of(index.names).train()
    model.backbone.eval()
    before = [module.training for module in model.modules()]
    if breaks:
        model.head.register_forward_hook(lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            validate(model, index, SMALL)
    else:
        validate(model, index, SMALL)
    assert [module.training for module in model.modules()] == before
    assert len(set(before)) == 2


def test_the_size_is_the_models_unless_told(shapes):
    index = open_data(shapes).split("val")
    model, seen = model_of(index.names), []
    model.register_forward_pre_hook(lambda _, args: seen.append(tuple(args[0].shape[-2:])))
    validate(model, index, SMALL)
    validate(model, index, replace(SMALL, imgsz=96))
    assert set(seen[:2]) == {(64, 64)}
    assert set(seen[2:]) == {(96, 96)}


def test_the_headline_of_recordings_is_by_the_protocol_that_it_names(recordings, tmp_path):
    """All labels lie in the first half second: by Gen1's rule nothing counts."""
    found = validate(event_model(), open_data(recordings).split("test"), SMALL)
    found.write_json(tmp_path / "n.json")
    numbers = json.loads((tmp_path / "n.json").read_text())
    assert list(numbers) == [
        *("AP", "AP50", "AP75", "images", "boxes", "protocol", "prophesee", "plain_coco"),
        *("instants_without_output", "outputs_without_instant", "form", "precision", "engine", "speed_ms"),
    ]
    assert (numbers["protocol"], numbers["AP"], numbers["images"], numbers["boxes"]) == ("gen1", None, 0, 0)
    assert numbers["plain_coco"]["boxes"] == 3
    assert numbers["prophesee"]["protocol"]["skip_us"] == 500_000
    assert len(found.tables()) == 3  # both rules, and the speed


@pytest.mark.parametrize(
    ("model", "data", "settings", "said"),
    [
        ("images", "recordings", {}, "the model sees images, the data are recordings"),
        ("events", "shapes", {}, "the model sees recordings, the data are images"),
        ("events", "recordings", {"imgsz": 64}, "imgsz"),
        ("images", "shapes", {"preparation": "counts"}, "T, C = 2, 2; the network takes"),
    ],
)
def test_data_and_settings_of_another_kind_are_refused(request, model, data, settings, said):
    index = open_data(request.getfixturevalue(data)).split("val")
    network = model_of(index.names) if model == "images" else event_model()
    network.names = index.names
    with pytest.raises(ConfigError, match=said):
        validate(network, index, replace(SMALL, **settings))


def test_a_folder_that_cannot_be_written_is_named(shapes, tmp_path):
    index = open_data(shapes).split("val")
    found = validate(model_of(index.names), index, SMALL)
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="file"):
        found.write(tmp_path / "file")
    with pytest.raises(WriteError, match=r"n\.json"):
        found.write_json(tmp_path / "nowhere" / "n.json")


@pytest.mark.parametrize("setting", ["batch", "workers"])
def test_invalid_settings(setting):
    with pytest.raises(ConfigError, match=f"{setting}: -1 is below"):
        ValidationSettings(**{setting: -1})


@pytest.mark.parametrize(("length", "batch"), [(5, 1), (10, 3)])
def test_a_followed_recording_has_the_boxes_that_a_stream_has_there(recordings, monkeypatch, length, batch):
    """Labels lie at 0.1 and 0.2 s, ends of timesteps of 20 ms, so that both begin with the first event's."""
    index = open_data(recordings).split("train", progress=False)
    model = lively("t", num_classes=2, in_channels=PREPARATION.channels, timesteps=2, input=PREPARATION)
    found, update = {}, EventEvaluator.update

    def watching(self, image_ids, detections):
        found.update(zip(image_ids, detections, strict=True))
        update(self, image_ids, detections)

    monkeypatch.setattr(EventEvaluator, "update", watching)
    validate(model, index, replace(SMALL, sequence=length, batch=batch))
    assert sorted(found) == [0, 1, 2, 3]
    for number, path in enumerate(index.recordings):
        before = None
        for step in EventStream(model, open_recording(path), PREPARATION, carry=True):
            for instant in np.flatnonzero((index.recording == number) & (index.t_us == step.end_us)):
                mean = [(old + new) / 2 for old, new in zip(before, step.logits, strict=True)]
                (expected,) = model.detect(mean, SMALL.thresholds, [Placement((64, 96), (1.0, 1.0))], multi_label=True)
                mine = found.pop(int(instant))
                assert len(mine) == len(expected) > 10
                torch.testing.assert_close(mine.boxes, expected.boxes)
                torch.testing.assert_close(mine.scores, expected.scores)
            before = step.logits
    assert not found


def test_only_recordings_can_be_followed_and_only_by_networks_that_carry(shapes, recordings):
    index = open_data(shapes).split("val")
    with pytest.raises(ConfigError, match="sequence: for recordings of event cameras; the data are images"):
        validate(model_of(index.names), index, replace(SMALL, sequence=4))
    with pytest.raises(ConfigError, match="sequence: 0 is below 1"):
        replace(SMALL, sequence=0)


def test_batches_do_not_change_the_numbers(shapes):
    index = open_data(shapes).split("val")
    model = model_of(index.names)
    one, four = (validate(model, index, replace(SMALL, batch=b)) for b in (1, 4))
    rows = [list(found.evaluation.detections.state().values()) for found in (one, four)]
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
    said = capsys.readouterr()
    assert "best weights" in said.out
    assert f"hardly anything is learned yet; spikeyolo train --resume {out} --epochs N" in " ".join(said.out.split())
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
        assert main([*command, switch, "--json", str(numbers), "--overwrite"]) == 0
        assert words in capsys.readouterr().out
        unary = json.loads(numbers.read_text())
        assert (unary["form"], unary["slot_code"]) == (form, "unary")
        assert main([*command, switch, "--slot-code", "binary", "--json", str(numbers), "--overwrite"]) == 0
        assert ("264 slots" if form == "spike-driven" else "binary slots") in capsys.readouterr().out
        binary = json.loads(numbers.read_text())
        assert binary["slot_code"] == "binary"
        assert {**binary, "slot_code": "unary", "speed_ms": unary["speed_ms"]} == unary
    assert main([*command, "--integer", "--spike-driven"]) == 1
    assert "name one" in capsys.readouterr().err
    assert main([*command, "--slot-code", "binary"]) == 1
    assert "slot_code: the trainable form has no slots; the spike-driven" in capsys.readouterr().err
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
        (["train", "--config", "tiny"], 2, "no file 'tiny', and no such recipe"),
    ],
)
def test_mistakes_are_one_line(words, code, said, capsys):
    assert main(words) == code
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1
