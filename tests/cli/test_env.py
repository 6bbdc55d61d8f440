"""`spikeyolo env`: what a report of a fault should have, and nothing that names its writer."""

import platform
import socket
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from spikeyolo.cli.main import main
from spikeyolo.optional import EXTRAS


def installed(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return "-"


def test_versions_of_everything_and_nothing_of_the_user(capsys):
    assert main(["env"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"spikeyolo {version('spikeyolo')}, Python {platform.python_version()}")
    lines = out.splitlines()
    for package, extra in EXTRAS.items():
        assert f"  {package} {installed(package)} [{extra}]" in lines
    assert f"  torch {version('torch')}" in lines
    for private in (str(Path.home()), str(Path.cwd()), socket.gethostname()):
        assert private not in out


def test_what_is_not_installed_is_said(capsys, monkeypatch):
    monkeypatch.setitem(EXTRAS, "a-package-that-nobody-has", "train")
    assert main(["env"]) == 0
    assert "  a-package-that-nobody-has - [train]" in capsys.readouterr().out.splitlines()
