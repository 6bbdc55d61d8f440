"""Learned scales in every form: folded away, the same counts as trained, additions alone."""

import copy
import math
from itertools import product

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tests.helpers.networks import lively, received, replace_forward

import spikeyolo
from spikeyolo.errors import CheckpointError, ConfigError, VerificationError
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.metering.counting import count_layers
from spikeyolo.model.forms.convert import as_dense
from spikeyolo.model.forms.integer import LIMIT, IntegerILIF, largest_values, scaled_thresholds, thresholds
from spikeyolo.model.forms.spike_driven import on_exact_grid, run_on_slots
from spikeyolo.model.forms.verify import verify_spike_driven
from spikeyolo.spiking import ILIF, ComparingILIF, scale_in_use

SHORT = {("layer", 1, "coco", 5), ("channel", 2, "gen1", 5)}
CASES = [
    pytest.param(*case, marks=[] if case in SHORT else [pytest.mark.long])
    for case in product(("layer", "channel"), (1, 2, 4), ("coco", "gen1"), (1, 5, 15))
]
NEURON = "neck.out4.channel_mixer.0.neuron"


def scaled(kind="channel", timesteps=1, neuron="coco", max_count=5, dtype=torch.float64, **changes):
    return lively(
        "t", dtype=dtype, num_classes=2, learned_scale=kind, timesteps=timesteps, neuron=neuron,
        max_count=max_count, input=ImageInput(), **changes,
    )  # fmt: skip


def pixels(dtype=torch.float64, rows=64, columns=64):
    return torch.randint(0, 256, (2, 3, rows, columns)).to(dtype) / 255


def same_bits(found, expected):
    return all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.long
@pytest.mark.parametrize(("kind", "timesteps", "neuron", "max_count"), CASES)
def test_every_form_is_the_trained_network(kind, timesteps, neuron, max_count):
    trained, images = scaled(kind, timesteps, neuron, max_count), pixels()
    logits = trained(images)
    dense, counts = received(trained.fold(dense=True), images)
    for folded in (dense, trained.fold()(images), trained.fold().fold(dense=True)(images)):
        for one, other in zip(folded, logits, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
    for code in ("unary", "binary"):
        spiking = trained.to_spike_driven(code)
        _, slots = received(spiking, images)
        assert not any(int((slots[name] != counts[name]).sum()) for name in counts)
        verify_spike_driven(spiking, images[:1])
    fired = torch.cat([c.flatten() for name, c in counts.items() if name != "backbone.stem"])
    assert 0.05 < (fired > 0).double().mean() < 0.95
    assert fired.unique().tolist() == [*map(float, range(max_count + 1))]


@pytest.mark.long
@pytest.mark.parametrize(("kind", "timesteps", "neuron", "max_count"), CASES)
def test_float32_and_integers_are_the_same_bits_in_both_codes_and_on_counts(kind, timesteps, neuron, max_count):
    trained, images = scaled(kind, timesteps, neuron, max_count, torch.float32), pixels(torch.float32)
    for make in (trained.to_spike_driven, trained.to_integer):
        assert same_bits(make("binary")(images), make("unary")(images))
    counted = trained.to_spike_driven("binary")
    run_on_slots(counted, on_slots=False)
    assert same_bits(counted(images), trained.to_spike_driven()(images))
    assert same_bits(as_dense(counted)(images), counted(images))  # which rounds H * (1 / s) and does not compare
    integer = trained.to_integer()
    assert max(largest_values(integer, 3).values()) < LIMIT
    exact = trained.to_spike_driven()(images)
    for one, other in zip(integer(images), exact, strict=True):  # weights of 8 bits flip some counts
        assert float((one - other).abs().mean()) < 0.5 * float(other.std())


def test_an_integer_neuron_compares_with_multiples_of_its_scale():
    layer = ILIF(max_count=3, scales=1)
    with torch.no_grad():
        layer.scale.fill_(5 / 64)
    integer = IntegerILIF(layer, 6)
    assert integer.scale.tolist() == [5]
    # 2.5, 7.5 and 12.5 are no integers: there are no ties. A spike takes 5 off.
    assert [int(threshold) for threshold in integer.thresholds] == [3, 8, 13]
    x = torch.tensor([2.0, 3, 7, 8, 12, 13, 99, -4]).view(1, 1, 1, 1, 8)
    state = {}
    assert integer(x, state).flatten().tolist() == [0, 1, 1, 2, 2, 3, 3, 0]
    assert state[""].flatten().tolist() == [2, -2, 2, -2, 2, -2, 84, -4]
    # 6 (k + 1/2) = 3, 9, 15: the tie itself fires where the count becomes even.
    assert scaled_thresholds(3, 6) == [4, 9, 16]
    assert thresholds(4, 6) == scaled_thresholds(4, 64) == [33, 96, 161, 224]


@pytest.mark.few(1)
@pytest.mark.parametrize("form", ["to_spike_driven", "to_integer"])
def test_a_stream_in_parts_equals_one_pass(form):
    made = getattr(scaled(timesteps=3, dtype=torch.float32), form)("binary")
    frames = torch.randint(0, 256, (3, 1, 3, 64, 64)).float() / 255
    _, whole = made(frames, {})
    state = {}
    for frame in frames:
        _, state = made(frame.unsqueeze(0), state)
    assert state.keys() == whole.keys()
    assert all(torch.equal(state[name], whole[name]) for name in whole)


@pytest.mark.few(2)
@pytest.mark.parametrize("kind", ["layer", "channel"])
@pytest.mark.parametrize("form", ["trainable", "separable", "dense", "spike-driven", "integer"])
def test_saved_and_loaded_in_every_form(kind, form, tmp_path):
    trained = scaled(kind, dtype=torch.float32, surrogate_width=0.5)
    made = {
        "trainable": lambda: trained,
        "separable": trained.fold,
        "dense": lambda: trained.fold(dense=True),
        "spike-driven": trained.to_spike_driven,
        "integer": trained.to_integer,
    }[form]()
    made.save(tmp_path / "m.safetensors")
    loaded, images = spikeyolo.load(tmp_path / "m.safetensors"), pixels(torch.float32)
    assert loaded.config == made.config
    assert loaded.form is made.form
    assert same_bits(loaded(images), made(images))
    if form in ("trainable", "separable", "dense"):  # what is made of the loaded one is what is made of the first
        assert same_bits(loaded.to_spike_driven("binary")(images), made.to_spike_driven("binary")(images))


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("form", "value"), [*product(["trainable", "integer"], [0, -1]), ("trainable", math.nan), ("trainable", math.inf)]
)
def test_damaged_scales_are_refused(form, value, tmp_path):
    trained = scaled("layer", dtype=torch.float32)
    made = trained.to_integer() if form == "integer" else trained
    path = tmp_path / "m.safetensors"
    made.save(path)
    tensors = load_file(path)
    tensors[f"{NEURON}.scale"].fill_(value)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    save_file(tensors, path, metadata)
    said = "a scale that is not positive" if isinstance(value, int) else "NaN or infinity"
    with pytest.raises(CheckpointError, match=f"{NEURON}.scale holds {said}; these weights are damaged"):
        spikeyolo.load(path)


def test_a_network_without_scales_has_no_further_tensors_and_old_files_load(tmp_path):
    plain = lively(num_classes=2, dtype=torch.float32)
    assert not any("scale" in name for name in plain.state_dict())
    values = {k: v for k, v in plain.config.to_dict().items() if k not in ("learned_scale", "surrogate_width")}
    assert type(plain.config).from_dict(values) == plain.config
    assert not any(isinstance(module, ComparingILIF) for module in plain.to_spike_driven().modules())


def test_counted_energy_is_that_of_the_counts():
    trained, images = scaled(dtype=torch.float32), pixels(torch.float32)
    exact = trained.to_spike_driven()
    _, counts = received(exact, images)
    layers = {layer.name: layer for layer in count_layers(trained, [images])}
    for name in ("neck.out4.channel_mixer.0", "head.box.1.2"):
        assert layers[name].mean_count == pytest.approx(float(counts[name].mean()))


def test_what_cannot_be():
    with pytest.raises(ConfigError, match="learned_scale: 'row' is not one of none, layer, channel"):
        spikeyolo.SpikeYOLO("t", learned_scale="row")
    with pytest.raises(ConfigError, match="learned_scale, surrogate_width: a relu has neither"):
        spikeyolo.SpikeYOLO("t", neuron="relu", learned_scale="layer")
    with pytest.raises(ConfigError, match=r"max_count: 64 is not an integer in 1\.\.63"):
        spikeyolo.SpikeYOLO("t", max_count=64)
    tiny = scaled("layer")
    with torch.no_grad():
        tiny.get_submodule(NEURON).scale.fill_(2.0**-10)
    with pytest.raises(ConfigError, match=f"{NEURON}: a learned scale below the least step of 6 fraction bits"):
        IntegerILIF(tiny.get_submodule(NEURON), 6)
    wide = torch.ones(1, 2**18, 3, 3)
    with pytest.raises(ConfigError, match="max_count: 63 spikes on each of 2359296 weights leave"):
        on_exact_grid(wide, torch.zeros(1), 63)


@pytest.mark.long
def test_weights_times_scales_on_the_grid_of_63_spikes():
    """6 bits fewer are left to the weights than at D = 1, and every sum is exact."""
    trained, images = scaled(max_count=63, dtype=torch.float32), pixels(torch.float32)
    spiking = trained.to_spike_driven("binary")
    verify_spike_driven(spiking, images[:1])
    assert same_bits(spiking(images), as_dense(spiking)(images))
    unit = spiking.get_submodule("neck.out4.channel_mixer.0")
    scale = scale_in_use(unit.neuron.scale).double()
    dense = trained.double().get_submodule("neck.out4.channel_mixer.0")
    folded = trained.fold(dense=True).get_submodule("neck.out4.channel_mixer.0").conv.weight
    assert dense.neuron.scale.numel() == len(scale) == folded.shape[1]
    error = (unit.synapses.weight.double() - folded).abs().amax() / folded.abs().amax()
    assert error < 2.0**-9


def scale_multiplied(neuron, forward):
    """The folded layer: H * (1 / s)."""
    return lambda x, state=None: ILIF.forward(neuron, x, state)


def reset_multiplied(neuron, forward):
    def cheat(x, state=None):
        counts = forward(x)
        state[neuron.name] = x[-1] - counts[-1] * scale_in_use(neuron.scale).view(-1, 1, 1)
        return counts

    return lambda x, state=None: forward(x) if state is None else cheat(x, state)


def gate(neuron, forward):
    return lambda x, state=None: forward(torch.where(x > 0, x, x + x), state)


def spikes_of_a_scale(neuron, forward):
    def cheat(x, state=None):
        return torch.where(forward(x, state) > 0, scale_in_use(neuron.scale).view(-1, 1, 1), 0.0)

    return cheat


def thresholds_rounded_up(neuron, forward):
    def cheat(x, state=None):
        scale = scale_in_use(neuron.scale).view(-1, 1, 1)
        spikes = [(x[0] >= scale * (k + 1)).to(x.dtype) for k in range(neuron.max_count)]
        return sum(spikes[1:], spikes[0]).unsqueeze(0)

    return lambda x, state=None: cheat(x) if state is None else forward(x, state)


CHEATS = [
    (scale_multiplied, "mul of potentials and constants is a product"),
    (reset_multiplied, "mul of spike counts and constants is a product"),
    (gate, "where on comparisons is not an addition"),
    (spikes_of_a_scale, "remainder on potentials is not an addition"),
    (thresholds_rounded_up, f"{NEURON.removesuffix('.neuron')}: .* spike counts are not those of the trained network"),
]


@pytest.fixture(scope="module")
def honest():
    network = scaled(dtype=torch.float32).to_spike_driven("binary")
    audit = verify_spike_driven(network)
    assert "88 convolutions on zeros and ones alone (264 slots), 1 on the image, no other product" in str(audit)
    assert audit.pooled == {"potentials"}  # channels of their own scales
    return network


@pytest.mark.long
@pytest.mark.parametrize(("cheat", "said"), CHEATS, ids=[c.__name__ for c, _ in CHEATS])
def test_verifier_catches(honest, cheat, said):
    network = copy.deepcopy(honest)
    replace_forward(network, NEURON, cheat)
    with pytest.raises(VerificationError, match=said):
        verify_spike_driven(network)
