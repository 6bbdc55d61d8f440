"""What is asked of files before they are opened, and what becomes of exceptions of libraries."""

import os

import pytest

from spikeyolo.errors import ConfigError, DataError
from spikeyolo.reading import entries, file_size, naming


def test_only_files_have_a_size(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert file_size(tmp_path / "a") == 5
    os.mkfifo(tmp_path / "pipe")
    for name, says in (
        ("no", "no such file"),
        (".", "is a folder"),
        ("pipe", "a pipe or device"),
        ("x" * 300, "too long"),
    ):
        with pytest.raises(DataError, match=says):
            file_size(tmp_path / name)


def test_a_folder_whose_files_may_not_be_looked_at_is_named(tmp_path, monkeypatch):
    for name in "ba":
        (tmp_path / name).touch()
    assert [path.name for path in entries(tmp_path)] == ["a", "b"]
    monkeypatch.setattr(os, "access", lambda *_: False)  # the superuser may always look
    with pytest.raises(DataError, match="not permitted"):
        entries(tmp_path)
    with pytest.raises(DataError, match="no: cannot be read"):
        entries(tmp_path / "no")


def test_whatever_a_library_raises_names_the_file_in_a_short_line(tmp_path):
    for error in (KeyError("a\nb"), MemoryError(), RuntimeError("x" * 10_000), OSError(5, "Input/output error")):
        with pytest.raises(DataError, match="a file: cannot be read") as caught, naming("a file", "cannot be read"):
            raise error
        assert len(str(caught.value)) < 150
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("error", [ConfigError("ours"), KeyboardInterrupt(), SystemExit(3)])
def test_our_own_errors_and_interruptions_pass(error):
    with pytest.raises(type(error)) as caught, naming("a file", "cannot be read"):
        raise error
    assert caught.value is error
