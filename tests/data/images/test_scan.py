from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.helpers.images import write_image
from tests.helpers.index_caches import kept_index

from spikeyolo.data.images.index import ImageIndex, to_cache
from spikeyolo.data.images.labels import parse_yolo
from spikeyolo.data.images.scan import label_file
from spikeyolo.data.images.scan_report import Finding, ScanReport
from spikeyolo.data.open import open_data
from spikeyolo.errors import DataError


@pytest.mark.parametrize(
    ("row", "kind", "boxes"),
    [
        ("0 0.5 0.5 0.5 0.5", None, [[15, 10, 45, 30]]),
        ("1.0 0.5 0.5 0.5 0.5", None, [[15, 10, 45, 30]]),
        ("2 0.5 0.5 0.5 0.5", "class out of range", []),
        ("-1 0.5 0.5 0.5 0.5", "class out of range", []),
        ("0.5 0.5 0.5 0.5 0.5", "class out of range", []),
        ("nan 0.5 0.5 0.5 0.5", "class out of range", []),
        ("0 0.5 0.5 0.5", "malformed row", []),
        ("0 0.5 0.5 0.5 0.5 0.9", "malformed row", []),
        ("cat 0.5 0.5 0.5 0.5", "malformed row", []),
        ("0 nan 0.5 0.5 0.5", "not finite", []),
        ("0 0.5 0.5 inf 0.5", "not finite", []),
        ("0 0.9 0.5 0.4 0.5", "outside the image", [[42, 10, 60, 30]]),
        ("0 1.5 0.5 0.4 0.5", "outside the image", []),
        ("0 0.75 0.5 0.5004 0.5", None, [[29.988, 10, 60, 30]]),  # rounded decimals: clipped unnoticed
        ("0 0.5 0.5 0 0.5", "zero size", []),
        ("0 0.5 0.5 -0.5 0.5", "zero size", []),
        ("0 0.5 0.5 0.5 0.5\n0 0.5 0.5 0.5 0.5", "duplicate", [[15, 10, 45, 30]]),
        ("0 0.5 0.5 0.5 0.5\n1 0.5 0.5 0.5 0.5", None, [[15, 10, 45, 30], [15, 10, 45, 30]]),
        ("0 0.1 0.2 0.5 0.1 0.3 0.9", "polygon", [[6, 4, 30, 36]]),
    ],
)
def test_each_kind_of_row(row: str, kind: str | None, boxes: list[list[float]]) -> None:
    objects, findings = parse_yolo(row, "labels/x.txt", ("a", "b"), (40, 60))
    assert [finding.kind for finding in findings] == ([kind] if kind else [])
    assert objects.boxes == pytest.approx(np.array(boxes).reshape(-1, 4))
    assert len(objects.labels) == len(objects.crowd) == len(boxes)
    assert all("labels/x.txt: line" in str(finding) for finding in findings)


def test_errors_name_file_line_and_mend(yolo_set: Path) -> None:
    bad = yolo_set.parent / "labels/train/1.txt"
    bad.write_text("0 0.5 0.5 0.1 0.1\n7 0.5 0.5 0.1 0.1\n")
    with pytest.raises(DataError) as caught:
        open_data(yolo_set).split("train")
    for part in (str(bad), "line 2", "class 7 of 0..1", "correct the label", "1 x class out of range"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_strict_refuses_what_else_is_repaired(yolo_set: Path) -> None:
    data = open_data(yolo_set)
    assert len(data.split("train", strict=True)) == 3  # an empty label file is fine
    (yolo_set.parent / "labels/train/2.txt").unlink()
    assert len(data.split("train")) == 3
    with pytest.raises(DataError, match="label file missing"):
        data.split("train", strict=True)


def test_no_images_and_no_boxes(yolo_set: Path) -> None:
    data = open_data(yolo_set)
    for label in (yolo_set.parent / "labels/train").iterdir():
        label.unlink()
    with pytest.raises(DataError, match=r"no boxes on 3 images.*labels/train/0.txt"):
        data.split("train")
    for image in (yolo_set.parent / "images/train").iterdir():
        image.unlink()
    with pytest.raises(DataError, match="no images in"):
        data.split("train")


def encoded(mode: str, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    gradient = np.tile(np.arange(60, dtype=np.uint8) * 4, (40, 1))
    image = Image.fromarray(gradient)
    image = Image.fromarray(gradient.astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
    image.save(stream, kind, **options)
    return stream.getvalue()


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


@pytest.mark.parametrize(
    ("name", "content", "kinds"),
    [
        ("a.jpg", encoded("RGB", "JPEG"), []),
        ("a.png", encoded("RGB", "PNG"), []),
        ("a.webp", encoded("RGB", "WEBP"), []),
        ("a.jpg", encoded("L", "JPEG"), ["grey"]),
        ("a.jpg", encoded("CMYK", "JPEG"), ["CMYK"]),
        ("a.png", encoded("I;16", "PNG"), ["16-bit"]),
        ("a.tif", encoded("I;16", "TIFF"), ["16-bit"]),
        ("a.png", encoded("RGBA", "PNG"), ["transparency"]),
        ("a.png", encoded("LA", "PNG"), ["grey", "transparency"]),
        ("a.jpg", encoded("RGB", "JPEG", exif=turned()), ["EXIF-rotated"]),
        ("a.jpg", encoded("RGB", "JPEG")[:-200], ["image unreadable"]),
        ("a.jpg", encoded("RGB", "JPEG")[:-2], ["image unreadable"]),
        ("a.png", encoded("RGB", "PNG")[:-20], ["image unreadable"]),
        ("a.webp", encoded("RGB", "WEBP")[:-20], ["image unreadable"]),
        ("a.jpg", b"", ["image unreadable"]),
        ("a.jpg", b"no image at all", ["image unreadable"]),
    ],
)
def test_each_kind_of_image(yolo_set: Path, name: str, content: bytes, kinds: list[str]) -> None:
    odd = yolo_set.parent / "images/train" / name
    odd.write_bytes(content)
    Path(label_file(str(odd))).write_text("0 0.5 0.5 0.5 0.5\n")
    index, report = open_data(yolo_set).scan("train")
    assert {kind: n for kind, n in report.counts.items() if kind != "no objects"} == dict.fromkeys(kinds, 1)
    readable = "image unreadable" not in kinds
    assert (str(odd) in index.paths) == readable
    if readable:
        place = index.paths.index(str(odd))
        upright = (60, 40) if "EXIF-rotated" in kinds else (40, 60)
        assert tuple(index.sizes_hw[place]) == upright
        assert index.objects(place)[0].tolist() == [
            [upright[1] / 4, upright[0] / 4, upright[1] * 0.75, upright[0] * 0.75]
        ]


def test_a_missing_image_of_a_list_is_counted_and_left_out(yolo_set: Path) -> None:
    (yolo_set.parent / "list.txt").write_text("images/train/0.png\nimages/train/gone.png\n")
    yolo_set.write_text("train: list.txt\nnames: [cat, dog]\n")
    index, report = open_data(yolo_set).scan("train")
    assert len(index) == 1
    assert "gone.png" in str(report.examples["image missing"][0])


def same(one: ImageIndex, other: ImageIndex) -> bool:
    fields = ("names", "paths", "image_ids", "category_ids", "annotation_file")
    arrays = ("sizes_hw", "starts", "boxes", "labels", "crowd")
    return all(getattr(one, f) == getattr(other, f) for f in fields) and all(
        np.array_equal(getattr(one, a), getattr(other, a)) for a in arrays
    )


def test_the_cache_gives_back_what_was_found(yolo_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = open_data(yolo_set)
    (yolo_set.parent / "labels/train/2.txt").unlink()
    index, report = data.scan("train")
    assert kept_index(yolo_set).is_relative_to(yolo_set.parent)
    monkeypatch.setattr("spikeyolo.data.images.scan.inspect_image", lambda _: pytest.fail("scanned again"))
    again, report_again = data.scan("train")
    assert same(index, again)
    assert report_again == report
    with pytest.raises(DataError):
        data.split("train", strict=True)  # the findings are kept too


def test_the_cache_of_an_earlier_version_is_made_anew(yolo_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It called the images of the report pictures; reading it as ours ended in a traceback."""
    data = open_data(yolo_set)

    def old(index: ImageIndex, report: ScanReport) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        arrays, meta = to_cache(index, report)
        meta["report"]["pictures"] = meta["report"].pop("images")
        return arrays, meta

    with monkeypatch.context() as earlier:
        earlier.setattr("spikeyolo.data.images.scan.SCAN_VERSION", 1)
        earlier.setattr("spikeyolo.data.images.scan.to_cache", old)
        index, report = data.scan("train")
    again, report_again = data.scan("train")
    assert same(index, again)
    assert report_again == report


@pytest.mark.parametrize("count", [30, pytest.param(100_000, marks=pytest.mark.long)])
def test_the_cache_is_opened_without_a_look_into_the_files(tmp_path: Path, count: int) -> None:
    """What lies in them is spoilt while size and time of change stay: a second scan would find no image at all."""
    first = [write_image(tmp_path / f"{number}.png", value=100 + number) for number in range(10)]
    label = tmp_path / "label.txt"
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for number in range(count):
        (tmp_path / f"images/{number:06}.png").hardlink_to(first[number % 10])
        if number % 1000 == 0:  # files have a limit of names, some 65 000
            label = tmp_path / f"label{number}.txt"
            label.write_text("1 0.5 0.5 0.5 0.5\n")
        (tmp_path / f"labels/{number:06}.txt").hardlink_to(label)
    (tmp_path / "data.yaml").write_text("train: images\nnames: [cat, dog]\n")
    index, report = open_data(tmp_path / "data.yaml").scan("train")
    for file in (*first, *tmp_path.glob("label*.txt")):
        status = file.stat()
        file.write_bytes(bytes(status.st_size))
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    again, report_again = open_data(tmp_path / "data.yaml").scan("train")
    assert same(index, again)
    assert report_again == report
    assert len(again) == count
    np.testing.assert_array_equal(again.boxes, np.tile([15.0, 10.0, 45.0, 30.0], (count, 1)))


def change_label(root: Path) -> None:
    (root / "labels/train/0.txt").write_text("1 0.5 0.5 0.25 0.25\n")


def touch_label(root: Path) -> None:
    label = root / "labels/train/0.txt"
    label.write_text("1 0.5 0.5 0.5 0.5\n")  # the same size: only the time tells
    os.utime(label, ns=(1, 1))


def change_image(root: Path) -> None:
    write_image(root / "images/train/0.png", rows=50)


def add_image(root: Path) -> None:
    write_image(root / "images/train/new.png")


def remove_image(root: Path) -> None:
    (root / "images/train/1.png").unlink()


def remove_label(root: Path) -> None:
    (root / "labels/train/0.txt").unlink()


def rename_class(root: Path) -> None:
    (root / "data.yaml").write_text("train: images/train\nnames: [cat, cow]\n")


CHANGES = [change_label, touch_label, change_image, add_image, remove_image, remove_label, rename_class]


@pytest.mark.parametrize("change", CHANGES)
def test_the_cache_notices_changes(yolo_set: Path, change) -> None:
    before, _ = open_data(yolo_set).scan("train")
    change(yolo_set.parent)
    after, _ = open_data(yolo_set).scan("train")
    fresh, _ = open_data(yolo_set).scan("train", cache=False)
    assert not same(before, after)
    assert same(after, fresh)


def test_a_damaged_cache_is_made_anew(yolo_set: Path) -> None:
    data = open_data(yolo_set)
    index, _ = data.scan("train")
    kept = kept_index(yolo_set)
    kept.write_bytes(kept.read_bytes()[:100])
    assert same(data.scan("train")[0], index)
    assert [p.name for p in kept.parent.iterdir()] == [kept.name]


def test_a_full_disk_costs_only_the_cache(yolo_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(stream: io.BufferedWriter, **_: object) -> None:
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    data = open_data(yolo_set)
    assert len(data.scan("train")[0]) == 3
    assert kept_index(yolo_set) is None
    assert list((yolo_set.parent / ".spikeyolo_cache").iterdir()) == []


def test_a_locked_folder_sends_the_cache_to_the_user(yolo_set: Path) -> None:
    data = open_data(yolo_set)
    yolo_set.parent.chmod(0o555)
    try:
        data.scan("train")
        assert sorted(p.name for p in yolo_set.parent.iterdir()) == ["data.yaml", "images", "labels"]
        assert kept_index(yolo_set).is_relative_to(os.environ["XDG_CACHE_HOME"])
    finally:
        yolo_set.parent.chmod(0o755)


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("set/images/train/a.jpg", "set/labels/train/a.txt"),
        ("images/set/images/a.b.png", "images/set/labels/a.b.txt"),
        ("train/images/a.jpg", "train/labels/a.txt"),
        ("plain/a.jpg", "plain/a.txt"),
        ("plain/images", "plain/images.txt"),
    ],
)
def test_where_labels_are(image: str, label: str) -> None:
    assert Path(label_file(image)) == Path(label)


NAMES = st.sampled_from(["images", "labels", "a", "images.b", "a.b.jpg", ".images", "images.png", "b.JPG"])


@given(st.lists(NAMES, min_size=1, max_size=5), st.booleans())
def test_where_labels_are_by_definition(names: list[str], from_root: bool) -> None:
    parts = [*names[:-1], Path(names[-1]).with_suffix(".txt").name]
    folders = [place for place, name in enumerate(names[:-1]) if name == "images"]
    if folders:
        parts[folders[-1]] = "labels"
    root = [os.sep] if from_root else []
    assert label_file(os.path.join(*root, *names)) == os.path.join(*root, *parts)


def test_ground_truth_of_yolo_labels(yolo_set: Path) -> None:
    truth = open_data(yolo_set).split("train").ground_truth()
    assert [image["id"] for image in truth["images"]] == [1, 2, 3]
    assert [a["id"] for a in truth["annotations"]] == [1, 2, 3]
    assert truth["annotations"][0] == {
        "id": 1, "image_id": 1, "category_id": 1, "bbox": [15, 10, 30, 20], "area": 600, "iscrowd": 0,
    }  # fmt: skip
    assert [a["category_id"] for a in truth["annotations"]] == [1, 2, 1]
    assert truth["categories"] == [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]


def test_the_report_prints_counts_and_one_example(yolo_set: Path) -> None:
    from rich.console import Console

    report = ScanReport("here, train", images=5, boxes=7)
    report.add(Finding("duplicate", f"labels/{i}.txt", "line 1: the same box again") for i in range(30))
    assert report.counts["duplicate"] == 30
    assert len(report.examples["duplicate"]) == 20
    console = Console(width=200, file=io.StringIO())
    console.print(report.table())
    text = console.file.getvalue()
    for part in ("5 images", "7 boxes", "duplicate", "30", "labels/0.txt", "box kept once"):
        assert part in text
