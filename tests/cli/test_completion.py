"""Completion in shells: what bash offers for a line that has been begun, and every option in every shell."""

import importlib
import shutil
import subprocess

import pytest

from spikeyolo.cli.arguments import options_of
from spikeyolo.cli.main import COMMANDS, POSITIONAL, main

SHELLS = ["bash", "zsh", "fish"]

ASK = """
source ./script
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
_shtab_spikeyolo
printf '%s\\n' "${COMPREPLY[@]}"
"""


def script_of(shell, capsys):
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        (["ev"], ["events"]),
        (["events", ""], ["info", "view", "prepare"]),
        (["train", "--optimizer", ""], ["sgd", "adamw", "muon"]),
        (["val", "--slot-c"], ["--slot-code"]),
        (["predict", "--no-dr"], ["--no-draw"]),
        (["export", "--format", "op"], ["openvino"]),
        (["val", "--data", "my"], ["my data.yaml"]),
        (["events", "info", "my"], ["my data.yaml"]),
    ],
    ids=" ".join,
)
def test_bash_offers(line, offered, capsys, tmp_path):
    (tmp_path / "script").write_text(script_of("bash", capsys))
    (tmp_path / "my data.yaml").touch()
    asked = subprocess.run(
        ["bash", "-c", ASK, "bash", "spikeyolo", *line], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert asked.stdout.splitlines() == offered


@pytest.mark.parametrize("shell", SHELLS)
def test_every_option_is_in_the_script(shell, capsys, tmp_path):
    script = script_of(shell, capsys)
    for name in COMMANDS:
        command = getattr(importlib.import_module(f"spikeyolo.cli.{name.replace(' ', '_')}"), name.split()[-1])
        for option in options_of(command, positional=name in POSITIONAL).values():
            flag = option.flag.removeprefix("--")
            assert option.positional or (f"no-{flag}" if option.default is True else flag) in script, (name, flag)
    if shutil.which(shell):
        (tmp_path / "script").write_text(script)
        subprocess.run([shell, "-n", tmp_path / "script"], check=True)


def test_another_shell_is_one_line(capsys):
    assert main(["completion", "fsh"]) == 2
    assert "'fsh' is not one of bash, zsh, fish; did you mean 'fish'?" in capsys.readouterr().err
