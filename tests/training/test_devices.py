from __future__ import annotations

import platform
import subprocess
import sys

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


ROUNDS = """
import resource, sys, torch
from spikeyolo.training.devices import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
for _ in range(10):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    kept = [torch.ones(size * 2**18) for size in range(1, 65, 7)]  # of 1 to 64 MiB, freed at the end
    del kept
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to keep memory")
def test_memory_that_is_kept_is_not_asked_for_again():
    faults = {
        how: int(subprocess.run([sys.executable, "-c", ROUNDS, how], check=True, capture_output=True).stdout)
        for how in ("kept", "as it is")
    }
    assert faults["as it is"] > 1000  # pages of 4 KiB, or larger ones, of 340 MiB
    assert faults["kept"] < 100
