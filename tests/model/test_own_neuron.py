"""Networks whose neurons are from outside the package: folded, on spikes, as integers, exported, saved and loaded."""

import json

import pytest
import torch
from safetensors import safe_open
from tests.helpers.networks import lively
from tests.helpers.own_neurons import Clips, Crooked, Leaks, PerChannel, Ternary
from torch import nn

import spikeyolo
from spikeyolo.errors import CheckpointError, ConfigError, VerificationError
from spikeyolo.exporting.engines import in_engine
from spikeyolo.exporting.graph import read_graph
from spikeyolo.metering.counting import count_layers
from spikeyolo.model.forms.form import Form
from spikeyolo.model.presets import NetworkConfig
from spikeyolo.spiking.monitor import watch_counts
from spikeyolo.spiking.neurons import LIF, PLIF, ArctanILIF, FastSigmoidILIF, HardResetLIF, SigmoidILIF
from spikeyolo.training.optimization import parameter_groups

IMAGES = torch.rand(1, 3, 32, 64, generator=torch.Generator().manual_seed(0))

SMALL = NetworkConfig(width=0.0625, repeats=(1, 1, 1, 1))

ALL = [(LIF, 1), (HardResetLIF, 1), (PLIF, 4), (ArctanILIF, 4), (SigmoidILIF, 3), (FastSigmoidILIF, 7)]
OWN = [(Ternary, 4), (Crooked, 4), (PerChannel, 4)]
ADDITIONS = [(LIF, 1), (HardResetLIF, 1), (ArctanILIF, 4), (Ternary, 4), (PerChannel, 4)]


def network(kind, max_count, timesteps=2, dtype=torch.float64):
    model = lively(SMALL, dtype=dtype, neuron=kind, max_count=max_count, timesteps=timesteps, num_classes=2)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".neuron." in name:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


@torch.no_grad()
def assert_alive(model, images):
    """A network that is silent or saturated would be equal to anything."""
    with watch_counts(model) as mean:
        model(images)
    assert 0.02 < mean.value() / model.config.max_count < 0.9


@pytest.mark.few(1)
@pytest.mark.parametrize(("kind", "max_count"), ALL + OWN, ids=lambda value: getattr(value, "__name__", None))
@torch.no_grad()
def test_folds_and_runs_on_spikes_as_it_was_trained(kind, max_count):
    model, images = network(kind, max_count), IMAGES.double()
    assert_alive(model, images)
    expected = model(images)
    for folded in (model.fold(), model.fold(dense=True), model.to_spike_driven(), model.to_spike_driven("binary")):
        for ours, theirs in zip(folded(images), expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-8)


@pytest.mark.few(1)
@pytest.mark.parametrize(("kind", "max_count"), ADDITIONS, ids=lambda value: getattr(value, "__name__", None))
@pytest.mark.parametrize(("timesteps", "code"), [(1, "binary"), (3, "unary")])
def test_neurons_of_additions_are_proven_with_the_network(kind, max_count, code, timesteps):
    model = network(kind, max_count, timesteps, torch.float32)
    audit = spikeyolo.verify_spike_driven(model.to_spike_driven(code), IMAGES)
    assert len(audit.spiking_convolutions) == sum(isinstance(part, kind) for part in model.modules())
    assert audit.pooled == {"potentials"}  # nobody knows whether a neuron of one's own rises
    slots = max_count if code == "unary" else max_count.bit_length()
    assert set(audit.spiking_convolutions.values()) == {slots}


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (Crooked, "neuron: mul of potentials and potentials is a product"),
        (PLIF, "neuron: mul of constants and potentials is a product"),
        (Leaks, "neuron: its counts come from something that cannot be watched"),
        (Clips, "Clips gives counts that are not whole numbers 0..4"),
    ],
)
def test_what_is_no_addition_in_a_neuron_is_found(kind, says):
    with pytest.raises(VerificationError, match=rf"^backbone.stage1.0.token_mixer.0.*{says}"):
        spikeyolo.verify_spike_driven(network(kind, 4, dtype=torch.float32).to_spike_driven(), IMAGES)


class Erratic(ArctanILIF):
    """Another count each time."""

    def step(self, current, v):
        return super().step(current + torch.rand_like(torch.zeros(current.shape)), v)


@pytest.mark.long
def test_a_neuron_that_never_fires_twice_alike_is_found():
    with pytest.raises(VerificationError, match="spike counts are not those of the trained network"):
        spikeyolo.verify_spike_driven(network(Erratic, 4, dtype=torch.float32).to_spike_driven(), IMAGES)


@torch.no_grad()
def test_counts_are_looked_at_without_the_verifier_too():
    with pytest.raises(VerificationError, match="not whole numbers"):
        network(Clips, 4, dtype=torch.float32).to_spike_driven()(IMAGES)


@pytest.mark.long
@pytest.mark.parametrize("timesteps", [1, 2])
@torch.no_grad()
def test_with_another_surrogate_alone_it_is_the_same_network_in_every_form(timesteps):
    own = network(ArctanILIF, 4, timesteps, torch.float32)
    published = spikeyolo.SpikeYOLO(SMALL, timesteps=timesteps, num_classes=2)
    published.load_state_dict(own.state_dict())
    published.eval()
    integers = own.to_integer(), published.to_integer()
    assert integers[0].fraction_bits == integers[1].fraction_bits
    for ours, theirs in (
        (own, published),
        integers,
        (own.to_integer("binary"), integers[1]),
        (own.to_spike_driven(), published.to_spike_driven()),
    ):
        assert all(torch.equal(one, other) for one, other in zip(ours(IMAGES), theirs(IMAGES), strict=True))
    for form in (Form.SEPARABLE, Form.DENSE):
        graphs = [read_graph(model.fold(dense=form is Form.DENSE)) for model in (own, published)]
        assert graphs[0].neurons == graphs[1].neurons


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (LIF, "to_integer: spikeyolo.spiking.neurons:LIF has no as_ilif"),
        (PLIF, r"to_integer: spikeyolo.spiking.neurons:PLIF has numbers of its own \(raw_decay, log_threshold\)"),
        (PerChannel, r"to_integer: tests.helpers.own_neurons:PerChannel has numbers of its own \(offset, calls\)"),
    ],
)
def test_integers_hold_no_other_neuron(kind, says):
    with pytest.raises(ConfigError, match=f"^{says}"):
        network(kind, 1).to_integer()


class Shifted(ArctanILIF):
    """With a decay that is no power of two."""

    decay = 0.3


def test_integers_can_only_shift_for_neurons_of_ones_own_too():
    with pytest.raises(ConfigError, match=r"decay: 0.3 is not 1, 1/2, 1/4"):
        network(Shifted, 4).to_integer()


@pytest.mark.few(1)
@pytest.mark.parametrize(("kind", "max_count"), [(PLIF, 4), (ArctanILIF, 4)])
def test_exported_to_onnx_it_is_the_neuron_itself(kind, max_count, tmp_path):
    """PyTorch runs the class, ONNX Runtime the I-LIF neuron that it is: the same bits, on sums that are not rounded."""
    pytest.importorskip("onnxruntime")
    model = network(kind, max_count, dtype=torch.float32)
    done = spikeyolo.export(model, "onnx", tmp_path / "own.onnx", imgsz=64, outputs="logits", dense=True)
    assert done.parity.samples
    assert set(done.parity.largest.values()) == {0.0}


@pytest.mark.parametrize(("format", "suffix"), [("onnx", ".onnx"), ("integer", ""), ("nir", ".nir")])
def test_a_format_that_cannot_hold_it_says_so_and_leaves_nothing(format, suffix, tmp_path):
    pytest.importorskip("onnx")
    model = network(LIF, 1, timesteps=1, dtype=torch.float32)
    with pytest.raises(ConfigError, match=r"spikeyolo\.spiking\.neurons:LIF has no as_ilif"):
        spikeyolo.export(model, format, tmp_path / f"out{suffix}", imgsz=64)
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


class OfItsWidth(ArctanILIF):
    """With another decay in wide layers."""

    def __init__(self, channels, max_count):
        super().__init__(channels, max_count)
        self.decay = 0.5 if channels > 16 else 0.25


@pytest.mark.parametrize(
    ("kind", "format", "suffix", "says"),
    [
        (PLIF, "nir", ".nir", "nir: layers of neurons have gains of their own"),
        (OfItsWidth, "integer", "", "integer: layers of neurons with rules of their own"),
    ],
)
def test_a_format_with_one_rule_for_all_layers_says_so(kind, format, suffix, says, tmp_path):
    pytest.importorskip("nir")
    model = network(kind, 4, timesteps=1, dtype=torch.float32)
    with pytest.raises(ConfigError, match=f"^{says}"):
        spikeyolo.export(model, format, tmp_path / f"out{suffix}", imgsz=64)
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


def test_engines_leave_it_to_pytorch_and_say_why_where_one_is_named():
    model = network(LIF, 1, timesteps=1, dtype=torch.float32).fold()
    assert in_engine(model, model.input) is model
    with pytest.raises(ConfigError, match=r"engine: onnxruntime runs I-LIF neurons, the model has spikeyolo.*as_ilif"):
        in_engine(model, model.input, "onnxruntime")


@torch.no_grad()
def test_energy_counts_its_spikes():
    model = network(Ternary, 4, dtype=torch.float32)
    layers = count_layers(model, [IMAGES])
    spiking, seen = model.to_spike_driven(), {}
    for name, unit in spiking.named_modules():
        if isinstance(getattr(unit, "neuron", None), Ternary):
            unit.neuron.register_forward_hook(lambda m, i, counts, name=name: seen.update({name: counts}))
    spiking(IMAGES)
    assert [layer.name for layer in layers[1:]] == [*seen]
    for layer in layers[1:]:
        assert layer.mean_count == pytest.approx(seen[layer.name].double().mean().item())
    assert all(layer.histogram[0][1] == layer.histogram[0][3] == 0 for layer in layers[1:])  # of 1 and 3 there are none


@pytest.mark.few(2)
@pytest.mark.parametrize("form", ["trainable", "separable", "dense", "spike-driven"])
@pytest.mark.parametrize(("kind", "max_count"), [(PLIF, 4), (PerChannel, 4), (LIF, 1)])
@torch.no_grad()
def test_saved_by_name_it_loads_again_in_every_form(kind, max_count, form, tmp_path):
    model = network(kind, max_count, dtype=torch.float32)
    model = {
        "trainable": lambda: model,
        "separable": model.fold,
        "dense": lambda: model.fold(dense=True),
        "spike-driven": model.to_spike_driven,
    }[form]()
    file = tmp_path / "own.safetensors"
    model.save(file)
    with safe_open(file, framework="pt") as opened:
        assert json.loads(opened.metadata()["config"])["neuron"] == f"{kind.__module__}:{kind.__name__}"
    loaded = spikeyolo.load(file)
    assert loaded.config == model.config
    assert all(torch.equal(one, other) for one, other in zip(loaded(IMAGES), model(IMAGES), strict=True))


@torch.no_grad()
def test_an_integer_file_loads_again(tmp_path):
    model = network(ArctanILIF, 4, dtype=torch.float32).to_integer()
    model.save(tmp_path / "own.safetensors")
    loaded = spikeyolo.load(tmp_path / "own.safetensors")
    assert all(torch.equal(one, other) for one, other in zip(loaded(IMAGES), model(IMAGES), strict=True))


def saved_in_a_notebook(path):
    """A file that was written where the class stood in another module."""
    model = network(PLIF, 4, dtype=torch.float32)
    object.__setattr__(model.config, "neuron", "__main__:PLIF")
    model.save(path)
    return model


@torch.no_grad()
def test_a_class_that_has_moved_is_given_to_load(tmp_path):
    file = tmp_path / "own.safetensors"
    model = saved_in_a_notebook(file)
    with pytest.raises(CheckpointError, match="'__main__:PLIF' is a class from outside the package"):
        spikeyolo.load(file)
    for given in (PLIF, "spikeyolo.spiking.neurons:PLIF"):
        loaded = spikeyolo.load(file, neuron=given)
        assert loaded.config.neuron == "spikeyolo.spiking.neurons:PLIF"
        assert all(torch.equal(one, other) for one, other in zip(loaded(IMAGES), model(IMAGES), strict=True))
    with pytest.raises(
        CheckpointError, match=r"the network has '__main__:PLIF', not tests.helpers.own_neurons:Crooked"
    ):
        spikeyolo.load(file, neuron=Crooked)


def test_a_file_of_the_packages_own_neurons_takes_no_other(tmp_path):
    file = tmp_path / "coco.safetensors"
    lively(dtype=torch.float32, num_classes=2).save(file)
    with pytest.raises(CheckpointError, match=r"the network has 'coco', not .*PLIF; leave that out"):
        spikeyolo.load(file, neuron=PLIF)


@pytest.mark.parametrize(
    "setting", [{"decay": 0.5}, {"gain": 2.0}, {"learned_scale": "layer"}, {"surrogate_width": 1.0}]
)
def test_settings_of_ilif_are_not_those_of_another_neuron(setting):
    with pytest.raises(ConfigError, match=rf"{next(iter(setting))}.*a spikeyolo.spiking.neurons:PLIF has neither"):
        spikeyolo.SpikeYOLO("t", neuron=PLIF, **setting)


@pytest.mark.parametrize("kind", [PLIF, PerChannel])
def test_it_learns_and_its_numbers_do_not_decay(kind):
    model = network(kind, 4, dtype=torch.float32).train()
    sum(level.square().mean() for level in model(IMAGES)).backward()
    own = {name: p for name, p in model.named_parameters() if ".neuron." in name}
    assert own
    # At T = 2 all of them have a part in it, the decay too.
    assert sum(bool(p.grad is not None and p.grad.abs().sum() > 0) for p in own.values()) > 0.9 * len(own)
    decaying = {id(p) for group in parameter_groups(model, 0.1) if group["weight_decay"] for p in group["params"]}
    assert not decaying & {id(p) for p in own.values()}
    assert {id(m.weight) for m in model.modules() if isinstance(m, nn.Conv2d)} == decaying


@torch.no_grad()
def test_streams_in_parts_as_in_one_pass():
    model = network(Ternary, 4, timesteps=4)
    frames = torch.rand(4, 1, 3, 32, 64, dtype=torch.float64)
    for form in (model.fold(), model.to_spike_driven()):
        whole, state = form(frames, {})
        first, state_of_first = form(frames[:2], {})
        second, state_of_second = form(frames[2:], state_of_first)
        for one, two, every in zip(first, second, whole, strict=True):
            torch.testing.assert_close((one + two) / 2, every)
        assert state.keys() == state_of_second.keys()
        assert all(torch.allclose(state[name], state_of_second[name]) for name in state)
