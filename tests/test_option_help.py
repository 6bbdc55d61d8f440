"""Help that several commands and functions share."""

import inspect

import pytest

import spikeyolo
from spikeyolo.docstring import Docstring
from spikeyolo.option_help import IN_PYTHON, OPTIONS, described


def test_a_docstring_is_filled_up_in_the_order_of_the_signature():
    @described(split="of them")
    def look(split: str, conf: float, own: int, **other: int) -> None:
        """Look.

        Args:
            **other: more
            own: one
                in two lines

        Returns:
            Nothing.
        """

    assert inspect.getdoc(look) == "\n".join(
        [
            "Look.",
            "",
            "Args:",
            "    split: of them",
            "    conf: least score of a detection, 0..1",
            "    own: one in two lines",
            "    **other: more",
            "",
            "Returns:",
            "    Nothing.",
        ]
    )


def test_what_nothing_is_said_about_is_an_error():
    def look(nobody_knows: int) -> None:
        """Look.

        Args:

        Returns:
            Nothing.
        """

    with pytest.raises(KeyError, match="nobody_knows"):
        described()(look)


@pytest.mark.parametrize("name", ["val", "predict", "energy", "export", "benchmark", "train"])
def test_functions_say_what_all_their_parameters_are(name):
    function = getattr(spikeyolo, name)
    assert list(Docstring.of(function).parameters) == list(inspect.signature(function).parameters)


def test_what_python_takes_beside_is_said_there_alone():
    assert Docstring.of(spikeyolo.val).parameters["device"] == OPTIONS["device"] + IN_PYTHON["device"]
