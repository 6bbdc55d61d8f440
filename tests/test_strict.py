from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Literal

import pytest

from spikeyolo.errors import ConfigError
from spikeyolo.strict import build, value_of


class Colour(str, Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Inner:
    share: float = 0.5


@dataclass(frozen=True)
class Outer:
    epochs: int = 1
    inner: Inner = field(default_factory=Inner)
    names: list[str] = field(default_factory=list)


@pytest.mark.parametrize(
    ("given", "kind", "value"),
    [
        ("3", int, 3),
        ("1e-3", float, 0.001),  # which YAML takes for text
        (1, float, 1.0),
        (0, str, "0"),  # device: 0
        ("off", bool, False),
        (True, bool, True),
        ("none", int | None, None),
        (None, int | None, None),
        ("7", int | None, 7),
        ("auto", Literal["auto"] | int, "auto"),
        ("7", Literal["auto"] | int, 7),
        (32, Literal["32", "bf16"], "32"),
        ("red", Colour, Colour.RED),
        ("a", list[str], ["a"]),
        (["1", 2], tuple[int, ...], (1, 2)),
        ("4", Annotated[int, "help"], 4),
        ({"share": "0.25"}, Inner, Inner(0.25)),
        ("x", Inner, "x"),  # the dataclass around it knows what a name means
    ],
)
def test_a_value_becomes_what_the_setting_is(given, kind, value):
    got = value_of(given, kind, "x")
    assert (got, type(got)) == (value, type(value))


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        ("two", int, "x: 'two' is not a whole number"),
        (2.5, int, "x: 2.5 is not a whole number"),
        (True, int, "x: True is not a whole number"),
        ("a lot", float, "x: 'a lot' is not a number"),
        ("maybe", bool, "x: 'maybe' is not true or false"),
        (1, bool, "x: 1 is not true or false"),
        (["a"], str, r"x: \['a'\] is not text"),
        (None, int, "x: None is not a whole number"),
        ("auot", Literal["auto"] | int, "x: 'auot' is not a whole number or auto"),
        ("sdg", Literal["sgd", "adamw"], "x: 'sdg' is not one of sgd, adamw; did you mean 'sgd'"),
        ("green", Colour, "x: 'green' is not one of red, blue"),
        ({"shar": 1}, Inner, "x.shar: no such setting, did you mean 'share'"),
    ],
)
def test_a_value_that_does_not_fit_is_named_in_plain_words(given, kind, said):
    with pytest.raises(ConfigError, match=said):
        value_of(given, kind, "x")


def test_build_checks_types_within():
    assert build(Outer, {"inner": {"share": 1}, "names": "a"}) == Outer(1, Inner(1.0), ["a"])
    with pytest.raises(ConfigError, match=r"^epochs: 'two' is not a whole number"):
        build(Outer, {"epochs": "two"})
    with pytest.raises(ConfigError, match=r"^set.inner.share: 'x' is not a number"):
        build(Outer, {"inner": {"share": "x"}}, "set")
