import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spikeyolo.data.events.labels import (
    BOX_DTYPE,
    BOX_RULES,
    NOT_FINITE,
    OFF_SENSOR,
    OUTSIDE,
    TIME_SLACK_US,
    WRONG_TIME,
    ZERO_SIZE,
    Pairing,
    boxes_path,
    clean_boxes,
    describe,
    pair_recordings,
    read_boxes,
    write_boxes,
)
from spikeyolo.errors import DataError

SIZE = (240, 304)


def boxes_of(*rows):
    """(t, x, y, w, h) or whole rows."""
    return np.array([(*row, 1, 2, 0.5) if len(row) == 5 else row for row in rows], BOX_DTYPE)


@given(hnp.arrays(BOX_DTYPE, st.integers(0, 20)))
def test_write_then_read_is_the_identity_up_to_the_order_of_time(tmp_path_factory, boxes):
    path = tmp_path_factory.mktemp("boxes") / "x_bbox.npy"
    write_boxes(path, boxes)
    read = read_boxes(path)
    assert read.dtype == BOX_DTYPE
    assert read.tobytes() == boxes[np.argsort(boxes["t"], kind="stable")].tobytes()


def test_old_names_any_order_and_missing_fields(tmp_path):
    old = [("class_id", "u1"), ("h", "<f8"), ("w", "<f4"), ("x", "<f4"), ("y", "<f4"), ("ts", "<u8")]
    file = tmp_path / "x_bbox.npy"
    np.save(file, np.array([(1, 4, 3, 10, 20, 700), (0, 8, 7, 30, 40, 600)], old))
    expected = [(600, 30, 40, 7, 8, 0, 0, 1), (700, 10, 20, 3, 4, 1, 0, 1)]
    assert read_boxes(file).tolist() == expected
    older = [*old, ("confidence", "<f4"), ("track_id", "<i4"), ("more", "<f4")]
    np.save(file, np.array([(1, 4, 3, 10, 20, 700, 0.25, 9, 5)], older))
    assert read_boxes(file).tolist() == [(700, 10, 20, 3, 4, 1, 9, 0.25)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros((3, 8)), "not a list of boxes"),
        (np.zeros((2, 2), BOX_DTYPE), "not a list of boxes"),
        (np.zeros(2, [(n, BOX_DTYPE[n]) for n in BOX_DTYPE.names if n != "w"]), "no field 'w'"),
        (np.zeros(2, [(n, "S4" if n == "x" else BOX_DTYPE[n]) for n in BOX_DTYPE.names]), "field 'x'"),
        (np.full(2, 256, [(n, "<f8") for n in BOX_DTYPE.names]), r"field 'class_id' .* 0..255"),
        (np.full(2, np.nan, [(n, "<f8") for n in BOX_DTYPE.names]), "field 't'"),
        (np.array([{"t": 1}], dtype=object), "cannot be read .* pickled objects, which are never loaded"),
    ],
)
def test_arrays_of_another_kind_give_one_clear_line(tmp_path, content, message):
    file = tmp_path / "x_bbox.npy"
    np.save(file, content, allow_pickle=True)
    with pytest.raises(DataError, match=message) as error:
        read_boxes(file)
    assert str(error.value).startswith(str(file))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"not an array", b"PK\x03\x04 cut", b"\x93NUMPY\x01\x00", None, "cut"])
def test_foreign_cut_and_missing_files_give_one_clear_line(tmp_path, content):
    file = tmp_path / "x_bbox.npy"
    if content == "cut":
        write_boxes(file, boxes_of((1, 2, 3, 4, 5)))
        content = file.read_bytes()[:-3]
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be read|no such file") as error:
        read_boxes(file)
    assert "\n" not in str(error.value)
    assert "pickle" not in str(error.value)  # numpy advises to load what is no array in the unsafe way


def test_an_archive_is_no_list_of_boxes(tmp_path):
    np.savez(tmp_path / "x.npz", boxes=boxes_of((1, 2, 3, 4, 5)))
    (tmp_path / "x.npz").rename(tmp_path / "x_bbox.npy")
    with pytest.raises(DataError, match="not a list of boxes"):
        read_boxes(tmp_path / "x_bbox.npy")


def test_writing_refuses_other_arrays_and_leaves_no_part(tmp_path):
    for wrong in (np.zeros(3), np.zeros((2, 2), BOX_DTYPE)):
        with pytest.raises(DataError, match="not written"):
            write_boxes(tmp_path / "x_bbox.npy", wrong)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("row", "kind", "expected"),
    [
        ((5, 10, 20, 30, 40), None, (10, 20, 30, 40)),
        ((5, 0, 0, 304, 240), None, (0, 0, 304, 240)),
        # Clipped boxes do not move: what is left lies where it lay.
        ((5, -10, 20, 30, 40), OUTSIDE, (0, 20, 20, 40)),
        ((5, 10, -20, 30, 40), OUTSIDE, (10, 0, 30, 20)),
        ((5, 290, 20, 30, 40), OUTSIDE, (290, 20, 14, 40)),
        ((5, 290, 230, 30, 40), OUTSIDE, (290, 230, 14, 10)),
        ((5, -10, -10, 900, 900), OUTSIDE, (0, 0, 304, 240)),
        ((5, -50, 20, 30, 40), OFF_SENSOR, None),
        ((5, 304, 20, 30, 40), OFF_SENSOR, None),
        ((5, 10, 20, 0, 40), ZERO_SIZE, None),
        ((5, 10, 20, 30, -40), ZERO_SIZE, None),
        ((5, np.nan, 20, 30, 40), NOT_FINITE, None),
        ((5, 10, 20, np.inf, 40), NOT_FINITE, None),
        ((5, 10, 20, 30, 40, 1, 2, np.nan), NOT_FINITE, None),
        ((-1, 10, 20, 30, 40), WRONG_TIME, None),
        ((0, 10, 20, 30, 40), None, (10, 20, 30, 40)),
        ((1000 + TIME_SLACK_US, 10, 20, 30, 40), None, (10, 20, 30, 40)),
        ((1001 + TIME_SLACK_US, 10, 20, 30, 40), WRONG_TIME, None),
    ],
)
def test_each_rule(row, kind, expected):
    boxes = boxes_of(row, (5, 1, 2, 3, 4))
    before = boxes.tobytes()
    clean, found = clean_boxes(boxes, SIZE, duration_us=1000)
    assert found == ({kind: 1} if kind else {})
    assert [tuple(box)[1:5] for box in clean] == [*([expected] if expected else []), (1, 2, 3, 4)]
    assert boxes.tobytes() == before


def test_times_are_not_looked_at_without_a_duration():
    assert len(clean_boxes(boxes_of((10**12, 1, 2, 3, 4)), SIZE)[0]) == 1


def test_good_boxes_keep_every_bit_and_none_at_all_are_fine():
    rng = np.random.default_rng(0)
    rows = [(t, *rng.uniform(0, 100, 2), *rng.uniform(1, 100, 2)) for t in range(200)]
    boxes = boxes_of(*rows)
    clean, found = clean_boxes(boxes, SIZE, 200)
    assert clean.tobytes() == boxes.tobytes()
    assert not found
    assert len(clean_boxes(boxes[:0], SIZE, 200)[0]) == 0


def test_description_names_each_kind_and_its_rule():
    _, found = clean_boxes(boxes_of((5, 10, 20, 0, 40), (5, -1, 20, 30, 40)), SIZE)
    assert describe(found, BOX_RULES) == (
        "1 zero size (no width or no height: box dropped), 1 beyond the sensor (box clipped to the sensor)"
    )


@pytest.mark.parametrize(
    ("recording", "boxes"),
    [
        ("a/17-03-30_td.dat", "a/17-03-30_bbox.npy"),
        ("a/x.dat", "a/x_bbox.npy"),
        ("a/x.h5", "a/x_bbox.npy"),
        ("x_td_0.5_td.dat", "x_td_0.5_bbox.npy"),
    ],
)
def test_boxes_lie_beside_their_recording(recording, boxes):
    assert str(boxes_path(recording)) == boxes


def test_pairing_names_what_has_no_partner(tmp_path):
    for name in ("b_td.dat", "b_bbox.npy", "a_td.dat", "a_bbox.npy", "lone_td.dat", "orphan_bbox.npy", "notes.txt"):
        (tmp_path / name).touch()
    assert pair_recordings(tmp_path) == Pairing(
        tuple((tmp_path / f"{n}_td.dat", tmp_path / f"{n}_bbox.npy") for n in "ab"),
        (tmp_path / "lone_td.dat",),
        (tmp_path / "orphan_bbox.npy",),
    )
    (tmp_path / "a.dat").touch()
    with pytest.raises(DataError, match=r"a_bbox.npy would belong to a.dat too"):
        pair_recordings(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        pair_recordings(tmp_path / "none")
