import dataclasses

import pytest
import torch

from spikeyolo import NetworkConfig, SpikeYOLO
from spikeyolo.errors import ConfigError
from spikeyolo.model.presets import EVENT_PRESETS, IMAGE_PRESETS, PRESETS, network_config
from spikeyolo.structures import REG_MAX

# REFERENCE: the published counts, which include the 16 bin numbers that the published network holds as a weight.
PUBLISHED = {"n": 13_271_632, "s": 23_153_024, "m": 47_841_856, "l": 68_478_400}


@pytest.mark.parametrize(("preset", "published"), PUBLISHED.items())
def test_parameter_counts(preset, published):
    with torch.device("meta"):
        model = SpikeYOLO(preset)
    assert sum(p.numel() for p in model.parameters()) + REG_MAX == published


def test_dense_form_has_more_macs_than_the_separable():
    """About 1.7 times, counted by PyTorch's own counter."""
    from torch.utils.flop_counter import FlopCounterMode

    flops = []
    for dense in (False, True):
        with torch.device("meta"):
            model = SpikeYOLO("s").fold(dense)
            image = torch.zeros(1, 3, 640, 640)
        with FlopCounterMode(display=False) as counter:
            model(image)
        flops.append(counter.get_total_flops())
    assert 1.6 < flops[1] / flops[0] < 1.8


def test_event_presets_differ_as_published():
    for name in IMAGE_PRESETS:
        config = EVENT_PRESETS[f"{name}-gen1"]
        assert config.repeats[3] == config.last_ratio == 1
        assert config.dynamics == (0.5, 0.5)
        assert config.num_classes == config.timesteps == 2


def test_presets_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PRESETS["s"].width = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("preset", "changes", "word"),
    [
        ("huge", {}, "no such preset; known are t, n, s"),
        ("s-gen2", {}, "did you mean 's-gen1'"),
        ("s", {"max_cuont": 4}, "max_cuont: no such setting of a network; did you mean 'max_count'"),
        ("s", {"num_classes": 0}, "num_classes"),
        ("s", {"timesteps": 1.5}, "timesteps"),
        ("s", {"max_count": 64}, "max_count"),
        ("s", {"neuron": "lif"}, "not one of coco, gen1, relu"),
        ("s", {"neuron": "relu", "decay": 0.5}, "a relu has neither"),
        ("s", {"decay": 2.0}, "decay"),
        ("s", {"width": 0.0}, "width"),
        ("s", {"repeats": (1, 2, 3)}, "repeats"),
        ("s", {"repeats": (1, 2, 3, 0)}, "repeats"),
    ],
)
def test_settings_that_are_refused(preset, changes, word):
    with pytest.raises(ConfigError, match=word):
        network_config(preset, **changes)


def test_config_to_plain_values_and_back():
    config = network_config("m-gen1", decay=0.1, in_channels=2)
    assert NetworkConfig.from_dict(config.to_dict()) == config
    with pytest.raises(ConfigError, match="repeats"):
        NetworkConfig.from_dict({"width": 0.5})


def test_names():
    assert SpikeYOLO("t", num_classes=2).names == ("class0", "class1")
    assert SpikeYOLO("t", num_classes=2, names=["a", "b"]).names == ("a", "b")
    with pytest.raises(ConfigError, match="3 class names for num_classes=2"):
        SpikeYOLO("t", num_classes=2, names=["a", "b", "c"])


def test_the_head_starts_with_the_published_biases():
    head = SpikeYOLO("t", num_classes=10).head
    assert head.box[0][-1].conv.bias.unique().tolist() == [1.0]
    # log(5 / 10 / (640 / 16) ** 2)
    assert head.classes[1][-1].conv.bias.unique().item() == pytest.approx(-8.070906)
