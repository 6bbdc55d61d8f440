import pytest
import torch

from spikeyolo.devices import one_device, parse_devices
from spikeyolo.errors import ConfigError


@pytest.fixture
def gpus(monkeypatch):
    """Pretend that a machine has so many GPUs."""
    return lambda count: monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


@pytest.mark.parametrize(
    ("text", "count", "names"),
    [
        ("auto", 0, ["cpu"]),
        ("auto", 2, ["cuda:0"]),
        ("cpu", 2, ["cpu"]),
        ("cuda", 1, ["cuda:0"]),
        ("cuda:1", 2, ["cuda:1"]),
        ("0", 1, ["cuda:0"]),  # what `train --device 0` is; `val` refused it
        (" 0, 1 ", 2, ["cuda:0", "cuda:1"]),
        (1, 2, ["cuda:1"]),
        (torch.device("cpu"), 0, ["cpu"]),
    ],
)
def test_devices_by_name(gpus, text, count, names):
    gpus(count)
    assert [str(device) for device in parse_devices(text)] == names


@pytest.mark.parametrize(
    ("text", "count", "said"),
    [
        ("cuda", 0, "no GPU 0 on this machine"),
        ("cuda:9", 1, r"no GPU 9 on this machine \(it has 1\)"),
        ("9", 0, r"no GPU 9 on this machine \(it has 0\)"),
        ("0,0", 2, "names a GPU twice"),
        ("-1", 1, "'-1' is not supported; name auto, cpu, cuda, or numbers of GPUs"),
        ("gpu", 1, "'gpu' is not supported"),
        ("mps", 1, "'mps' is not supported"),
        ("meta", 1, "'meta' is not supported"),
        ("xla:0", 1, "'xla:0' is not supported"),
        ("cpu,0", 1, "not supported"),
        ("", 1, "not supported"),
    ],
)
def test_what_is_no_device_is_refused(gpus, text, count, said):
    gpus(count)
    with pytest.raises(ConfigError, match=said):
        parse_devices(text)


def test_several_devices_for_one(gpus):
    gpus(2)
    assert one_device("1") == torch.device("cuda:1")
    with pytest.raises(ConfigError, match="'0,1' names 2 GPUs, and this uses one"):
        one_device("0,1")
