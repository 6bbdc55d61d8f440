"""`spikeyolo data check`: what it leaves where it fails."""

from __future__ import annotations

from spikeyolo.cli.main import main


def test_an_empty_data_set_is_an_error_and_leaves_no_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "data.yaml").write_text("train: images\nval: images\nnames: [a]\n")
    assert main(["data", "check", "data.yaml"]) == 1
    assert "train: no images in" in capsys.readouterr().err
    assert not (tmp_path / "runs" / "data-check").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / ".hidden").write_text("mine")
    assert main(["data", "check", "data.yaml", "--out", "mine"]) == 1
    assert (tmp_path / "mine" / ".hidden").read_text() == "mine"
