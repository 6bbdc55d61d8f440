"""Inside the exact forms nothing runs in reduced precision; afterwards everything is set as it was."""

from __future__ import annotations

import pytest
import torch
from tests.helpers.networks import lively
from torch.utils._python_dispatch import TorchDispatchMode

from spikeyolo.errors import VerificationError
from spikeyolo.model.forms import spike_driven
from spikeyolo.model.forms.exact import are_exact, exact_convolutions
from spikeyolo.model.forms.integer import largest_values
from spikeyolo.model.forms.verify import verify_spike_driven


def settings():
    backends = torch.backends
    found = [backends.cudnn.enabled, backends.cudnn.allow_tf32, backends.cuda.matmul.allow_tf32]
    if hasattr(backends.cudnn, "conv"):
        found += [backends.mkldnn.conv.fp32_precision, backends.cuda.matmul.fp32_precision]
    return found


class Convolutions(TorchDispatchMode):
    """Notes at each convolution whether it runs exactly."""

    def __init__(self):
        super().__init__()
        self.exact = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if "convolution" in function.overloadpacket.__name__:
            self.exact.append(are_exact())
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("form", ["to_spike_driven", "to_integer"])
def test_convolutions_of_the_exact_forms_are_exact(form):
    network, before = getattr(lively(num_classes=2).float(), form)(), settings()
    with torch.no_grad(), Convolutions() as seen:
        network(torch.rand(1, 3, 64, 64))
    assert all(seen.exact)
    assert len(seen.exact) > 80
    assert settings() == before


def test_settings_come_back_after_an_exception():
    before = settings()

    def fails():
        with exact_convolutions():
            assert are_exact()
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fails()
    assert settings() == before
    assert not are_exact()


def test_the_proof_asks_for_it(monkeypatch):
    from contextlib import nullcontext

    monkeypatch.setattr(spike_driven, "exact_convolutions", nullcontext)
    with pytest.raises(VerificationError, match="may run in reduced precision"):
        verify_spike_driven(lively(num_classes=2).to_spike_driven())


def test_bounds_are_computed_where_the_network_is():
    network = lively(num_classes=2).to_integer().to("meta")
    devices = set()

    class Devices(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            for tensor in torch.utils._pytree.tree_leaves(result):
                if isinstance(tensor, torch.Tensor) and tensor.ndim == 4:
                    devices.add(tensor.device.type)
            return result

    # The meta device has shapes and no numbers: reading the first bound ends it, after the image was made.
    with Devices(), pytest.raises((NotImplementedError, RuntimeError)):
        largest_values(network, 3)
    assert devices == {"meta"}
