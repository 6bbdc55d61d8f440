import pytest

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
