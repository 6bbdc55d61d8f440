import pytest
import torch
from tests.helpers.networks import lively
from torch.utils.flop_counter import FlopCounterMode

import spikeyolo
from spikeyolo.errors import ConfigError
from spikeyolo.imaging.image_input import ImageInput


@pytest.fixture(scope="module")
def model():
    return lively(num_classes=3, input=ImageInput((64, 96)), dtype=torch.float32)


FORMS = {
    "trainable": lambda model: model,
    "separable": lambda model: model.fold(),
    "dense": lambda model: model.fold(dense=True),
}


@pytest.mark.parametrize("form", FORMS)
def test_operations_and_parameters_are_those_of_the_network(model, form):
    """PyTorch counts two operations a multiply-accumulate where the network runs."""
    network = FORMS[form](model)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, 64, 96))
    info = network.info()
    assert 2 * info.macs == counter.get_total_flops()
    assert info.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert (info.form, info.size_hw) == (form, (64, 96))


def test_shapes_are_those_that_run(model):
    layers, seen = model.info().layers, {}
    named = {layer.name for layer in layers}
    hooks = [
        module.register_forward_hook(
            lambda _, inputs, output, name=name: seen.update({name: (*inputs[0].shape[2:], *output.shape[2:])})
        )
        for name, module in model.named_modules()
        if name in named
    ]
    with torch.no_grad():
        model(torch.zeros(1, 3, 64, 96))
    for hook in hooks:
        hook.remove()
    assert {layer.name: (*layer.input, *layer.output) for layer in layers} == seen


def test_it_is_a_table(model):
    shown = repr(model.info(imgsz=32))
    assert "image of 32 x 32" in shown
    assert "3 x 32 x 32" in shown
    assert f"{sum(p.numel() for p in model.parameters()):,}" in shown
    assert "backbone.stem" in model.info()._repr_html_()


def test_forms_on_spikes_are_described_as_the_dense_one(model):
    dense = model.fold(dense=True).info()
    assert model.to_spike_driven().info() == dense
    assert model.to_integer().info() == dense


def test_recordings_need_a_size():
    model = spikeyolo.SpikeYOLO("t-gen1", num_classes=2, in_channels=2, timesteps=5)
    with pytest.raises(ConfigError, match="imgsz"):
        model.info()
    info = model.info(imgsz=(64, 32))
    assert (info.timesteps, info.layers[0].input) == (5, (2, 64, 32))
    with pytest.raises(ConfigError, match="multiple of 32"):
        model.info(imgsz=33)
