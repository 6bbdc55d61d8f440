from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.helpers.networks import lively

from spikeyolo import SpikeYOLO
from spikeyolo.errors import CheckpointError, ConfigError
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.spiking import ILIF
from spikeyolo.structures import Batch, Placement, Targets
from spikeyolo.training.settings import TrainSettings
from spikeyolo.training.transfer import scales_from_data, starting_model

NAMES = ("red", "green")


def test_same_seed_same_weights():
    first, second = (starting_model(TrainSettings(model="t"), NAMES, ImageInput())[0] for _ in range(2))
    other = starting_model(TrainSettings(model="t", seed=1), NAMES, ImageInput())[0]
    weights = [model.backbone.state_dict() for model in (first, second, other)]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert any(not torch.equal(weights[0][key], weights[2][key]) for key in weights[0])


def test_another_number_of_classes_takes_all_but_the_last_layers(tmp_path):
    source = SpikeYOLO("t", num_classes=5)
    source.save(tmp_path / "five.safetensors")
    model, transfer = starting_model(TrainSettings(model=str(tmp_path / "five.safetensors")), NAMES, ImageInput())
    assert transfer is not None
    assert model.names == NAMES
    assert model.config.num_classes == 2
    state, own = source.state_dict(), model.state_dict()
    assert all(torch.equal(own[name], state[name]) for name in transfer.taken)
    assert len(transfer.taken) + len(transfer.reinitialized) == len(own)
    anew = [name for name, _ in transfer.reinitialized]
    assert anew
    assert all(own[name].shape[0] == 2 and name.startswith("head.") for name in anew)
    assert set(transfer.unused) == set(anew)
    text = "\n".join(transfer.lines())
    assert f"{len(transfer.taken)} of {len(own)} tensors taken over" in text
    assert all(f"starts anew: {name} (" in text for name in anew)


def test_published_checkpoint_is_a_start():
    golden = Path(__file__).parents[1] / "golden" / "tiny" / "reference.pt"
    model, transfer = starting_model(TrainSettings(model=str(golden)), NAMES, ImageInput())
    assert transfer is not None
    assert len(transfer.taken) > 0.9 * len(model.state_dict())
    assert model.config.timesteps == 1


@pytest.mark.parametrize("neuron", ["coco", "gen1"])
def test_weights_of_a_twin_drive_spikes_with_the_same_currents(tmp_path, neuron):
    """At T = 1 a neuron of gain 1/2 whose norms are doubled counts just what one of gain 1 does."""
    twin = lively("t", names=NAMES, neuron="relu")
    twin.save(tmp_path / "twin.safetensors")
    settings = TrainSettings(model=str(tmp_path / "twin.safetensors"), neuron=neuron)
    model, transfer = starting_model(settings, NAMES, ImageInput())
    assert model.config.neuron == neuron
    assert len(transfer.taken) == len(twin.state_dict())
    done = {"coco": "rounded; weights stay as they are", "gen1": "rounded; norms are divided by the neurons' gain, 0.5"}
    assert done[neuron] in "\n".join(transfer.lines())
    plain = SpikeYOLO(twin.config, names=NAMES, neuron="coco").eval()
    plain.load_state_dict(twin.state_dict())
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(model.eval()(images), plain(images), strict=True))


def test_scales_that_a_file_does_not_have_are_set_from_data(tmp_path):
    """Each layer's D spikes reach what 1 in 1000 of its currents exceed; the file's own are taken over."""
    lively("t", names=NAMES, neuron="relu", dtype=torch.float32).save(tmp_path / "twin.safetensors")
    settings = TrainSettings(model=str(tmp_path / "twin.safetensors"), neuron="coco", learned_scale="layer")
    model, transfer = starting_model(settings, NAMES, ImageInput())
    layers = [name for name, module in model.named_modules() if isinstance(module, ILIF)]
    assert transfer.new_scales == tuple(f"{name}.scale" for name in layers)
    assert not any("starts anew" in line for line in transfer.lines())
    currents = {}
    first = model.get_submodule(layers[0])
    hook = first.register_forward_hook(lambda _, inputs, __: currents.setdefault("x", []).append(inputs[0].detach()))
    batches = [batch_of(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)) for _ in range(2)]
    said = scales_from_data(model, batches, torch.device("cpu"))
    hook.remove()
    assert said.startswith("  learned scales set from the potentials of 4 images: ")
    reached = [x.flatten().sort().values[round(x.numel() * 0.999) - 1] for x in currents["x"]]
    assert float(first.scale.detach()) == pytest.approx(float(sum(reached)) / 2 / 4, rel=1e-5)
    model.save(tmp_path / "scaled.safetensors")
    again, transfer = starting_model(TrainSettings(model=str(tmp_path / "scaled.safetensors")), NAMES, ImageInput())
    assert not transfer.new_scales
    assert torch.equal(again.get_submodule(layers[0]).scale, first.scale)


def batch_of(images):
    empty = Targets(
        torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 4), len(images)
    )
    return Batch(images, empty, (Placement((64, 64)),) * len(images), tuple(range(len(images))))


def test_a_spiking_start_says_nothing_of_a_twin(tmp_path):
    SpikeYOLO("t", names=NAMES).save(tmp_path / "spiking.safetensors")
    settings = TrainSettings(model=str(tmp_path / "spiking.safetensors"), neuron="gen1")
    _, transfer = starting_model(settings, NAMES, ImageInput())
    assert "twin" not in "\n".join(transfer.lines())


def test_folded_network_cannot_be_trained(tmp_path):
    SpikeYOLO("t", num_classes=2).fold().save(tmp_path / "folded.safetensors")
    with pytest.raises(CheckpointError, match="folded"):
        starting_model(TrainSettings(model=str(tmp_path / "folded.safetensors")), NAMES, ImageInput())


def test_unknown_model_names_the_presets():
    with pytest.raises(ConfigError, match=r"neither a preset \(t, n, s"):
        starting_model(TrainSettings(model="xxl"), NAMES, ImageInput())


def test_freezing_by_prefix_ends_at_a_dot():
    model, _ = starting_model(TrainSettings(model="t", freeze=["backbone", "neck"]), NAMES, ImageInput())
    assert {n.split(".")[0] for n, p in model.named_parameters() if p.requires_grad} == {"head"}
    with pytest.raises(ConfigError, match="'back'; its parts are backbone, neck, head"):
        starting_model(TrainSettings(model="t", freeze=["back"]), NAMES, ImageInput())
    with pytest.raises(ConfigError, match="nothing is left"):
        starting_model(TrainSettings(model="t", freeze=["backbone", "neck", "head"]), NAMES, ImageInput())


def test_changed_neuron_reaches_the_network():
    model, _ = starting_model(TrainSettings(model="t", timesteps=2, max_count=2, neuron="gen1"), NAMES, ImageInput())
    assert (model.config.timesteps, model.config.max_count, model.config.neuron) == (2, 2, "gen1")


def test_learned_scales_and_tails_are_added_to_a_saved_network(tmp_path):
    saved = SpikeYOLO("t", names=NAMES)
    saved.save(tmp_path / "plain.safetensors")
    settings = TrainSettings(
        model=str(tmp_path / "plain.safetensors"), learned_scale="channel", surrogate_width=0.5, max_count=63
    )
    model, transfer = starting_model(settings, NAMES, ImageInput())
    assert (model.config.learned_scale, model.config.surrogate_width, model.config.max_count) == ("channel", 0.5, 63)
    anew = [name for name, _ in transfer.reinitialized]
    assert anew == [name for name in model.state_dict() if name.endswith(".neuron.scale")]
    assert len(anew) == 88
    for name, layer in model.named_modules():
        if isinstance(layer, ILIF):
            assert layer.surrogate_width == 0.5, name
            assert layer.scale.shape == layer.scale.unique().expand(len(layer.scale)).shape
    with pytest.raises(ConfigError, match="learned_scale, surrogate_width: a relu has neither"):
        starting_model(TrainSettings(model="t", neuron="relu", learned_scale="layer"), NAMES, ImageInput())
