"""What last.ckpt must hold for a run to go on: checked once, whole, before anything is restored from it.

Lightning and torch take over what they find, whatever its type; what is wrong with it would show later or never.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks.early_stopping import EarlyStopping, EarlyStoppingReason

from ..errors import CheckpointError, one_line, quote
from ..interop.content import StoredTensor
from ..interop.unpickle import opened
from ..model.network import unusable
from ..spiking import ILIF, SpikingNeuron
from ..structures import REG_MAX, STRIDES
from .history import LOSSES
from .module import DetectorModule
from .optimization import make_optimizer, state_names
from .settings import TrainSettings

PARTS = (
    *("epoch", "global_step", "pytorch-lightning_version", "state_dict", "current_model_state", "averaging_state"),
    *("loops", "callbacks", "optimizer_states", "lr_schedulers", "history", "random"),
)

LARGEST = 1 << 53
"""Whole numbers below are exact as floating point, too."""

VERSION = re.compile(r"[2-9](\.\d{1,4}){1,3}((a|b|rc|\.?post|\.?dev)\d{1,4})?")
"""Of Lightning; files of version 1 were never written here."""


def finished_epochs(last: Path, module: DetectorModule) -> int:
    """Return how many epochs a run has finished, by its checkpoint; 0 without one.

    Args:
        last: the checkpoint; all that will be restored from it is checked.
        module: that will be trained.

    Raises:
        CheckpointError: the file is damaged, of another network or optimiser, or no checkpoint of a run.
    """
    if not last.exists():
        return 0
    with opened(last) as content:
        try:
            return _checked(content, module)
        except CheckpointError as error:
            best = last.with_name("best.safetensors")
            raise CheckpointError(
                f"{last}: this run cannot go on from it: {error}; a new run can start from its weights: --model {best}"
            ) from error


def _checked(content: Any, module: DetectorModule) -> int:
    parts = _members(content, "the file", *PARTS)
    for name in ("epoch", "global_step"):
        _whole(parts[name], name)
    version = parts["pytorch-lightning_version"]
    if not isinstance(version, str) or not VERSION.fullmatch(version):
        raise _wrong("pytorch-lightning_version", version, "a version from 2 on")
    _check_history(parts["history"])
    epochs = len(parts["history"]["rows"])
    _check_loops(parts["loops"], epochs)
    _check_callbacks(parts["callbacks"])
    _check_random(parts["random"])
    _check_scaler(parts)
    _list(parts["lr_schedulers"], "lr_schedulers")
    averaging = _members(parts["averaging_state"], "averaging_state", "n_averaged", only=True)
    _whole(int(_check_tensor(averaging["n_averaged"], "n_averaged", (), torch.int64)), "n_averaged")
    for name in ("state_dict", "current_model_state"):
        _check_weights(parts[name], name, module)
    _check_optimizer(parts["optimizer_states"], module, module.settings)
    if "carried" in parts:
        _check_carried(parts["carried"], module)
    return epochs


def _wrong(what: str, value: object, expected: str) -> CheckpointError:
    return CheckpointError(f"{what} is {quote(value)}, not {expected}")


def _members(value: Any, what: str, *names: str, only: bool = False) -> Mapping[Any, Any]:
    """A dictionary with these keys, `only` with no others."""
    if not isinstance(value, Mapping):
        raise _wrong(what, value, "a dictionary")
    for name in names:
        if name not in value:
            raise CheckpointError(f"{what} has no {name!r}")
    if only and len(value) > len(names):
        raise CheckpointError(
            f"{what} has {quote(next(key for key in value if key not in names))}, which runs have not"
        )
    return value


def _list(value: Any, what: str, check: Callable[[Any, str], object] | None = None) -> list[Any]:
    if not isinstance(value, list):
        raise _wrong(what, value, "a list")
    if check is not None:
        for item in value:
            check(item, what)
    return value


def _whole(value: Any, what: str) -> int:
    if type(value) is not int or not 0 <= value < LARGEST:
        raise _wrong(what, value, "a whole number from 0 on")
    return value


def _number(value: Any, what: str) -> None:
    if type(value) not in (int, float) or not abs(value) < LARGEST:
        raise _wrong(what, value, "a number")


def _flag(value: Any, what: str) -> None:
    if not isinstance(value, bool):
        raise _wrong(what, value, "true or false")


def _check_tensor(value: Any, what: str, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    if not isinstance(value, StoredTensor):
        raise _wrong(what, value, "a tensor")
    if value.shape != shape or value.dtype != dtype:
        raise CheckpointError(f"its {what} is of {value.dtype} and {value.shape}, not of {dtype} and {shape}")
    numbers = value.read()
    if fault := unusable(what, numbers):
        raise CheckpointError(f"its {what} holds {fault}")
    return numbers


def _check_history(history: Any) -> None:
    _members(history, "history", "rows", "current", only=True)
    for row in _list(history["rows"], "history"):
        for value in _members(row, "a row of its history", "epoch", "step", "lr", *LOSSES).values():
            if type(value) is not float or not math.isnan(value):  # there is no AP where there are no boxes
                _number(value, "history")
        _whole(row["epoch"], "history's epoch")
    current = _list(history["current"], "history")
    if len(current) not in (3, 4) or len(_list(current[1], "history", _number)) != len(LOSSES):
        raise _wrong("history", current, "batches, sums of losses, mean counts and sums of further terms")
    _whole(current[0], "history")
    _list(current[2], "history", _number)
    for terms in current[3:]:  # earlier versions had none
        for value in _members(terms, "history").values():
            _number(value, "history")


def _check_loops(loops: Any, epochs: int) -> None:
    """How far the loops are: counters by name in a tree that Lightning takes over as it is."""
    fit = _members(_members(loops, "loops", "fit_loop")["fit_loop"], "fit_loop", "epoch_progress", "state_dict")
    for name, value in fit.items():
        if str(name).endswith("state_dict"):
            _members(value, one_line(name))
        else:
            _check_progress(value, one_line(name))
    for place in _list(fit["state_dict"].get("combined_loader", []), "combined_loader"):
        for name, number in _members(place, "combined_loader", "epoch", "start", only=True).items():
            _whole(number, name)
    _whole(fit.get("epoch_loop.state_dict", {}).get("_batches_that_stepped", 0), "_batches_that_stepped")
    done = fit["epoch_progress"].get("current", {}).get("processed")
    if done != epochs:
        raise CheckpointError(f"its history has {epochs} epochs, its epoch_progress {quote(done)}")


def _check_progress(value: Any, what: str) -> None:
    """Counters in all and of now, or named groups of them."""
    members = _members(value, what)
    if "optimizer" in members:
        optimizer = _members(
            _members(value, what, "optimizer", only=True)["optimizer"], what, "step", "zero_grad", only=True
        )
        for part in optimizer.values():
            _check_counters(part, what)
    elif "is_last_batch" in members or what.endswith("batch_progress"):
        _flag(_members(members, what, "is_last_batch")["is_last_batch"], what)
        _check_counters({name: part for name, part in members.items() if name != "is_last_batch"}, what)
    else:
        _check_counters(members, what)


def _check_counters(value: Any, what: str) -> None:
    for counters in _members(value, what, "total", "current", only=True).values():
        for name, number in _members(counters, what, "ready", "completed").items():
            if name not in ("ready", "started", "processed", "completed"):
                raise CheckpointError(f"{what} has {quote(name)}, which runs have not")
            _whole(number, what)


def _check_callbacks(callbacks: Any) -> None:
    for name, state in _members(callbacks, "callbacks").items():
        if name == "RunRecorder":
            _number(_members(state, name, "best_saved")["best_saved"], "best_saved")
        elif name == "ExponentialAverage":
            _whole(_members(state, name, "latest_update_step")["latest_update_step"], "latest_update_step")
        elif name == EarlyStopping("fitness", mode="max").state_key:
            _members(state, "EarlyStopping", "wait_count", "stopped_epoch", "best_score", "patience")
            for field in ("wait_count", "stopped_epoch", "patience"):
                _whole(state[field], field)
            if not isinstance(state["best_score"], StoredTensor) or state["best_score"].shape != ():
                raise _wrong("best_score", state["best_score"], "a number")
            reasons = [reason.value for reason in EarlyStoppingReason]
            if state.get("stopping_reason", reasons[0]) not in reasons:
                raise _wrong("stopping_reason", state["stopping_reason"], f"one of {reasons}")
        else:
            raise CheckpointError(f"callbacks has {quote(name)}, which runs have not")


def _check_random(random: Any) -> None:
    states = _members(random, "random", "cpu")
    state = _check_tensor(states["cpu"], "random cpu", tuple(torch.get_rng_state().shape), torch.uint8)
    try:
        torch.Generator().set_state(state)
    except RuntimeError as error:
        raise CheckpointError(f"its random cpu is no state of random numbers ({one_line(error)})") from error
    if "cuda" in states:
        _check_tensor(states["cuda"], "random cuda", (16,), torch.uint8)


def _check_scaler(parts: Mapping[Any, Any]) -> None:
    """The scaler of fp16; Lightning also looks for it under the name that it had before 2021."""
    if "native_amp_scaling_state" in parts:
        raise CheckpointError("the file has 'native_amp_scaling_state', which runs have not")
    if "MixedPrecision" in parts:
        names = ("scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker")
        for name, value in _members(parts["MixedPrecision"], "MixedPrecision", *names, only=True).items():
            _number(value, name)


def _check_weights(tensors: Any, what: str, module: DetectorModule) -> None:
    """The network's tensors, and those of what is trained beside it."""
    prefix, own = "network.", module.state_dict()
    if not all(isinstance(value, StoredTensor) for value in _members(tensors, what).values()):
        raise CheckpointError(f"its {what} holds something else than tensors")
    named = {str(name).removeprefix(prefix): value for name, value in tensors.items() if str(name).startswith(prefix)}
    beside = {name for name in own if not name.startswith(prefix)}
    if len(named) + len(beside & tensors.keys()) != len(tensors):
        raise CheckpointError(f"its {what} is of another network: not all names begin with {prefix}")
    module.network.check_fit(named, f"its {what}")
    _members(tensors, f"its {what}", *sorted(beside))
    for name, value in own.items():
        _check_tensor(tensors[name], f"{what} {name.removeprefix(prefix)}", tuple(value.shape), value.dtype)


def _check_carried(carried: Any, module: DetectorModule) -> None:
    """Potentials and logits of lanes, where a sequence goes on; their sizes are those of the frames."""
    _members(carried, "carried", "lanes", "seen", "recent", "state", only=True)
    lanes = [_whole(lane, "a lane of carried") for lane in _list(carried["lanes"], "carried lanes")]
    if len(set(lanes)) < len(lanes) or not lanes:
        raise _wrong("carried lanes", carried["lanes"], "numbers, each once")
    _check_tensor(carried["seen"], "carried seen", (len(lanes),), torch.int64)
    classes, before = 4 * REG_MAX + module.network.config.num_classes, module.network.timesteps - 1
    recent = _list(carried["recent"], "carried recent")
    if len(recent) != len(STRIDES):
        raise _wrong("carried recent", recent, f"logits of {len(STRIDES)} levels")
    for level in recent:
        _check_rows(level, "carried recent", 5, 1, len(lanes))
        if (level.shape[0], level.shape[2]) != (before, classes):
            raise CheckpointError(f"its carried recent is of {level.shape}, not of {before} timesteps and {classes}")
    names = {part.name for part in module.network.modules() if isinstance(part, ILIF | SpikingNeuron)}
    for name, potentials in _members(carried["state"], "carried state").items():
        if name not in names:
            raise CheckpointError(f"its carried state has {quote(name)}, which is no neuron of the network")
        _check_rows(potentials, f"carried state {name}", 4, 0, len(lanes))


def _check_rows(value: Any, what: str, axes: int, axis: int, rows: int) -> None:
    """A tensor of floating point whose axis, counted from the last `axes` ones, has so many rows."""
    shape = value.shape if isinstance(value, StoredTensor) else ()
    if len(shape) < axes or shape[len(shape) - axes + axis] != rows or not value.dtype.is_floating_point:
        raise _wrong(what, value, f"a tensor of floating point with {rows} rows")
    _check_tensor(value, what, tuple(shape), value.dtype)


def _check_optimizer(states: Any, module: DetectorModule, settings: TrainSettings) -> None:
    what = "optimizer_states"
    if len(_list(states, what)) != 1:
        raise _wrong(what, states, "that of one optimiser")
    _members(states[0], what, "state", "param_groups", only=True)
    optimizer = make_optimizer(module, settings)
    groups, own_groups = _list(states[0]["param_groups"], what), optimizer.state_dict()["param_groups"]
    if len(groups) != len(own_groups):
        raise CheckpointError(f"its {what} has {len(groups)} groups, the optimiser {len(own_groups)}")
    for group, own in zip(groups, own_groups, strict=True):
        _check_group(_members(group, what), own)
    parameters = [(parameter, group["name"]) for group in optimizer.param_groups for parameter in group["params"]]
    for number, state in _members(states[0]["state"], what).items():
        if type(number) is not int or not 0 <= number < len(parameters):
            raise CheckpointError(f"its {what} has {quote(number)}, the optimiser {len(parameters)} parameters")
        parameter, group = parameters[number]
        for name, value in _members(state, what, *state_names(settings, group), only=True).items():
            if name == "momentum_buffer" and value is None:
                continue  # without momentum
            shape = () if name == "step" else tuple(parameter.shape)
            numbers = _check_tensor(value, f"{what} {number} {name}", shape, parameter.dtype)
            if name == "step":
                _whole(int(numbers), f"{what} {number} step")


def _check_group(group: Mapping[Any, Any], own: Mapping[str, Any]) -> None:
    """One group of parameters; torch itself sets the switches that an older version did not have."""
    for name, value in own.items():
        what = f"optimizer_states {name}"
        switch = value is None or isinstance(value, bool)
        if name not in group:
            if not switch:
                raise CheckpointError(f"its optimizer_states has no {name!r}: it is of another optimiser")
        elif name in ("fused", "foreach"):  # a matter of the machine
            if group[name] is not None:
                _flag(group[name], what)
        elif switch or isinstance(value, str | list):
            if type(group[name]) is not type(value) or group[name] != value:
                raise _wrong(what, group[name], quote(value))
        elif isinstance(value, tuple):
            if not isinstance(group[name], tuple) or len(group[name]) != len(value):
                raise _wrong(what, group[name], quote(value))
            for number in group[name]:
                _number(number, what)
        else:
            _number(group[name], what)
