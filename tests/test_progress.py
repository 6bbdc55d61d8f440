import sys
from types import ModuleType

import pytest
from rich import progress

from spikeyolo import terminal
from spikeyolo.progress import progress_bar


@pytest.mark.parametrize(("show", "terminal"), [(True, False), (False, True)])
def test_nothing_is_printed_without_a_terminal_even_after_an_error(capsys, monkeypatch, show, terminal):
    monkeypatch.setenv("FORCE_COLOR", "1") if terminal else monkeypatch.delenv("FORCE_COLOR", raising=False)
    with pytest.raises(ZeroDivisionError), progress_bar("reading", 3, show=show) as report:
        report(1 // 0, 3)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_what_is_done_of_how_much(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes it for a terminal
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar("reading") as report:
        report(2, 7)
    out, err = capsys.readouterr()
    assert out == ""
    assert "reading" in err
    assert "2/7" in err


@pytest.mark.parametrize("widgets", [True, False])
def test_a_notebook_shows_it_where_it_has_widgets(monkeypatch, widgets):
    """Without ipywidgets, which rich needs there, it would warn at every step."""
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setattr(terminal, "find_spec", lambda name: object() if widgets and name == "ipywidgets" else None)
    disabled = []
    bar = progress.Progress

    def watched(*columns, disable, **how):
        disabled.append(disable)
        return bar(*columns, disable=True, **how)

    monkeypatch.setattr(progress, "Progress", watched)
    for there in (False, True):  # a kernel of a notebook
        if there:
            monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
        else:
            monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
        with progress_bar("reading") as report:
            report(2, 7)
    assert disabled == [True, not widgets]
