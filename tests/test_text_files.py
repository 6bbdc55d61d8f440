"""YAML and JSON of others: what is read, and what is refused before it costs time or memory."""

from __future__ import annotations

import os
import time

import pytest

from spikeyolo.errors import ConfigError, DataError
from spikeyolo.reading import file_kind, files_below, is_path, naming, read_bytes, read_text
from spikeyolo.text_files import YAML_VALUES, read_json, read_mapping, read_yaml

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join(['*' + old] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{new}: &{new} {{<<: [{', '.join(['*' + old] * 10)}]}}\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)

REFUSED = {
    "a list nested 100,000 deep": ("[" * 100_000, "line 1: nested more than 30 deep"),
    "mappings nested 100,000 deep": ("{a: " * 100_000, "nested more than 30 deep"),
    "a bomb of aliases": (BOMB, "line 5: more than 30,000 values"),
    "a bomb of merged mappings": (MERGES, "more than 30,000 values"),
    "an alias of itself": ("a: &a [1, *a]", "*a stands within itself"),
    "an alias of nothing": ("a: *b", "found undefined alias"),
    "30,001 values": ("- 1\n" * YAML_VALUES, "line 30000: more than 30,000 values"),
    "2 MB": ("# " + "x" * 2 * 10**6, "2.0 MB; such a file has at most 1 MB"),
    "a key given twice": ("a: 1\nb: 2\na: 3", "line 3: the key 'a' is given twice"),
    "a key given twice, deeper": ("a: {b: 1, b: 2}", "the key 'b' is given twice"),
    "a list as a key": ("? [1, 2]\n: 3", "unhashable key"),
    "a tag that runs something": ("a: !!python/object/apply:os.system [exit]", "could not determine a constructor"),
    "a tag of 100,000 letters": (f"a: !{'x' * 100_000} 1", "could not determine a constructor"),
    "a date that cannot be": ("a: 2024-13-45", "'2024-13-45' is not a value (month must be in 1..12"),
    "an hour that cannot be": ("a: 2024-01-01 99:00:00", "is not a value"),
    "a number of 100,000 digits": ("a: " + "9" * 100_000, "a number of 100,000 characters"),
    "a number of base 60 with 100,000 digits": ("a: 1" + ":1" * 50_000, "a number of 100,001 characters"),
    "text that is said to be a number": ("a: !!int x", "'x' is not a value"),
    "nothing that is said to be a number": ("a: !!int", "'' is not a value"),
    "text that is said to be a boolean": ("a: !!bool perhaps", "'perhaps' is not a value"),
    "two documents": ("a: 1\n---\nb: 2", "expected a single document"),
    "a bracket that is not closed": ("a: [", "expected the node content"),
    "a NUL": ("a: \0", "special characters are not allowed"),
    "an escape sequence": ("a: \x1b[31m", "special characters are not allowed"),
}


@pytest.mark.parametrize(("text", "said"), REFUSED.values(), ids=REFUSED)
def test_yaml_that_is_refused(tmp_path, text, said):
    file = tmp_path / "a.yaml"
    file.write_text(text)
    start = time.process_time()
    with pytest.raises(ConfigError) as caught:
        read_yaml(file)
    assert time.process_time() - start < 5
    assert str(caught.value).startswith(f"{file}: ")
    assert said in str(caught.value)
    assert len(str(caught.value)) < len(str(file)) + 250


@pytest.mark.parametrize(
    ("content", "values"),
    [
        (b"", {}),
        (b"# nothing", {}),
        (b"\xef\xbb\xbfa: 1", {"a": 1}),  # with a byte order mark
        (b"a: 1\r\nb: [x, y]\r\n", {"a": 1, "b": ["x", "y"]}),
        (b"a: &x [1, 2]\nb: *x", {"a": [1, 2], "b": [1, 2]}),
        (b"a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}", {"a": {"p": 1, "q": 2}, "b": {"p": 1, "q": 3}}),
        ("a: 细胞".encode(), {"a": "细胞"}),
        (b"1: a\n'1': b", {1: "a", "1": "b"}),
    ],
)
def test_yaml_that_is_read(tmp_path, content, values):
    (tmp_path / "a.yaml").write_bytes(content)
    assert read_mapping(tmp_path / "a.yaml") == values


def test_yaml_without_names(tmp_path):
    (tmp_path / "a.yaml").write_text("- 1")
    with pytest.raises(ConfigError, match=r"a\.yaml: expected lines of 'name: value'"):
        read_mapping(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[" * 100_000, "cannot be read as JSON (nested too deep)"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "cannot be read as JSON (Exceeds the limit"),
        (b'{"a": "\xe9"}', "cannot be read as JSON ('utf-8' codec can't decode"),
        (b"\0", "cannot be read as JSON"),
        (b"", "cannot be read as JSON (Expecting value: line 1"),
        (b" " * 1001, "0.0 MB; such a file has at most 0.001 MB"),
    ],
    ids=["deep", "long number", "Latin-1", "NUL", "empty", "large"],
)
def test_json_that_is_refused(tmp_path, content, said):
    file = tmp_path / "a.json"
    file.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_json(file, 1000 if len(content) == 1001 else 10**6)
    assert str(caught.value).startswith(f"{file}: {said}")


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for somebody who writes
    for file, said in (
        (tmp_path / "pipe", "pipe: cannot be read (a pipe or device, not a file)"),
        ("/dev/zero", "/dev/zero: cannot be read (a pipe or device, not a file)"),
        (tmp_path, "cannot be read (it is a folder)"),
        (tmp_path / "gone", "gone: cannot be read (no such file)"),
        (tmp_path / ("x" * 300), "cannot be read (File name too long)"),
        ("a\0b", "cannot be read (embedded null"),  # byte, or character in path, by the version of Python
    ):
        with pytest.raises(DataError) as caught:
            read_bytes(file, 100)
        assert said in str(caught.value)


def test_a_sparse_file_of_a_terabyte_is_not_opened(tmp_path):
    with (tmp_path / "a").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(DataError, match=r"a: 1,000,000\.0 MB; such a file has at most 1 MB"):
        read_text(tmp_path / "a", 10**6)


def test_text_is_utf8(tmp_path):
    (tmp_path / "a").write_bytes(b"caf\xe9")
    with pytest.raises(DataError, match=r"a: cannot be read as text, in UTF-8 \('utf-8' codec can't decode"):
        read_text(tmp_path / "a", 100)
    assert read_text(tmp_path / "a", 100, errors="replace") == "caf\ufffd"


def test_errors_of_others_name_the_file_and_own_ones_pass():
    with pytest.raises(ConfigError, match=r"f\.x: cannot be read \('row 3'\)"), naming("f.x", error=ConfigError):
        raise KeyError("row 3")
    with pytest.raises(DataError, match=r"f\.x: is damaged \(MemoryError\)"), naming("f.x", "is damaged"):
        raise MemoryError
    with pytest.raises(DataError, match=r"^mine$"), naming("f.x", error=ConfigError):
        raise DataError("mine")
    with pytest.raises(KeyboardInterrupt), naming("f.x"):
        raise KeyboardInterrupt


def test_a_folder_that_may_not_be_read_is_not_empty(tmp_path, monkeypatch):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/2.png").touch()
    (tmp_path / "a/1.png").touch()
    assert files_below(tmp_path) == [str(tmp_path / "a/1.png"), str(tmp_path / "a/b/2.png")]

    def scandir(folder, own=os.scandir):
        if str(folder).endswith("b"):
            raise PermissionError(13, "Permission denied", str(folder))
        return own(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match=r"a/b: cannot be read \(Permission denied\)"):
        files_below(tmp_path)


@pytest.mark.parametrize(
    ("path", "there"), [("gone", ""), ("file", "file"), ("folder", "folder"), ("pipe", "other"), ("file/x", "")]
)
def test_what_a_path_is(tmp_path, path, there):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    assert file_kind(tmp_path / path) == there


@pytest.mark.parametrize(
    ("text", "can"),
    [
        ("a/b.jpg", True),
        ("/" + "a/" * 100, True),
        ("细胞" * 42, True),
        ("细胞" * 43, False),  # 258 bytes
        ("x" * 256, False),
        ("a/" * 2048, False),
        ("", False),
        ("a\0b", False),
        ("\ud83d", False),
    ],
)
def test_what_can_be_a_path(text, can):
    assert is_path(text) is can
