"""Files that name a neuron from outside the package, and options that do."""

from __future__ import annotations

from pathlib import Path

from tests.trust.cases_weights import ENERGY, PREDICT, TRAIN, VAL
from tests.trust.harness import Case
from tests.trust.weights import MODEL, Prepare, config, run_with, write

from spikeyolo.training.settings import read_settings

THERE = "tests.trust.never_imported:Mine"
"""That can be imported, and is not."""

REFUSED = "none is imported because a file names it"
NEW = "train --data data.yaml --model t --imgsz 64 --epochs 1 --workers 0 --batch 2 --device cpu"
SWEEP = f"sweep --weights {MODEL} --data data.yaml --device cpu --workers 0"
BENCHMARK = f"benchmark --weights {MODEL} --data data.yaml"
EXPORT = f"export --weights {MODEL} --format onnx --out out.onnx"
NEURONS = "spikeyolo.spiking.neurons"


def wrote(name: str, content: str) -> Prepare:
    return lambda folder: write(folder / name, content.encode())


def both(first: Prepare, second: Prepare) -> Prepare:
    def prepare(folder: Path) -> None:
        first(folder)
        second(folder)

    return prepare


def of_run(neuron: str) -> Prepare:
    """The settings of a run say that it trained a neuron."""

    def prepare(folder: Path) -> None:
        file = folder / "run/config.yaml"
        read_settings(file)
        file.write_text(file.read_text().replace("neuron: null", f"neuron: {neuron!r}"))
        assert neuron in file.read_text()

    return run_with(prepare)


def named(what: str, neuron: object, *says: str, command: str = PREDICT, **more: object) -> Case:
    """A file of weights that names a neuron."""
    return Case(f"neurons: {what}", command, (MODEL, *says), config(neuron=neuron, **more))


def given(what: str, words: str, *says: str, code: int = 1) -> Case:
    return Case(f"neurons: {what}", words, says, code=code)


CASES = [
    *[
        named(f"a file that names a module, {command.split()[0]}", THERE, THERE, REFUSED, command=command)
        for command in (PREDICT, VAL, ENERGY, TRAIN, SWEEP, BENCHMARK, EXPORT)
    ],
    named("a file that names a function", "os:system", "'os:system'", REFUSED),
    named("a file that names a class of torch", "torch.nn:Linear", REFUSED, command=VAL),
    named("a file that names the base of all", "spikeyolo.spiking.spiking_neuron:SpikingNeuron", REFUSED),
    named("a file that names what is no name", "../../evil.py:Mine", REFUSED),
    named("a file that names nothing", ":", REFUSED),
    named("a file with a name in control characters", "a:\x1b[31mb\n", r"a:\x1b[31mb\n"),
    named("a file with a name of 100,000 letters", "x" * 100_000 + ":y", "xxx", REFUSED),
    named("a file whose neuron has other tensors", f"{NEURONS}:PLIF", "missing", "raw_decay", command=VAL),
    named("a file whose neuron fires once at most", f"{NEURONS}:LIF", "max_count", "one spike", command=ENERGY),
    named("a file with a decay beside a neuron", f"{NEURONS}:PLIF", "decay", "has neither", decay=0.5),
    Case(
        "neurons: a recipe that names a module",
        f"{NEW} --config recipe.yaml",
        (THERE, REFUSED, "--neuron"),
        wrote("recipe.yaml", f"neuron: {THERE}\n"),
    ),
    Case(
        "neurons: options in a file that name a module",
        f"{VAL} --config options.yaml",
        ("the network has 'coco'", THERE),
        wrote("options.yaml", f"neuron: {THERE}\n"),
    ),
    Case(
        "neurons: options in a file that name a module, as the weights do",
        f"{VAL} --config options.yaml",
        (MODEL, THERE, REFUSED),
        both(wrote("options.yaml", f"neuron: {THERE}\n"), config(neuron=THERE)),
    ),
    Case(
        "neurons: a run that names a module",
        "train --resume run --device cpu",
        (THERE, REFUSED, "--neuron"),
        of_run(THERE),
    ),
    Case(
        "neurons: a run that names another than the user",
        f"train --resume run --device cpu --neuron {NEURONS}:ArctanILIF",
        (THERE, "cannot become", f"{NEURONS}:ArctanILIF"),
        of_run(THERE),
    ),
    given("an option without a module", f"{VAL} --neuron nowhere.at.all:Mine", "no module 'nowhere.at.all'"),
    given("an option with a function", f"{PREDICT} --neuron os:system", "os:system is no subclass"),
    given(
        "an option with a class that is not there", f"{ENERGY} --neuron {NEURONS}:Lif", "no class Lif", "HardResetLIF"
    ),
    given("an option in words", f"{NEW} --neuron lif", "'lif' is not one of coco, gen1, relu"),
    given("an option that is no name", f"{NEW} --neuron ./mine.py:Mine", "not a name such as package.module:Class"),
    given("an option with a path", f"{VAL} --neuron ../mine:Mine", "not a name such as package.module:Class"),
    given("an option for weights of another neuron", f"{VAL} --neuron {NEURONS}:PLIF", MODEL, "the network has 'coco'"),
    given("an option for one spike at most", f"{NEW} --neuron {NEURONS}:LIF", "max_count", "give 1, not 4"),
    given(
        "an option for a published checkpoint",
        f"val --weights best.pt --data data.yaml --neuron {NEURONS}:PLIF",
        "a published checkpoint has its own",
    ),
]
