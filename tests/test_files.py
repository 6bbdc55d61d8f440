import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from spikeyolo.errors import WriteError
from spikeyolo.files import (
    new_file,
    new_folder,
    numbered,
    numbered_file,
    own_folder,
    whole_file,
    whole_folder,
    write_whole,
)


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
    with pytest.raises(expected), whole_folder(made, replaces=lambda file: True) as folder:
        FullDisk(error)((folder / "new").write_bytes)
    assert contents(tmp_path) == before


def test_a_folder_is_replaced_only_if_all_in_it_may_be_lost_and_an_empty_one_always(tmp_path):
    made = tmp_path / "made"
    made.mkdir()
    with whole_folder(made) as folder:
        (folder / "first").write_bytes(b"1")
    for replaces in (None, lambda file: file.name != "first"):
        with pytest.raises(WriteError, match="made: exists and holds first"), whole_folder(made, replaces=replaces):
            raise AssertionError("the block must not run")
    assert contents(made) == {"first": b"1"}
    with whole_folder(made, replaces=lambda file: file.name == "first") as folder:
        (folder / "second").write_bytes(b"2")
    assert contents(tmp_path) == {"made": None, os.path.join("made", "second"): b"2"}


def test_what_somebody_puts_into_a_folder_while_it_is_made_anew_is_not_lost(tmp_path):
    made = tmp_path / "made"
    made.mkdir()
    with pytest.raises(WriteError, match=r"holds notes\.txt"), whole_folder(made, replaces=lambda _: False):
        (made / "notes.txt").write_bytes(b"mine")
    assert contents(tmp_path) == {"made": None, os.path.join("made", "notes.txt"): b"mine"}


def test_what_a_killed_process_left_is_cleared_and_nothing_else(tmp_path):
    script = (
        "import os, sys; from spikeyolo.files import whole_folder\n"
        "with whole_folder(sys.argv[1]) as folder:\n"
        "    (folder / 'part').touch(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "made")], check=False)
    assert len(list(tmp_path.glob(".made.*"))) == 1
    theirs = [".made.partial", ".made.former", ".made.0123abcd"]  # of somebody who likes such names
    for name in theirs:
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.txt").touch()
    with whole_folder(tmp_path / "made") as running:
        # Another process, or thread, that makes the same folder leaves this one alone.
        with whole_folder(tmp_path / "made") as other:
            assert running.exists()
        assert not other.exists()
        assert (tmp_path / "made").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*theirs, "made"])


def test_the_old_folder_comes_back_when_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    made = tmp_path / "made"
    made.mkdir()
    (made / "old").write_bytes(b"old")
    before, rename, renamed = contents(tmp_path), Path.rename, []

    def fails_the_second_time(self, target):
        renamed.append(self)
        if len(renamed) == 2:
            raise FULL
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails_the_second_time)
    with pytest.raises(WriteError), whole_folder(made, replaces=lambda file: True):
        pass
    assert contents(tmp_path) == before


def test_a_file_goes_where_nothing_is(tmp_path):
    assert new_file(tmp_path / "new" / "a.json", [".json"]) == tmp_path / "new" / "a.json"
    assert (tmp_path / "new").is_dir()


@pytest.mark.parametrize(
    ("name", "overwrite", "said"),
    [
        ("mine.json", False, "exists already"),
        ("read.json", True, "this command reads it"),
        ("hard.json", True, "this command reads it"),
        ("link.json", True, "is a link"),
        ("dangling.json", True, "is a link"),
        ("folder.json", True, "is a folder"),
        ("pipe.json", True, "is a device"),
        ("weights.safetensors", True, r"must end in \.json"),
        ("mine.json/in.json", True, "cannot be made a folder"),
    ],
)
def test_a_file_that_may_not_be_replaced_is_named(tmp_path, name, overwrite, said):
    for file in ("mine.json", "read.json", "weights.safetensors"):
        (tmp_path / file).write_bytes(b"mine")
    os.link(tmp_path / "read.json", tmp_path / "hard.json")
    (tmp_path / "link.json").symlink_to("mine.json")
    (tmp_path / "dangling.json").symlink_to("nowhere")
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    reads = [tmp_path / "nowhere.json", tmp_path / "read.json"]
    with pytest.raises(WriteError, match=said):
        new_file(tmp_path / name, [".json"], reads=reads, overwrite=overwrite)
    assert new_file(tmp_path / "mine.json", [".json"], reads=reads, overwrite=True)


def test_devices_and_links_are_not_replaced_by_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(WriteError, match="is a device, which is never replaced"):
        write_whole(tmp_path / "pipe", b"")
    (tmp_path / "target").write_bytes(b"theirs")
    (tmp_path / "link").symlink_to("target")
    write_whole(tmp_path / "link", b"ours")
    assert (tmp_path / "target").read_bytes() == b"theirs"


def test_a_folder_for_output_is_new_or_empty_or_named_with_overwrite(tmp_path):
    assert new_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "a" / "b" / ".gitkeep").touch()
    assert new_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "a" / "b" / "mine.txt").touch()
    with pytest.raises(WriteError, match=r"holds files already, such as mine\.txt"):
        new_folder(tmp_path / "a" / "b")
    assert new_folder(tmp_path / "a" / "b", reads=[tmp_path / "x.jpg"], overwrite=True).is_dir()
    with pytest.raises(WriteError, match=r"holds mine\.txt, which this command reads"):
        new_folder(tmp_path / "a", reads=[tmp_path / "a" / "b" / "mine.txt"], overwrite=True)
    with pytest.raises(WriteError, match="is a file, no folder"):
        new_folder(tmp_path / "a" / "b" / "mine.txt", overwrite=True)
    with pytest.raises(WriteError, match="is empty; give one"):
        new_folder("")


def test_folders_and_files_number_themselves(tmp_path):
    names = [numbered(tmp_path / "runs" / "x").name for _ in range(3)]
    assert names == ["x", "x-2", "x-3"]
    assert numbered_file(tmp_path / "e.png").name == "e.png"
    (tmp_path / "e.png").symlink_to("nowhere")
    assert numbered_file(tmp_path / "e.png").name == "e-2.png"


def test_a_link_within_an_output_folder_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "labels").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(WriteError, match="labels: is a link"):
        own_folder(tmp_path / "out", "labels")
    assert own_folder(tmp_path / "out", "crops").is_dir()
