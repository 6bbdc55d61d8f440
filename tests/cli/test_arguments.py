"""Options of a function, from words and from a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pytest
import yaml

from spikeyolo.cli.arguments import UsageError, arguments_of, options_of, read_file, read_words, to_yaml
from spikeyolo.docstring import Docstring
from spikeyolo.errors import ConfigError
from spikeyolo.option_help import OPTIONS as OF_SEVERAL


@dataclass(frozen=True)
class Inner:
    """What happens.

    Attributes:
        share: of it,
            more or less
    """

    share: float = 0.5


@dataclass(frozen=True)
class Settings:
    """Numbers.

    Attributes:
        epochs: passes
        kind: sort
        inner: nested
    """

    epochs: int = 3
    kind: Literal["sgd", "adamw"] = "sgd"
    inner: Inner = field(default_factory=Inner)


def command(
    data: str,
    settings: Settings,
    source: list[str] = [],  # noqa: B006
    window_us: int | None = None,
    draw: bool = True,
    carry: bool = False,
    given: frozenset[str] = frozenset(),
) -> None:
    """Do it.

    Args:
        source: images
        window_us: length
    """


OPTIONS = options_of(command)


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("--data x.yaml", {"data": "x.yaml"}),
        ("--data=x.yaml", {"data": "x.yaml"}),
        ("--source a b c", {"source": ["a", "b", "c"]}),
        ("--source=a", {"source": ["a"]}),
        ("--source=a --source=b", {"source": ["a", "b"]}),
        ("--source a b --carry", {"source": ["a", "b"], "carry": True}),
        ("--window-us 5", {"window_us": 5}),
        ("--window_us=5", {"window_us": 5}),
        ("--window-us none", {"window_us": None}),
        ("--carry", {"carry": True}),
        ("--carry --data x", {"carry": True, "data": "x"}),
        ("--carry=false", {"carry": False}),
        ("--carry yes", {"carry": True}),
        ("--no-carry", {"carry": False}),
        ("--no-draw", {"draw": False}),
        ("--draw false", {"draw": False}),
        ("--draw=no", {"draw": False}),
        ("--inner.share 0.25", {"inner.share": 0.25}),
        ("--kind adamw --epochs 1 --epochs 2", {"kind": "adamw", "epochs": 2}),
        ("", {}),
    ],
)
def test_what_a_command_line_gives(line, values):
    assert read_words(OPTIONS, line.split()) == values


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--epochs two", "--epochs: 'two' is not a whole number"),
        ("--epochs", "--epochs: expected one argument"),
        ("--kind sdg", "--kind: 'sdg' is not one of sgd, adamw; did you mean 'sgd'?"),
        ("--carry=perhaps", "--carry: 'perhaps' is not true or false"),
        ("--epoch 3", "no such option '--epoch', did you mean '--epochs'?"),
        ("--epoch=3", "no such option '--epoch', did you mean '--epochs'?"),
        ("--model x", "no such option '--model'"),  # no word like it, and no option of that meaning here
        ("--input a", "no such option '--input', did you mean '--source'?"),
        ("data=coco.yaml epochs=2", "options begin with --, 'data=coco.yaml' does not: write --data coco.yaml"),
        ("epoch=2", "write --epochs 2"),
        ("coco.yaml", "'coco.yaml' belongs to no option; name one before it (for example --data)"),
        ("--carry x", "'x' belongs to no option; --carry takes no value"),
    ],
)
def test_what_is_not_understood_is_named_with_what_was_meant(line, said):
    with pytest.raises(UsageError) as error:
        read_words(OPTIONS, line.split())
    assert said in str(error.value)


@pytest.mark.parametrize("line", ["--strict data.yaml", "data.yaml --strict", "--strict=true data.yaml"])
def test_a_switch_does_not_take_what_stands_after_it(line):
    def check(data: str, strict: bool = False) -> None:
        """Check."""

    assert read_words(options_of(check, positional=True), line.split()) == {"data": "data.yaml", "strict": True}


def test_a_file_has_the_same_names(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("epochs: 7\ninner: {share: 1e-3}\nwindow_us: null\nsource: a\n")
    assert read_file(OPTIONS, file) == {"epochs": 7, "inner.share": 0.001, "window_us": None, "source": ["a"]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epoch: 7", "epoch: no such setting, did you mean 'epochs'?"),
        ("inner: {shar: 1}", "inner.shar: no such setting, did you mean 'inner.share'?"),
        ("epochs: two", "epochs: 'two' is not a whole number"),
        ("config: other.yaml", "config: no such setting"),
        ("- epochs", "expected lines of 'name: value'"),
        ("a: [", "cannot be read"),
        ("epochs: !!python/object/apply:os.system [exit]", "cannot be read"),  # nothing in a file is run
        ("data: {class_path: os.system}", "data: {'class_path': 'os.system'} is not text"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path, text, said):
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        read_file(OPTIONS, file)
    assert f"{file}" in str(error.value)
    assert said in str(error.value)


def test_what_the_function_is_called_with():
    file, given = {"epochs": 7, "inner.share": 0.1}, {"data": "x", "inner.share": 0.2, "carry": True}
    assert arguments_of(command, file | given, given) == {
        "data": "x",
        "settings": Settings(7, "sgd", Inner(0.2)),
        "carry": True,
        "given": frozenset({"data", "inner", "carry"}),
    }


def test_fields_that_are_not_given_are_those_of_the_default_instance():
    strict = Settings(epochs=9, kind="adamw")

    def evaluate(settings: Settings = strict) -> None:
        """Evaluate."""

    assert options_of(evaluate)["kind"].default == "adamw"
    assert arguments_of(evaluate, {"epochs": 1}, {}) == {"settings": Settings(1, "adamw")}


def test_printed_options_are_a_file_again(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(to_yaml(OPTIONS, {"epochs": 7, "inner.share": 0.25}))
    printed = yaml.safe_load(file.read_text())
    assert printed == {
        "epochs": 7,
        "kind": "sgd",
        "inner": {"share": 0.25},
        "source": [],
        "window_us": None,
        "draw": True,
        "carry": False,
    }  # and not `data`, which has no value
    assert read_file(OPTIONS, file)["inner.share"] == 0.25


def test_docstrings_are_the_help():
    assert {name: option.help for name, option in OPTIONS.items()} == {
        "data": OF_SEVERAL["data"],
        "epochs": "passes",
        "kind": "sort",
        "inner.share": "of it, more or less",
        "source": "images",
        "window_us": "length",
        "draw": OF_SEVERAL["draw"],
        "carry": "",
        "config": "a YAML file with the same names as the options; what the command line gives comes first",
    }
    assert Docstring.of(command).text == "Do it."
