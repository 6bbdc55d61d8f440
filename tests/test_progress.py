import pytest

from spikeyolo.progress import progress_bar


@pytest.mark.parametrize(("show", "terminal"), [(True, False), (False, True)])
def test_nothing_is_printed_where_no_terminal_is_even_by_an_error(capsys, monkeypatch, show, terminal):
    monkeypatch.setenv("FORCE_COLOR", "1") if terminal else monkeypatch.delenv("FORCE_COLOR", raising=False)
    with pytest.raises(ZeroDivisionError), progress_bar("reading", 3, show=show) as tell:
        tell(1 // 0, 3)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_sees_what_is_done_of_how_much(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes it for a terminal
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar("reading") as tell:
        tell(2, 7)
    out, err = capsys.readouterr()
    assert out == ""
    assert "reading" in err
    assert "2/7" in err
