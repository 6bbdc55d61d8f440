"""What an error quotes: short, on one line, and harmless to a terminal, whatever the value is."""

from pathlib import Path

import pytest

from spikeyolo.errors import one_line, quote

DEEP: list = []
for _ in range(100_000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("cat", "'cat'"),
        (3, "3"),
        (None, "None"),
        (Path("a/b"), "'a/b'"),
        ("\x1b[31mred\n", r"'\x1b[31mred\n'"),
        ("\ud83d", r"'\ud83d'"),
        ("\u202etxt", r"'\u202etxt'"),
        ("细胞", "'细胞'"),
    ],
)
def test_quote(value, expected):
    assert quote(value) == expected


def test_quote_of_what_python_cannot_write():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    assert quote(deep) == "[[[[...]]]]"
    assert quote(10**100_000) == "a whole number of 332193 bits"
    assert quote({"a": -(10**100_000)}) == "{'a': a whole number of 332193 bits}"


LARGE = {"text": "x" * 10**6, "list": ["x" * 10**6] * 10**4, "mapping": {str(i): i for i in range(10**4)}}


@pytest.mark.parametrize("value", LARGE.values(), ids=LARGE)
def test_quote_is_short_and_on_one_line(value):
    assert len(quote(value)) <= 102
    assert len(quote(value, 20)) <= 22
    assert quote(value).isprintable()


def test_one_line_of_another_librarys_error():
    assert one_line("expected  a\n  mapping\x1b[0m") == r"expected a mapping\x1b[0m"
    assert one_line("y" * 500) == "y" * 97 + "..."
