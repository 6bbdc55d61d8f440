"""PASCAL VOC's own layout."""

import numpy as np
import pytest

from spikeyolo.data.open import open_data
from spikeyolo.errors import ConfigError, DataError
from spikeyolo.imaging.io import write_rgb

XML = """<annotation><size><width>60</width><height>40</height></size>{objects}</annotation>"""
OBJECT = (
    "<object><name>{name}</name><difficult>{difficult}</difficult>"
    "<bndbox><xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax><ymax>{3}</ymax></bndbox>"
    "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part></object>"
)


def an_object(name, *corners, difficult=0):
    return OBJECT.format(*corners, name=name, difficult=difficult)


@pytest.fixture
def devkit(tmp_path):
    folder = tmp_path / "VOC2007"
    for part in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / part).mkdir(parents=True)
    for number in (1, 2, 3):
        write_rgb(folder / f"JPEGImages/00000{number}.jpg", np.full((40, 60, 3), 50 * number, np.uint8))
    annotate(folder, 1, an_object("dog", 1, 1, 10, 20) + an_object("cat", 11, 5, 60, 40, difficult=1))
    annotate(folder, 2, "")
    annotate(folder, 3, an_object("dog", 21, 21, 30, 30))
    (folder / "ImageSets/Main/train.txt").write_text("000001\n000002\n")
    (folder / "ImageSets/Main/dog_val.txt").write_text("000003  1\n")
    data = tmp_path / "data.yaml"
    lists = "train: VOC2007/ImageSets/Main/train.txt\nval: [VOC2007/ImageSets/Main/dog_val.txt]\n"
    data.write_text(f"format: voc\n{lists}names: [cat, dog]\n")
    return folder


def annotate(folder, number, objects):
    (folder / f"Annotations/00000{number}.xml").write_text(XML.format(objects=objects))


def data_of(devkit):
    return open_data(devkit.parent / "data.yaml")


def test_boxes_begin_at_pixel_one_and_hold_their_last(devkit):
    index = data_of(devkit).split("train")
    assert [path[-10:] for path in index.paths] == ["000001.jpg", "000002.jpg"]
    assert index.starts.tolist() == [0, 2, 2]
    assert index.boxes.tolist() == [[0, 0, 10, 20], [10, 4, 60, 40]]
    assert index.labels.tolist() == [1, 0]
    assert index.crowd.tolist() == [False, True]  # difficult: neither learnt from nor counted
    assert data_of(devkit).split("val").objects(0)[0].tolist() == [[20, 20, 30, 30]]


@pytest.mark.parametrize(
    ("objects", "kind"),
    [
        (an_object("bird", 1, 1, 5, 5), "unknown category"),
        (an_object("dog", "one", 1, 5, 5), "malformed annotation"),
        (an_object("dog", "nan", 1, 5, 5), "malformed annotation"),
        (an_object("dog", 1, 1, 1e30, 5), "malformed annotation"),
        (an_object("dog", 9, 1, 5, 5), "zero size"),
        (an_object("dog", 1, 1, 80, 5), "outside the image"),
    ],
)
def test_what_is_wrong_is_found(devkit, objects, kind):
    annotate(devkit, 1, objects)
    _, report = data_of(devkit).scan("train")
    assert report.counts[kind] == 1


def test_a_changed_annotation_is_read_again(devkit):
    assert data_of(devkit).split("train").labels.tolist() == [1, 0]
    annotate(devkit, 1, an_object("cat", 1, 1, 10, 20))
    assert data_of(devkit).split("train").labels.tolist() == [0]


@pytest.mark.parametrize("text", ["<annotation>", "", '<!DOCTYPE a [<!ENTITY b "bb">]><annotation/>'])
def test_broken_xml_is_one_line(devkit, text):
    (devkit / "Annotations/000001.xml").write_text(text)
    with pytest.raises(DataError, match=r"000001\.xml: (cannot be read as PASCAL VOC's XML|declares entities)"):
        data_of(devkit).split("train")


def test_lists_that_are_none(devkit):
    (devkit / "ImageSets/Main/train.txt").write_text("../../../etc/passwd\n")
    with pytest.raises(DataError, match=r"line 1: '../../../etc/passwd' is not the name of an image"):
        data_of(devkit).split("train")
    (devkit.parent / "data.yaml").write_text("format: voc\ntrain: VOC2007/JPEGImages\nnames: [cat, dog]\n")
    with pytest.raises(ConfigError, match=r"is no list of names, such as ImageSets/Main/train\.txt"):
        data_of(devkit)
    (devkit.parent / "list.txt").write_text("000001\n")
    (devkit.parent / "data.yaml").write_text("format: voc\ntrain: list.txt\nnames: [cat, dog]\n")
    with pytest.raises(DataError, match="lies in no folder ImageSets"):
        data_of(devkit).split("train")
