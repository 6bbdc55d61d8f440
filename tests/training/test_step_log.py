"""Steps whose numbers are read later, as on a GPU, where looking at them would mean waiting."""

from dataclasses import replace

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from spikeyolo.errors import TrainingError
from spikeyolo.training.callbacks.averaging import ExponentialAverage
from spikeyolo.training.module import DetectorModule
from spikeyolo.training.run import train
from spikeyolo.training.run_folder import RunFolder
from spikeyolo.training.step_log import Step, read

WAITS = {"_local_scalar_dense", "nonzero", "nonzero_numpy", "masked_select", "unique_dim", "_unique2", "bincount"}
"""Operators that give the host a value of the device, or a tensor whose shape is one."""


class ToHost(TorchFunctionMode):
    """Inside, notes copies to the host that are none on a CPU, and that dispatch therefore does not see."""

    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in (torch.Tensor.tolist, torch.Tensor.cpu):
            self.seen.append(func.__name__)
        return func(*args, **(kwargs or {}))


class Waiting(TorchDispatchMode):
    """Inside, notes what a GPU would have to be waited for."""

    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        by_mask = name in ("index", "index_put", "index_put_", "_unsafe_index") and any(
            isinstance(t, torch.Tensor) and t.dtype == torch.bool for t in tree_leaves(args[1])
        )
        if name in WAITS or by_mask:
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


@pytest.fixture
def later(monkeypatch):
    """Every fourth step is read."""
    monkeypatch.setattr("spikeyolo.training.module.read_every", lambda device: 4)


@pytest.mark.few(1)
@pytest.mark.parametrize("aids", [{}, {"energy_weight": 1.0}], ids=["plain", "energy term"])
def test_a_steady_step_waits_for_nothing(tiny, tmp_path, monkeypatch, later, aids):
    waited = {}

    def watch(owner, name, position):
        method = getattr(owner, name)

        def watched(self, *args):
            seen = waited.setdefault(args[position], [])
            with ToHost(seen), Waiting(seen):
                return method(self, *args)

        monkeypatch.setattr(owner, name, watched)

    watch(DetectorModule, "training_step", 1)
    watch(ExponentialAverage, "on_train_batch_end", 4)
    train(replace(tiny, epochs=1, batch=1, nominal_batch=1, **aids), tmp_path / "run")
    read_at = {3, 7, 9}  # every fourth, and the last
    assert set(waited) == set(range(10))
    # What the additions of a layer reach is computed once for each size, at the first step.
    assert {i: seen for i, seen in waited.items() if seen and i not in read_at and i > 0} == {}
    assert all(waited[i] for i in read_at)


@pytest.mark.long
def test_what_is_read_later_is_the_same(tiny, tmp_path, monkeypatch):
    settings = replace(tiny, batch=1, nominal_batch=2)
    at_once = train(settings, tmp_path / "at once")
    monkeypatch.setattr("spikeyolo.training.module.read_every", lambda device: 4)
    later = train(settings, tmp_path / "later")
    assert later.results.read_text() == at_once.results.read_text()


@pytest.mark.few(1)
@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_what_is_not_finite_is_found_within_a_few_steps_and_its_batch_kept(tiny, tmp_path, monkeypatch, later, what):
    run, step, backward = RunFolder(tmp_path / "run"), DetectorModule.training_step, DetectorModule.on_after_backward
    settings, spoilt = replace(tiny, batch=1, nominal_batch=1, epochs=2), []

    def at(module):
        return (module.trainer.current_epoch, module.trainer.fit_loop.batch_idx) == (1, 5)

    def spoil(self, batch, batch_idx):
        if what == "loss" and at(self):
            batch = replace(batch, images=torch.full(batch.images.shape, float("nan")))
        spoilt.append(self.trainer.datamodule.host_batch.image_ids[0])
        return step(self, batch, batch_idx)

    def spoil_gradient(self):
        backward(self)
        if what == "gradient" and at(self):
            next(self.network.parameters()).grad.fill_(float("inf"))

    with monkeypatch.context() as patch:
        patch.setattr(DetectorModule, "training_step", spoil)
        patch.setattr(DetectorModule, "on_after_backward", spoil_gradient)
        with pytest.raises(TrainingError, match=f"epoch 2, batch 6: the {what} is not finite") as caught:
            train(settings, run.path)
    assert len(spoilt) == 10 + 8  # found at the next look
    kept = torch.load(run.path / "failed_batch.pt", weights_only=True)
    assert kept["image_ids"] == [spoilt[15]]
    assert spoilt[15] in str(caught.value)
    last = torch.load(run.last, weights_only=True)
    assert last["epoch"] == 0
    assert all(bool(value.isfinite().all()) for value in last["current_model_state"].values())


def test_numbers_of_several_steps_come_in_order():
    steps = [
        Step(None, 0, 0, 0.1, {"a": torch.tensor(1.0), "b": torch.tensor(2.0, dtype=torch.float64)}),
        Step(None, 0, 1, 0.1, {"a": torch.tensor(3.0)}, mean_count=torch.tensor(4.0), norm=torch.tensor(5.0)),
        Step(None, 0, 2, 0.1, {"a": torch.tensor(6.0)}, norm=torch.tensor(torch.inf)),
    ]
    first, second, third = read(steps)
    assert (first.losses, second.losses, third.losses) == ({"a": 1.0, "b": 2.0}, {"a": 3.0}, {"a": 6.0})
    assert first.mean_count != first.mean_count
    assert (second.mean_count, second.norm, third.norm) == (4.0, 5.0, float("inf"))
    assert list(read([])) == []


@pytest.mark.long
def test_a_run_in_less_memory_is_the_same_run(tiny, tmp_path):
    usual = train(tiny, tmp_path / "usual")
    less = train(replace(tiny, recompute=True), tmp_path / "less")
    assert less.results.read_text() == usual.results.read_text()
    ours, theirs = (torch.load(run.last, weights_only=True)["current_model_state"] for run in (less, usual))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
