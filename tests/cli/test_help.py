"""The help of each command: complete, in groups, with examples."""

import importlib
import re

import pytest

from spikeyolo.cli.arguments import options_of, read_words
from spikeyolo.cli.main import COMMANDS, POSITIONAL, main
from spikeyolo.cli.train import GROUPS, train
from spikeyolo.docstring import Docstring


def shown(capsys, *words):
    assert main(words) == 0
    return capsys.readouterr().out


def command(name):
    return getattr(importlib.import_module(f"spikeyolo.cli.{name.replace(' ', '_')}"), name.split()[-1])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_has_a_line_and_one_spelling(capsys, name):
    out = shown(capsys, *name.split(), "--help-all")
    for option in options_of(command(name), positional=name in POSITIONAL).values():
        assert option.help, option.name
        assert re.search(rf"^  {re.escape(option.flag)}\b", out, re.MULTILINE | re.IGNORECASE), option.flag
    assert not re.search(r"^  --\w+_", out, re.MULTILINE)
    assert all(len(line) <= 100 for line in out.splitlines())


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_command_lines_that_are_understood(name):
    options = options_of(command(name), positional=name in POSITIONAL)
    examples = Docstring.of(command(name)).examples
    assert 1 <= len(examples) <= 3
    for example in examples:
        assert example.startswith(f"spikeyolo {name}")
        read_words(options, example.split()[1 + len(name.split()) :])


def test_help_of_train_is_short_and_the_rest_is_behind_help_all(capsys):
    short, whole = shown(capsys, "train", "--help"), shown(capsys, "train", "--help-all")
    assert len(short.splitlines()) < 55  # it was a wall of 262
    assert short.index("data and model:") < short.index("what matters first:") < short.index("examples:")
    assert len(GROUPS["what matters first"]) == 10
    for option in ("--ema-decay", "--augmentation.close-mosaic"):
        assert option not in short
        assert option in whole


def test_every_option_of_train_is_in_one_group():
    names = [name for group in GROUPS.values() for name in group]
    assert sorted(names) == sorted({option.partition(".")[0] for option in options_of(train)})


def test_help_tells_choices_and_defaults(capsys):
    out = shown(capsys, "train", "--help")
    assert "--optimizer {sgd,adamw,muon}" in out
    assert re.search(r"--seed N .*\n?.*\(default 0\)", out)
    assert "--no-draw switches it off" in " ".join(shown(capsys, "predict", "--help").split())
