from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.helpers.images import write_image

from spikeyolo.data.open import open_data
from spikeyolo.errors import ConfigError, DataError, SpikeYOLOError


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("[cat, dog]", ("cat", "dog")),
        ("{0: cat, 1: dog}", ("cat", "dog")),
        ("{1: dog, 0: cat}", ("cat", "dog")),
        ("{'0': cat, '1': dog}", ("cat", "dog")),
        ("[1, 2]", ("1", "2")),
    ],
)
def test_names_as_list_or_mapping(yolo_set: Path, names: str, expected: tuple[str, ...]) -> None:
    yolo_set.write_text(f"train: images/train\nnames: {names}\n")
    assert open_data(yolo_set).names == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("trian: images/train\nnames: [a]", ["trian", "did you mean 'train'"]),
        ("train: images/train\nnames: [a]\nqqq: 1", ["unknown key 'qqq'", "known are"]),
        ("train: images/nowhere\nnames: [a]", ["train", "no such folder"]),
        ("path: away\ntrain: images/train\nnames: [a]", ["path", "no such folder"]),
        ("train: images/train\nnames: [a, b, a]", ["'a' is named twice"]),
        ("train: images/train\nnames: {0: a, 1: a}", ["'a' is named twice"]),
        ("train: images/train\nnames: {0: a, 0: b}", ["given twice"]),
        ("train: images/train\nnames: {0: a, 2: b}", ["none for index 1"]),
        ("train: images/train\nnames: {a: 0, b: 1}", ["class indices"]),
        ("train: images/train\nnames: []", ["names"]),
        ("train: images/train\nnames: a", ["names"]),
        ("train: images/train\nnames: [a, null]", ["names"]),
        ("train: images/train", ["no 'names'"]),
        ("names: [a]", ["train:"]),
        ("train: 3\nnames: [a]", ["train", "expected a path"]),
        ("train: []\nnames: [a]", ["train", "empty list"]),
        ("train: images/train\nnc: 3\nnames: [a]", ["nc: 3 beside 1"]),
        ("train: [images/train\nnames: [a]", ["line"]),
        ("", ["no keys"]),
        ("train: images/train\ntrain_json: gone.json", ["train_json", "no such file"]),
        ("train: all.json\nnames: [a]", ["train_json"]),
    ],
)
def test_one_clear_line_for_each_mistake(yolo_set: Path, text: str, says: list[str]) -> None:
    yolo_set.write_text(text)
    with pytest.raises(SpikeYOLOError) as caught:
        open_data(yolo_set)
    message = str(caught.value)
    assert "\n" not in message
    assert str(yolo_set) in message
    assert all(part in message for part in says), message


def test_missing_file_and_missing_split(yolo_set: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        open_data(yolo_set.with_name("other.yaml"))
    with pytest.raises(ConfigError, match="no split 'test'"):
        open_data(yolo_set).scan("test")


def test_paths_start_at_the_folder_of_the_yaml(yolo_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deeper = yolo_set.parent / "configs" / "data.yaml"
    deeper.parent.mkdir()
    deeper.write_text("path: ..\ntrain: images/train\nnames: [cat, dog]\n")
    monkeypatch.chdir("/")
    assert len(open_data(deeper).split("train")) == 3


def test_folders_lists_and_several_of_them_join(yolo_set: Path) -> None:
    root = yolo_set.parent
    write_image(root / "images" / "more" / "deep" / "x.jpg")
    (root / "some.txt").write_text("./images/train/0.png\nimages/train/1.png\n\n")
    yolo_set.write_text("train: [some.txt, images/more]\nnames: [cat, dog]\n")
    index, report = open_data(yolo_set).scan("train")
    assert [Path(path).name for path in index.paths] == ["0.png", "1.png", "x.jpg"]
    assert report.counts == {"label file missing": 1}


def test_a_image_named_twice_is_used_once(yolo_set: Path) -> None:
    yolo_set.write_text("train: [images/train, images/train]\nnames: [cat, dog]\n")
    index, report = open_data(yolo_set).scan("train")
    assert len(index) == 3
    assert report.counts["image twice"] == 3


IMAGE = {"id": 70, "file_name": "a.png", "width": 60, "height": 40}


def coco_file(folder: Path, **changes: object) -> Path:
    write_image(folder / "val" / "a.png")
    write_image(folder / "val" / "b.png")
    content = {
        "images": [
            IMAGE,
            {"id": 5, "file_name": "b.png", "width": 60, "height": 40},
        ],
        "annotations": [
            {"id": 1, "image_id": 5, "category_id": 90, "bbox": [1, 2, 10, 20], "area": 150, "iscrowd": 0},
            {"id": 2, "image_id": 5, "category_id": 3, "bbox": [30, 2, 10, 20], "area": 200, "iscrowd": 1},
            {"id": 3, "image_id": 70, "category_id": 3, "bbox": [0, 0, 60, 40], "area": 2400, "iscrowd": 0},
        ],
        "categories": [{"id": 90, "name": "dog"}, {"id": 3, "name": "cat"}],
    } | changes
    file = folder / "instances_val.json"
    file.write_text(json.dumps(content))
    return file


def test_bare_coco_json_maps_its_own_ids(tmp_path: Path) -> None:
    data = open_data(coco_file(tmp_path))
    assert data.names == ("cat", "dog")
    index = data.split("val")
    assert index.image_ids == (70, 5)
    assert index.category_ids == (3, 90)
    boxes, labels = index.objects(1)
    assert boxes.tolist() == [[1, 2, 11, 22]]  # the crowd is not for training
    assert labels.tolist() == [1]
    truth = index.ground_truth()
    assert [a["iscrowd"] for a in truth["annotations"]] == [0, 1, 0]
    assert truth["annotations"][0]["area"] == 150


def test_coco_json_in_a_yaml_follows_the_order_of_its_names(tmp_path: Path) -> None:
    coco_file(tmp_path)
    file = tmp_path / "data.yaml"
    file.write_text("val: val\nval_json: instances_val.json\nnames: [dog, bird, cat]\n")
    index = open_data(file).split("val")
    assert index.category_ids == (90, -1, 3)
    assert index.objects(1)[1].tolist() == [0]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"annotations": [{"id": 1, "image_id": 5, "category_id": 4, "bbox": [1, 2, 3, 4]}]}, "category_id 4"),
        (
            {"annotations": [{"id": 9, "image_id": 6, "category_id": 3, "bbox": [1, 2, 3, 4]}]},
            "9: image_id 6",
        ),
        ({"annotations": [{"id": 9, "image_id": 5, "category_id": 3, "bbox": [1, 2, 3]}]}, "bbox"),
        ({"annotations": []}, "no boxes"),
        ({"images": [IMAGE, {"id": 5, "file_name": "b.png", "width": 40, "height": 60}]}, "says 40 x 60"),
        ({"images": [{"file_name": "b.png"}]}, "'id'"),
    ],
)
def test_broken_coco_json(tmp_path: Path, changes: dict[str, object], says: str) -> None:
    file = coco_file(tmp_path, **changes)
    with pytest.raises(DataError) as caught:
        open_data(file).split("val")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"images": []}, "empty"),
        ({"images": [{"id": 1, "file_name": "gone.png"}]}, "gone.png"),
        ({"categories": []}, "empty"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]}, "named twice"),
        ({"annotations": None}, "annotations"),
        ({"annotations": [3]}, "annotations"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}, "id is given twice"),
        ({"categories": [{"name": "a"}]}, "'id'"),
    ],
)
def test_coco_json_that_describes_nothing(tmp_path: Path, changes: dict[str, object], says: str) -> None:
    with pytest.raises(SpikeYOLOError, match=says):
        open_data(coco_file(tmp_path, **changes))


def test_the_shared_data_sets(shared_data: Path) -> None:
    tiny = open_data(shared_data / "coco_tiny/annotations/instances_val2017.json").split("val")
    assert (len(tiny), len(tiny.boxes), int(tiny.crowd.sum()), len(tiny.names)) == (50, 382, 5, 80)
    assert tiny.image_ids[0] == 397133
    assert tiny.category_ids[-1] == 90
    yolo = open_data(shared_data / "bccd/data.yaml").split("test")
    coco = open_data(shared_data / "bccd/annotations/test.json").split("test")
    assert len(yolo) == len(coco) == 72
    by_name = {Path(path).name: coco.objects(i) for i, path in enumerate(coco.paths)}
    for i, path in enumerate(yolo.paths):  # the same boxes by two ways: YOLO's decimals are rounded
        boxes, labels = by_name[Path(path).name]
        assert yolo.objects(i)[0] == pytest.approx(boxes, abs=1e-3)
        assert (yolo.objects(i)[1] == labels).all()
