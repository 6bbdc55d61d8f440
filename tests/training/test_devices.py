from __future__ import annotations

import pytest

from spikeyolo.errors import ConfigError
from spikeyolo.training.devices import Devices, choose_devices
from spikeyolo.training.settings import TrainSettings


@pytest.mark.parametrize(
    ("settings", "gpus", "expected"),
    [
        ({"device": "auto"}, 0, Devices("cpu", 1)),
        ({"device": "auto"}, 2, Devices("cuda", [0])),
        ({"device": "cpu", "processes": 2}, 2, Devices("cpu", 2)),
        ({"device": "0,1"}, 2, Devices("cuda", [0, 1])),
        ({"device": "cuda:1"}, 2, Devices("cuda", [1])),
        ({"device": "0,1", "nodes": 2}, 2, Devices("cuda", [0, 1], 2)),
    ],
)
def test_what_the_option_means(monkeypatch, settings, gpus, expected):
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    monkeypatch.setenv("MASTER_ADDR", "10.0.0.1")  # as torchrun says it
    chosen = choose_devices(TrainSettings(**settings))
    assert chosen == expected
    assert chosen.several == (chosen.processes > 1)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"device": "2"}, r"no GPU 2 on this machine \(it has 2\)"),
        ({"device": "cpu", "precision": "fp16"}, "fp16 needs a GPU"),
        ({"device": "cpu", "processes": 3}, "32 cannot be shared equally by 3"),
        ({"device": "0,1", "processes": 4}, "one for each of 2 GPUs"),
    ],
)
def test_what_cannot_be(monkeypatch, settings, said):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(ConfigError, match=said):
        choose_devices(TrainSettings(**settings))
