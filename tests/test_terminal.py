import io

import pytest
from rich.table import Table

from spikeyolo.terminal import as_html, complain, let_all_characters_through, say, show


def test_a_line_stays_one_whatever_it_holds(capsys):
    say("a\nb\x1b[31m", "[/red] 细胞", 3)
    complain("spikeyolo: a\n b\x1b[31m\udce9")
    said = capsys.readouterr()
    assert said.out == "a\\nb\\x1b[31m\n[/red] 细胞\n3\n"
    assert said.err == "spikeyolo: a b\\x1b[31m\\xe9\n"


@pytest.mark.parametrize("name", ["[/red]", "[red]x", ":car:", "a\x1b[31mb"])
def test_tables_take_text_for_text(capsys, name):
    table = Table("name", title=name)
    table.add_row(name)
    show(table)
    shown = capsys.readouterr().out
    assert shown.count(name.replace("\x1b", "\\x1b")) == 2
    assert "\x1b" not in shown


def test_tables_in_notebooks_have_letters_of_one_width():
    """Without, notebooks take those of their text, and no line of a table meets another."""
    table = Table("name")
    table.add_row("x")
    shown = as_html(table, "a line")
    assert shown.startswith("<pre ")
    assert "monospace" in shown.partition(">")[0]
    assert "a line" in shown


def test_streams_take_characters_that_they_have_no_code_for():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    let_all_characters_through(stream, None, io.StringIO())
    stream.write("细\udce9")
    stream.flush()
    assert stream.buffer.getvalue() == rb"\u7ec6\udce9"
