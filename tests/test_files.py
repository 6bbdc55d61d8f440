import errno
import os
import stat
from pathlib import Path

import pytest

from spikeyolo.errors import WriteError
from spikeyolo.files import whole_file, whole_folder, write_whole


def contents(folder):
    """Everything below a folder, hidden files too."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


class FullDisk:
    """A block that writes a part and then fails as on a full disk, or is interrupted."""

    def __init__(self, error):
        self.error = error

    def __call__(self, write):
        write(b"a part")
        raise self.error


FULL = OSError(errno.ENOSPC, "No space left on device")


def test_a_file_is_written_and_replaced(tmp_path):
    file = tmp_path / "a.bin"
    write_whole(file, b"old")
    write_whole(str(file), b"new")
    assert contents(tmp_path) == {"a.bin": b"new"}


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path):
    write_whole(tmp_path / "ours", b"")
    (tmp_path / "theirs").write_bytes(b"")
    ours, theirs = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ours", "theirs"))
    assert ours == theirs


@pytest.mark.parametrize("name", ["a" * 255, "é" * 127])
def test_names_as_long_as_the_system_allows(tmp_path, name):
    write_whole(tmp_path / name, b"x")
    assert contents(tmp_path) == {name: b"x"}


@pytest.mark.parametrize("error", [FULL, KeyboardInterrupt(), ValueError("of the caller")])
def test_a_failed_write_leaves_the_old_file_and_nothing_beside(tmp_path, error):
    file = tmp_path / "a.bin"
    write_whole(file, b"old")
    expected = WriteError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected), whole_file(file) as stream:
        FullDisk(error)(stream.write)
    assert contents(tmp_path) == {"a.bin": b"old"}


def test_the_error_is_one_line_with_path_and_reason(tmp_path):
    file = tmp_path / "none" / "a.bin"
    with pytest.raises(WriteError) as caught:
        write_whole(file, b"")
    assert str(caught.value) == f"{file}: cannot be written (No such file or directory); nothing was changed"


def test_a_folder_appears_whole(tmp_path):
    with whole_folder(tmp_path / "parent" / "made") as folder:
        (folder / "a").write_bytes(b"1")
        assert not (tmp_path / "parent" / "made").exists()
    assert contents(tmp_path / "parent") == {"made": None, os.path.join("made", "a"): b"1"}


@pytest.mark.parametrize("error", [FULL, KeyboardInterrupt(), ValueError("of the caller")])
def test_a_failed_folder_leaves_the_old_one_and_nothing_beside(tmp_path, error):
    made = tmp_path / "made"
    made.mkdir()
    (made / "old").write_bytes(b"old")
    before = contents(tmp_path)
    expected = WriteError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected), whole_folder(made, replace=True) as folder:
        FullDisk(error)((folder / "new").write_bytes)
    assert contents(tmp_path) == before


def test_a_folder_is_replaced_only_if_asked_and_an_empty_one_always(tmp_path):
    made = tmp_path / "made"
    made.mkdir()
    with whole_folder(made) as folder:
        (folder / "first").write_bytes(b"1")
    with pytest.raises(WriteError, match="made: exists"), whole_folder(made):
        raise AssertionError("the block must not run")
    assert contents(made) == {"first": b"1"}
    with whole_folder(made, replace=True) as folder:
        (folder / "second").write_bytes(b"2")
    assert contents(tmp_path) == {"made": None, os.path.join("made", "second"): b"2"}


def test_what_a_killed_process_left_is_cleared(tmp_path):
    for state in ("partial", "former"):
        (tmp_path / f".made.{state}").mkdir()
        (tmp_path / f".made.{state}" / "remains").write_bytes(b"")
    with whole_folder(tmp_path / "made"):
        pass
    assert contents(tmp_path) == {"made": None}


def test_the_old_folder_comes_back_when_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    made = tmp_path / "made"
    made.mkdir()
    (made / "old").write_bytes(b"old")
    before, rename = contents(tmp_path), Path.rename

    def fails_for_the_new_one(self, target):
        if self.name.endswith(".partial"):
            raise FULL
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails_for_the_new_one)
    with pytest.raises(WriteError), whole_folder(made, replace=True):
        pass
    assert contents(tmp_path) == before
