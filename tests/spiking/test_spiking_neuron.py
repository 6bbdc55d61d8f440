"""A neuron from outside the package: what it must offer, and how it is found by its name and by that alone."""

import sys

import pytest
import torch
from tests.helpers.own_neurons import Crooked, Ternary

from spikeyolo.errors import ConfigError, ShapeError, VerificationError
from spikeyolo.model.blocks import ClippedReLU
from spikeyolo.spiking import ILIF, SpikingNeuron
from spikeyolo.spiking.neurons import PLIF, ArctanILIF
from spikeyolo.spiking.spiking_neuron import (
    check_counts,
    find_neuron,
    ilif_of,
    import_neuron,
    make_own,
    name_of,
    neuron_name,
)


class NoStep(SpikingNeuron):
    pass


class OtherArguments(SpikingNeuron):
    def __init__(self, size):
        super().__init__(size, 4)

    def step(self, current, v):
        return current, v


class OtherCount(SpikingNeuron):
    def __init__(self, channels, max_count):
        super().__init__(channels, 2)

    def step(self, current, v):
        return current, v


class KeepsATensor(ArctanILIF):
    def __init__(self, channels, max_count):
        super().__init__(channels, max_count)
        self.noise = torch.ones(3)


class KeepsABuffer(ArctanILIF):
    def __init__(self, channels, max_count):
        super().__init__(channels, max_count)
        self.register_buffer("noise", torch.ones(3), persistent=False)


class WrongShape(SpikingNeuron):
    def step(self, current, v):
        return current.sum(1), v


class Lies(ArctanILIF):
    """Says that it is another I-LIF than it is."""

    def as_ilif(self):
        return ILIF(0.5, 1.0, self.max_count)


class RoundsUp(ArctanILIF):
    """Differs from I-LIF at the thresholds alone."""

    def step(self, current, v):
        h = current + 0.25 * v
        counts = (h + 0.5).floor().clamp(0, self.max_count)
        return counts, h - counts


class OfOtherCount(ArctanILIF):
    def as_ilif(self):
        return ILIF(0.25, 1.0, 16)


class Scaled(ArctanILIF):
    def as_ilif(self):
        return ILIF(0.25, 1.0, self.max_count, scales=1)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (NoStep, r"has no step\(current, v\)"),
        (OtherArguments, r"OtherArguments\(64, 4\) cannot be made \(TypeError"),
        (OtherCount, "has max_count 2, the network 4"),
        (KeepsATensor, "keeps noise, a tensor, which is not saved; make it a buffer"),
        (KeepsABuffer, "keeps noise, a buffer that is not saved"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_neuron_that_cannot_be_used_says_why(kind, says):
    with pytest.raises(ConfigError, match=rf"^neuron: {name_of(kind).removesuffix(kind.__name__)}.*{says}"):
        make_own(name_of(kind), 64, 4)


def test_a_step_that_gives_another_shape_is_refused():
    with pytest.raises(ShapeError, match=r"WrongShape: its step gives counts \(1, 5, 5\) of currents \(1, 3, 5, 5\)"):
        make_own(name_of(WrongShape), 3, 4)(torch.zeros(2, 1, 3, 5, 5))


def test_a_state_of_several_variables_goes_from_call_to_call():
    # Ternary keeps what it fired, too: two variables in one tensor.
    x = torch.randn(6, 2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    neuron, state = Ternary(3, 4), {}
    parts = torch.cat([neuron(x[:2], state), neuron(x[2:], state)])
    assert torch.equal(parts, neuron(x))
    assert state[""].shape == (2, 2, 3, 4, 4)


def test_names():
    assert neuron_name("gen1") == "gen1"
    assert neuron_name(ArctanILIF) == "spikeyolo.spiking.neurons:ArctanILIF"
    assert find_neuron("spikeyolo.spiking.neurons:PLIF") is PLIF

    class Hidden(ArctanILIF):
        pass

    for given, says in (
        (Hidden, "<locals>.Hidden is defined in a function"),
        (ArctanILIF(3, 4), "neither a name nor a subclass"),
        (lambda channels, max_count: ArctanILIF(channels, max_count), "neither a name nor a subclass"),
        (torch.nn.Linear, "neither a name nor a subclass"),
    ):
        with pytest.raises(ConfigError, match=says):
            neuron_name(given)


def test_of_a_class_that_is_defined_again_the_newest_counts():
    def define():
        return type("Again", (ArctanILIF,), {"__module__": "a.notebook", "__qualname__": "Again"})

    first, second = define(), define()
    assert find_neuron("a.notebook:Again") is second
    assert neuron_name(second) == "a.notebook:Again"
    with pytest.raises(ConfigError, match=r"a.notebook:Again was defined again"):
        neuron_name(first)


@pytest.mark.parametrize(
    "name",
    ["os:system", "torch.nn:Linear", "nowhere:Mine", "spikeyolo.spiking:ILIF", ":", "a:b:c", "x" * 10_000 + ":y"],
)
def test_a_name_stands_for_a_neuron_that_is_there_or_for_nothing(name):
    before = set(sys.modules)
    with pytest.raises(ConfigError, match="none is imported because a file names it") as caught:
        find_neuron(name)
    assert len(str(caught.value)) < 400
    assert set(sys.modules) == before


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


MINE = "from spikeyolo.spiking.neurons import ArctanILIF\nclass Mine(ArctanILIF):\n    pass\n"


def test_the_user_has_a_module_of_the_working_directory_imported_by_its_name(here):
    (here / "mine_of_the_test.py").write_text(MINE)
    assert import_neuron("mine_of_the_test:Mine") == "mine_of_the_test:Mine"
    assert find_neuron("mine_of_the_test:Mine").__module__ == "mine_of_the_test"
    # By another name, the class has its own.
    (here / "again_of_the_test.py").write_text("from mine_of_the_test import Mine\n")
    assert import_neuron("again_of_the_test:Mine") == "mine_of_the_test:Mine"


def test_a_file_of_the_working_directory_takes_no_installed_packages_place(here):
    (here / "hypothesis.py").write_text("raise AssertionError('this is not hypothesis')\n")
    with pytest.raises(ConfigError, match="hypothesis has no class Mine; nor any other subclass"):
        import_neuron("hypothesis:Mine")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("mine", None, "'mine' is not a name such as package.module:Class"),
        ("mine:", None, "is not a name such as"),
        ("../mine:Mine", None, "is not a name such as"),
        ("mine_broken:Mine", None, "there is no module 'mine_broken'"),
        ("mine_broken.inner:Mine", MINE, r"there is no module 'mine_broken.inner'"),
        ("mine_broken:Mine", "import not_there_at_all\n", "needs the module not_there_at_all, which is not there"),
        ("mine_broken:Mine", "1 / 0\n", r"cannot be imported \(ZeroDivisionError: division by zero\)"),
        ("mine_broken:Mine", "class\n", r"cannot be imported \(SyntaxError"),
        ("mine_broken:Mime", MINE, "has no class Mime; it has ArctanILIF, Mine"),
        ("mine_broken:Mine", "class Mine:\n    pass\n", "is no subclass of spikeyolo.SpikingNeuron"),
        ("mine_broken:Mine", "def Mine(channels, max_count):\n    pass\n", "is no subclass of spikeyolo.SpikingNeuron"),
    ],
)
def test_a_name_that_cannot_be_imported_is_one_line(here, name, content, says):
    if content is not None:
        (here / "mine_broken.py").write_text(content)
    with pytest.raises(ConfigError, match=f"^neuron: .*{says}") as caught:
        import_neuron(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("neuron", "says"),
    [
        (Crooked(3, 4), "^export: tests.helpers.own_neurons:Crooked has no as_ilif"),
        (ClippedReLU(4), "^export: a network with neuron='relu' has no spikes"),
        (Lies(3, 4), "Lies gives other counts than the neuron itself"),
        (RoundsUp(3, 4), "RoundsUp gives other counts than the neuron itself"),
        (OfOtherCount(3, 4), "no ILIF without scale and of its D"),
        (Scaled(3, 4), "no ILIF without scale and of its D"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, torch.nn.Module) else None,
)
def test_what_is_no_ilif_neuron_is_not_taken_for_one(neuron, says):
    with pytest.raises(ConfigError, match=says):
        ilif_of(neuron, "export")


def test_an_ilif_neuron_is_known_as_one_and_has_its_place():
    neuron = ArctanILIF(3, 4)
    neuron.name = "somewhere"
    found = ilif_of(neuron.train(), "export")
    assert (found.decay, found.gain, found.max_count, found.name) == (0.25, 1.0, 4, "somewhere")
    assert neuron.training


@pytest.mark.parametrize("wrong", [0.5, -1.0, 5.0, float("nan")])
def test_counts_that_slots_cannot_carry_are_refused(wrong):
    neuron = Ternary(3, 4)
    neuron.name = "head.here"
    check_counts(torch.tensor([0.0, 1.0, 4.0]), neuron)
    with pytest.raises(VerificationError, match=r"^head\.here: .*Ternary gives counts that are not whole numbers 0..4"):
        check_counts(torch.tensor([0.0, wrong]), neuron)
