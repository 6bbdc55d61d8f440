"""Networks that torch.compile has: what runs compiled, what the user is told, and what happens where it fails."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from tests.helpers.compilers import Compiler
from tests.helpers.networks import lively

from spikeyolo import SpikeYOLO, load
from spikeyolo.errors import ConfigError, ShapeError
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.model import compiling
from spikeyolo.model.compiling import compile_network
from spikeyolo.spiking.monitor import watch_counts
from spikeyolo.training.aids.neck import neck_features

PASS = ["SpikingNetwork.features", "DetectHead.forward"]
IMAGES = torch.rand(2, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def compiler(monkeypatch):
    stands_in = Compiler()
    monkeypatch.setattr(torch, "compile", stands_in)
    return stands_in


@pytest.fixture
def told():
    return []


@pytest.fixture
def model(compiler, told):
    return compile_network(lively(num_classes=2), told.append)


def test_it_is_said_once_for_each_mode_and_other_sizes_run_as_they_are(model, compiler, told):
    eager = copy.deepcopy(model)
    for images, ran in ((IMAGES, PASS), (IMAGES, PASS), (IMAGES[:1], []), (IMAGES, PASS)):
        compiler.calls.clear()
        with torch.no_grad():
            assert all(torch.equal(a, b) for a, b in zip(model(images), eager(images), strict=True))
        assert compiler.calls == ran
    assert told == ["compiling the network for evaluation: its first batch can take minutes"]
    model.train()(IMAGES[:1])
    assert told[1:] == ["compiling the network for training: its first batch can take minutes"]
    assert model.engine == f"torch {torch.__version__}, compiled"


def test_what_watches_inside_sees_every_neuron_because_it_runs_as_it_is(model, compiler):
    model(IMAGES)
    compiler.calls.clear()
    with watch_counts(model) as seen:
        model(IMAGES)
    assert compiler.calls == []
    with watch_counts(eager := copy.deepcopy(model)) as expected:
        eager(IMAGES)
    assert seen.value() == expected.value() > 0
    model(IMAGES)
    assert compiler.calls == PASS


def test_features_of_the_neck_are_handed_out_between_two_graphs(model, compiler):
    with neck_features(model) as found:
        model(IMAGES)
    assert compiler.calls == PASS
    with neck_features(eager := copy.deepcopy(model)) as expected:
        eager(IMAGES)
    assert all(torch.equal(a, b) for a, b in zip(found[0], expected[0], strict=True))
    assert model.watchers == []


def test_copies_and_files_are_those_of_the_network_alone(model, tmp_path):
    names = list(lively(num_classes=2).state_dict())
    model(IMAGES)
    assert list(model.state_dict()) == names
    for one in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), model.fold()):
        assert one.compiled is None
        assert one.engine == f"torch {torch.__version__}"
    model.save(tmp_path / "model.safetensors")
    loaded = load(tmp_path / "model.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(loaded(IMAGES), model(IMAGES), strict=True))


def test_prediction_compiles_the_folded_network(model, compiler, told):
    model.input = ImageInput.of(64)
    image = np.zeros((64, 64, 3), np.uint8)
    eager = copy.deepcopy(model).predict(image, conf=0.001)
    for _ in range(2):
        assert torch.equal(model.predict(image, conf=0.001)[0].boxes, eager[0].boxes)
    assert compiler.calls == PASS * 2
    assert len(told) == 1


def test_streams_run_as_they_are_and_are_refused_where_they_are_asked_for(model, compiler):
    logits, state = model(IMAGES, {})
    assert compiler.calls == []
    assert state
    assert all(torch.equal(a, b) for a, b in zip(logits, model(IMAGES), strict=True))
    with pytest.raises(ConfigError, match="compile: not with potentials that are carried on"):
        model.check_carry()


@pytest.mark.parametrize("form", ["to_spike_driven", "to_integer"])
def test_forms_that_prove_something_are_refused(form):
    with pytest.raises(ConfigError, match=r"compile: the .* form proves what hardware computes"):
        compile_network(getattr(lively(num_classes=2), form)())


@pytest.mark.parametrize("fails", ["small", "forward"])
def test_where_it_fails_the_network_runs_as_it_is_and_one_line_says_why(model, compiler, told, fails):
    compiler.fails = fails
    eager = copy.deepcopy(model)
    for _ in range(2):
        assert all(torch.equal(a, b) for a, b in zip(model(IMAGES), eager(IMAGES), strict=True))
    *says, why = told
    assert len(says) == (fails == "forward")  # without a compiler the network is not begun with
    assert why == "torch.compile fails here, so the network runs as it is, uncompiled: RuntimeError: no luck and more"
    assert model.engine == f"torch {torch.__version__}"


def test_where_there_is_no_torch_compile_the_network_runs_as_it_is(monkeypatch, told):
    def unsupported(function, **options):
        raise RuntimeError("torch.compile is not supported on Python 3.99+")

    monkeypatch.setattr(torch, "compile", unsupported)
    model = lively(num_classes=2)
    eager = copy.deepcopy(model)
    compile_network(model, told.append)
    assert all(torch.equal(a, b) for a, b in zip(model(IMAGES), eager(IMAGES), strict=True))
    (why,) = told
    assert why.endswith("uncompiled: RuntimeError: torch.compile is not supported on Python 3.99+")


@pytest.mark.parametrize(
    "error", [ShapeError("of a neuron of one's own"), torch.OutOfMemoryError("CUDA out of memory")]
)
def test_errors_that_are_not_the_compilers_are_raised(model, compiler, told, error):
    compiler.fails, compiler.error = "forward", error
    with pytest.raises(type(error), match=str(error)):
        model(IMAGES)
    assert len(told) == 1
    assert model.compiled.reason is None


@pytest.mark.parametrize("fails", ["", "forward", "backward"])
def test_a_rehearsal_leaves_nothing_but_what_was_compiled(model, compiler, told, fails):
    compiler.fails = fails
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.compiled.rehearse(IMAGES)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())
    assert len(told) == 1 + bool(fails)
    compiler.calls.clear()
    sum(level.sum() for level in model(IMAGES)).backward()  # nothing fails any more
    assert compiler.calls == ([] if fails else PASS)


WITHOUT = """
import torch
from spikeyolo import SpikeYOLO
from spikeyolo.model.compiling import compile_network
model = compile_network(SpikeYOLO("t", num_classes=2).eval())
with torch.inference_mode():
    print(len(model(torch.zeros(1, 3, 64, 64))), "levels")
"""


@pytest.mark.long
def test_without_a_cpp_compiler_one_line_says_so(tmp_path):
    cache = {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path), "TORCHINDUCTOR_COMPILE_THREADS": "1"}
    environment = {**os.environ, **cache, "CXX": "/no/such/compiler"}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], env=environment, check=True, capture_output=True, text=True, timeout=300
    )
    why, levels = done.stdout.splitlines()
    assert why.startswith("torch.compile fails here, so the network runs as it is, uncompiled: ")
    assert "/no/such/compiler" in why
    assert levels == "3 levels"
    assert done.stderr == ""


CASES = {
    "coco": {},
    "gen1, T = 2": {"preset": "t-gen1", "timesteps": 2},
    "learned scales, T = 2": {"learned_scale": "channel", "timesteps": 2},
    "tails": {"surrogate_width": 0.5},
    "a neuron of one's own": {"neuron": "spikeyolo.spiking.neurons:PLIF"},
}


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.compile's own
@pytest.mark.parametrize("case", CASES)
def test_what_torch_compiles_is_the_network_with_its_gradients_and_statistics(monkeypatch, told, case):
    """By the back end that leaves operators as they are: in double precision no spike count hangs on rounding."""
    import spikeyolo.spiking.neurons  # noqa: F401 - so that one is found by its name

    torch.compiler.reset()
    monkeypatch.setattr(compiling, "BACKEND", "aot_eager")
    torch.manual_seed(0)
    eager = SpikeYOLO(CASES[case].get("preset", "t"), num_classes=2, **_without_preset(CASES[case])).double().train()
    compiled = compile_network(copy.deepcopy(eager), told.append)
    frames = torch.rand(2, 2, eager.config.in_channels, 64, 64).double() if "gen1" in case else IMAGES
    compiled.compiled.rehearse(frames)
    for network in (eager, compiled):
        sum(level.square().mean() for level in network(frames)).backward()
    for ours, theirs in zip(compiled.parameters(), eager.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
    torch.testing.assert_close(list(compiled.buffers()), list(eager.buffers()))
    with torch.inference_mode():
        found, expected = compiled.eval()(frames), eager.eval()(frames)
    torch.testing.assert_close(list(found), list(expected))
    assert len(told) == 2
    assert compiled.compiled.reason is None


def _without_preset(changes):
    return {name: value for name, value in changes.items() if name != "preset"}


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_code_for_the_processor_gives_the_same_logits_but_for_rounding(told):
    torch.compiler.reset()
    model = lively(num_classes=2).fold()
    with torch.inference_mode():
        expected = model(IMAGES)
        found = compile_network(model, told.append)(IMAGES)
    assert model.compiled.reason is None, told
    torch.testing.assert_close(list(found), list(expected), rtol=1e-9, atol=1e-9)
