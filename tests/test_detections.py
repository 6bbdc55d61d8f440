import json
import pickle
import sys
from collections.abc import Iterable
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from tests.helpers.networks import lively

from spikeyolo import Detections
from spikeyolo.errors import MissingPackage, ShapeError
from spikeyolo.imaging.draw import draw_boxes
from spikeyolo.imaging.io import read_rgb, write_rgb

NAMES = ("cat", "dog", "owl")
BOXES = [[10.0, 20.0, 40.0, 60.0], [5.5, 6.25, 30.0, 31.0], [70.0, 70.0, 90.0, 95.0]]
IMAGE = np.arange(100 * 120 * 3, dtype=np.uint32).reshape(100, 120, 3).astype(np.uint8)


def found(names: Iterable[str] | None = NAMES) -> Detections:
    three = Detections(torch.tensor(BOXES), torch.tensor([0.9, 0.8, 0.25]), torch.tensor([2, 0, 2]))
    return three if names is None else three.with_names(list(names))


def nothing() -> Detections:
    return Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64), NAMES)


@pytest.mark.parametrize(
    ("which", "kept"),
    [
        (0, [0]),
        (-1, [2]),
        (slice(1, None), [1, 2]),
        (slice(None, None, 2), [0, 2]),
        ([True, False, True], [0, 2]),
        (np.array([False, True, False]), [1]),
        (torch.tensor([2, 0]), [2, 0]),
        (np.array([1]), [1]),
        ([], []),
        (torch.zeros(3, dtype=torch.bool), []),
        (torch.tensor([0.9, 0.8, 0.25]) > 0.5, [0, 1]),
    ],
)
def test_some_of_them(which, kept):
    some = found()[which]
    assert isinstance(some, Detections)
    assert some.boxes.tolist() == [BOXES[i] for i in kept]
    assert some.labels.tolist() == [[2, 0, 2][i] for i in kept]
    torch.testing.assert_close(some.scores, torch.tensor([0.9, 0.8, 0.25])[kept])
    assert some.names == NAMES


@pytest.mark.parametrize("which", [3, -4, [True, False], 1.5, torch.zeros(3), torch.zeros(1, 1, dtype=torch.int64)])
def test_none_such(which):
    with pytest.raises(IndexError):
        found()[which]


def test_one_after_the_other():
    assert [one.class_names for one in found()] == [["owl"], ["cat"], ["owl"]]
    assert [one == found()[i] for i, one in enumerate(found())] == [True] * 3
    assert list(nothing()) == []


def test_equal_when_boxes_scores_and_labels_are():
    assert found() == found()
    assert found() == found(names=None)
    assert found() != found()[:2]
    assert found() != Detections(found().boxes, found().scores, torch.tensor([2, 0, 1]))
    assert found() != "found"


def test_a_pickle_keeps_everything_and_an_older_one_has_no_names():
    again = pickle.loads(pickle.dumps(found()))
    assert again == found()
    assert again.names == NAMES
    older = object.__new__(Detections)
    older.__dict__.update(boxes=found().boxes, scores=found().scores, labels=found().labels)
    assert pickle.loads(pickle.dumps(older)).class_names == ["class2", "class0", "class2"]


def test_what_is_shown_of_them():
    assert repr(found()) == "Detections(3: 2 owl, 1 cat; best score 0.90)"
    assert repr(found(names=None)) == "Detections(3: 2 class2, 1 class0; best score 0.90)"
    assert repr(nothing()) == "Detections(0: nothing found)"
    assert found().with_names(["a\nb", "b", "c"]).class_names[1] == "a\\nb"


def test_plain_values():
    entries = [
        {"box": [10.0, 20.0, 40.0, 60.0], "score": 0.9, "label": 2, "name": "owl"},
        {"box": [5.5, 6.25, 30.0, 31.0], "score": 0.8, "label": 0, "name": "cat"},
        {"box": [70.0, 70.0, 90.0, 95.0], "score": 0.25, "label": 2, "name": "owl"},
    ]
    assert found().to_dict() == {"detections": entries}
    assert json.loads(found().to_json()) == {"detections": entries}
    assert nothing().to_dict() == {"detections": []}


def test_a_table_of_them(monkeypatch):
    fake = ModuleType("pandas")
    fake.DataFrame = lambda columns: columns
    monkeypatch.setitem(sys.modules, "pandas", fake)
    table = found().to_dataframe()
    assert list(table) == ["x1", "y1", "x2", "y2", "score", "label", "name"]
    assert table["y2"].tolist() == [60.0, 31.0, 95.0]
    assert table["name"] == ["owl", "cat", "owl"]
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingPackage, match=r"spikeyolo\[notebook\]"):
        found().to_dataframe()


def test_a_table_by_pandas_itself():
    pytest.importorskip("pandas")
    table = found().to_dataframe()
    assert table.groupby("name").size().to_dict() == {"owl": 2, "cat": 1}
    assert len(nothing().to_dataframe()) == 0


def test_as_those_of_supervision(monkeypatch):
    """By the fields that its documentation gives the constructor."""
    fake = ModuleType("supervision")
    fake.Detections = SimpleNamespace
    monkeypatch.setitem(sys.modules, "supervision", fake)
    theirs = found().to_supervision()
    assert set(vars(theirs)) == {"xyxy", "confidence", "class_id", "data"}
    assert theirs.xyxy.dtype == np.float32
    assert theirs.xyxy.tolist() == BOXES
    assert theirs.confidence.tolist() == pytest.approx([0.9, 0.8, 0.25])
    assert theirs.class_id.tolist() == [2, 0, 2]
    assert theirs.data["class_name"].tolist() == ["owl", "cat", "owl"]
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingPackage, match=r"spikeyolo\[track\]"):
        found().to_supervision()


def test_supervision_itself_takes_them():
    pytest.importorskip("supervision")
    theirs = found().to_supervision()
    assert theirs[theirs.class_id == 2].data["class_name"].tolist() == ["owl", "owl"]
    assert len(nothing().to_supervision()) == 0


def test_drawn_with_names_and_scores():
    expected = draw_boxes(IMAGE, BOXES, [2, 0, 2], NAMES, scores=[0.9, 0.8, 0.25])
    np.testing.assert_array_equal(found().plot(IMAGE), expected)
    np.testing.assert_array_equal(nothing().plot(IMAGE), IMAGE)
    unnamed = draw_boxes(IMAGE, BOXES, [2, 0, 2], ("class0", "class1", "class2"), scores=[0.9, 0.8, 0.25])
    np.testing.assert_array_equal(found(names=None).plot(IMAGE), unnamed)


def test_drawn_on_whatever_the_image_comes_as(tmp_path):
    expected = found().plot(IMAGE)
    write_rgb(tmp_path / "a.png", IMAGE)
    tensor = torch.from_numpy(IMAGE).permute(2, 0, 1)
    for image in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(IMAGE), tensor, tensor / 255):
        np.testing.assert_array_equal(found().plot(image), expected)
    found().save(tmp_path / "drawn.png", Image.fromarray(IMAGE))
    np.testing.assert_array_equal(read_rgb(tmp_path / "drawn.png"), expected)
    for image in (IMAGE[..., 0], IMAGE / 255, tensor[:2], tensor.float(), tensor[None], 7, None):
        with pytest.raises(ShapeError, match="images: expected"):
            found().plot(image)


def test_crops_have_every_pixel_that_a_box_touches():
    crops = found().crop(IMAGE)
    for crop, (x1, y1, x2, y2) in zip(crops, [(10, 20, 40, 60), (5, 6, 30, 31), (70, 70, 90, 95)], strict=True):
        np.testing.assert_array_equal(crop, IMAGE[y1:y2, x1:x2])
    beyond = torch.tensor([[-5.0, 90.0, 10.0, 140.0], [200.0, 10.0, 240.0, 20.0]])
    crops = Detections(beyond, torch.ones(2), torch.zeros(2, dtype=torch.int64)).crop(IMAGE)
    np.testing.assert_array_equal(crops[0], IMAGE[90:, :10])
    assert crops[1].size == 0


def test_a_model_puts_its_names_on_board():
    model = lively(names=NAMES, max_count=4)
    (one,) = model.predict(IMAGE, conf=0.0, max_det=3, imgsz=64)
    assert one.names == NAMES
    assert len(one) == 3
    assert set(one.class_names) <= set(NAMES)
