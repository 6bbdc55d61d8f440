"""Rates, rasters and traces of neurons, against the layers themselves watched by hooks of the test."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from tests.helpers.networks import lively
from torch import nn

import spikeyolo
from spikeyolo.errors import ConfigError
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.imaging.io import read_rgb

LAYER = "backbone.stage1.0.channel_mixer.0"
SMALL = "backbone.stage4.0.token_mixer.0"
IMAGES = [np.random.default_rng(seed).integers(0, 255, (50, 70, 3), dtype=np.uint8) for seed in (0, 1, 2)]


@pytest.fixture(scope="module")
def model():
    return lively(num_classes=2, input=ImageInput((64, 64)), timesteps=2)


def received(network, images, layer):
    """What the convolution of a layer of the dense form is given: counts (T, B, C, H, W)."""
    seen = []
    unit = network.get_submodule(layer)
    conv = next(part for part in unit.modules() if isinstance(part, nn.Conv2d))
    hook = conv.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    canvases, _ = network.input.load(images)
    with torch.no_grad():
        network(torch.from_numpy(canvases).double() / 255)
    hook.remove()
    return seen[0].unflatten(0, (network.timesteps, len(images)))


def test_rates_are_those_of_the_counts(model):
    rates = spikeyolo.firing_rates(model, IMAGES, batch=2)
    counts = received(model.fold(dense=True), IMAGES, LAYER)
    rate = rates[LAYER]
    assert rate.mean_count == pytest.approx(float(counts.mean()), rel=1e-3)
    assert rate.firing_rate == pytest.approx(float(counts.mean()) / 4, rel=1e-3)
    assert rate.silent == pytest.approx(float((counts.sum(0) == 0).double().mean()), abs=2e-3)
    assert rate.saturated == pytest.approx(float((counts == 4).double().mean()), abs=2e-3)
    assert "backbone.stem" not in rates  # it sees the image
    assert next(iter(rates)).startswith("backbone.stage1")
    assert len(rates) == len(list(rates))


@pytest.mark.long
def test_rates_do_not_depend_on_how_images_come(model, tmp_path):
    expected = spikeyolo.firing_rates(model, IMAGES)
    canvases, _ = model.input.load(IMAGES)
    for images, batch in (
        (torch.from_numpy(canvases), 1),
        (torch.from_numpy(canvases) / 255, 8),
        ([Image.fromarray(image) for image in IMAGES], 2),
        (tuple(IMAGES), 3),
    ):
        assert dict(spikeyolo.firing_rates(model, images, batch=batch)) == dict(expected)
    assert dict(spikeyolo.firing_rates(model.fold(), IMAGES)) == dict(expected)
    one = spikeyolo.firing_rates(model, IMAGES[0], imgsz=(64, 32))
    assert (one.images, expected.images) == (1, 3)


def test_rates_are_shown_as_a_table(model):
    rates = spikeyolo.firing_rates(model, IMAGES[:1])
    lines = repr(rates).splitlines()
    assert f"mean of 1 image: {rates.overall:.1%} in all" in lines[0]
    (line,) = [line for line in lines if LAYER in line]
    assert f"{rates[LAYER].firing_rate:.1%}" in line
    assert LAYER in rates._repr_html_()


def test_frames_of_events():
    torch.manual_seed(0)
    model = lively("t-gen1", num_classes=2, in_channels=2, timesteps=3, input_levels=1)
    frames = torch.randint(0, 3, (3, 2, 2, 32, 64)).double()
    rates = spikeyolo.firing_rates(model, frames)
    assert rates.images == 2
    assert dict(spikeyolo.firing_rates(model, frames, batch=1)) == dict(rates)
    assert spikeyolo.spike_raster(model, frames[:, :1], LAYER).figure.axes


@pytest.mark.parametrize("code", ["unary", "binary"])
def test_a_raster_has_the_spikes_of_its_neurons(model, code):
    plot = spikeyolo.spike_raster(model, IMAGES[0], SMALL, neurons=10**6, slot_code=code)
    counts = received(model.fold(dense=True), IMAGES[:1], SMALL).flatten(1).long()
    shown = counts[:, counts.sum(0) > 0]
    slots = {0: [], 1: [0], 2: [0, 1], 3: [0, 1, 2], 4: [0, 1, 2, 3]}
    if code == "binary":  # weights 4, 2, 1
        slots = {0: [], 1: [2], 2: [1], 3: [1, 2], 4: [0]}
    width = 4 if code == "unary" else 3
    expected = [[width * t + slot for t in range(2) for slot in slots[int(n[t])]] for n in shown.T]
    rows = [events.get_positions() for events in plot.figure.axes[0].collections]
    assert [list(map(int, row)) for row in rows] == expected


@pytest.mark.parametrize("changes", [{}, {"learned_scale": "layer"}, {"neuron": "gen1", "timesteps": 3}])
def test_a_trace_follows_the_equation(changes):
    model = lively(num_classes=2, **{"input": ImageInput((64, 64)), "timesteps": 2, **changes})
    plot = spikeyolo.membrane_trace(model, IMAGES[0], LAYER, neurons=3)
    assert len(plot.figure.axes) == 3
    unit = model.to_spike_driven().get_submodule(LAYER)
    decay = unit.neuron.decay
    scale = 1.0 if unit.neuron.scale is None else float(unit.neuron.scale.detach())
    for axes in plot.figure.axes:
        h, v = (line.get_ydata() for line in axes.lines[1:3])
        counts = [float(text.get_text()) for text in axes.texts]
        np.testing.assert_allclose(np.array(h) - scale * np.array(counts), v, atol=1e-4)
        np.testing.assert_array_equal(np.round(np.clip(np.array(h) / scale, 0, 4)), counts)
        assert len(h) == model.timesteps
        assert 0 < decay < 1


def test_plots_are_saved_and_shown(model, tmp_path):
    for plot in (spikeyolo.spike_raster(model, IMAGES[0], LAYER), spikeyolo.membrane_trace(model, IMAGES[0], LAYER)):
        shown = np.asarray(Image.open(io.BytesIO(plot._repr_png_())).convert("RGB"))
        assert shown.std() > 10
        np.testing.assert_array_equal(read_rgb(plot.save(tmp_path / "plot.png")), shown)


class Adapting(spikeyolo.SpikingNeuron):
    """No I-LIF: what it fired stays in a second variable, and is taken off what it receives next."""

    def rest(self, current):
        return torch.stack([torch.zeros_like(current), torch.ones_like(current)])

    def step(self, current, v):
        potential, bar = v.unbind(0)
        h = 0.5 * potential + current - bar
        counts = h.clamp(0, self.max_count).round()
        return counts, torch.stack([h - counts, 0.5 * bar + 0.25 * counts])


def test_a_neuron_of_ones_own_is_drawn_with_all_its_state():
    model = lively(num_classes=2, neuron=Adapting, input=ImageInput((64, 64)), timesteps=2)
    rates = spikeyolo.firing_rates(model, IMAGES[0])
    raster = spikeyolo.spike_raster(model, IMAGES[0], SMALL, neurons=10**6)
    spikes = sum(len(events.get_positions()) for events in raster.figure.axes[0].collections)
    counts = received(model.fold(dense=True), IMAGES[:1], SMALL)
    assert spikes == int(counts.sum()) > 0
    assert rates[SMALL].mean_count == pytest.approx(float(counts.mean()), rel=1e-3)

    trace = spikeyolo.membrane_trace(model, IMAGES[0], SMALL, neurons=3)
    assert len(trace.figure.axes) == 3
    for axes in trace.figure.axes:
        bar = axes.lines[1].get_ydata()
        fired = [float(text.get_text()) for text in axes.texts]
        assert bar[0] == 1  # at rest
        np.testing.assert_allclose(bar[1:], [0.5 * bar[0] + 0.25 * fired[0], 0.5 * bar[1] + 0.25 * fired[1]])


def test_what_is_refused(model):
    with pytest.raises(ConfigError, match=r"layer: 'backbone\.stage1\.0\.chanel_mixer\.0' is none .* did you mean"):
        spikeyolo.spike_raster(model, IMAGES[0], "backbone.stage1.0.chanel_mixer.0")
    with pytest.raises(ConfigError, match="no spikes"):
        spikeyolo.firing_rates(lively(num_classes=2, neuron="relu"), IMAGES[0])
    with pytest.raises(ConfigError, match="no spikes"):
        spikeyolo.spike_raster(lively(num_classes=2, neuron="relu"), IMAGES[0], LAYER)
    with pytest.raises(ConfigError, match="none are given"):
        spikeyolo.firing_rates(model, [])
    with pytest.raises(ConfigError, match="batch"):
        spikeyolo.firing_rates(model, IMAGES, batch=0)
