"""Checks the claim of a spike-driven network: no product with an activation but in the first convolution.

Every tensor operation of a forward pass is watched, below the network's Python, and each tensor carries what it is:
image, spikes, sum of weights, potential, ... An operation is allowed because a rule says so; all others fail. So it
does not matter how a product was hidden, or in which module.

    operation                               allowed on
    convolution                             spikes, without a bias; the image, in the first unit alone
    product with a number                   the image, to count its levels
    addition, subtraction, sum              anything; a bias joins a unit's sum once
    product with a number                   potentials and counts, if the number is a power of two (a shift): leak, gain
    doubling                                sums of slots without a bias, once before each slot but the first, of units
                                            whose slots are binary digits
    remainder by a power of two             spike counts: their binary digits
    comparison, clipping, rounding          potentials: firing
    choice by a comparison                  of numbers: what a spike takes off its neuron's potential; within a neuron
                                            from outside the package of potentials, too: its reset
    max-pool                                potentials; spikes only where that is equal, for one timestep from rest
    moving, joining, repeating              anything
    mean over time                          the head, whose logits leave the network
    shift, addition, rounding, clipping     the image, in the leaky sums before the first unit (`leaks`)
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from ...errors import ConfigError, VerificationError
from ...spiking import NeuronState, SlotCode, SpikingNeuron
from ..network import SpikingNetwork
from .audit import COMPARING, MAKING, MOVING, SHIFTING, SUMMING, Audit
from .convert import as_dense
from .exact import are_exact
from .form import Form
from .spike_driven import SpikeDrivenConv, Synapses

CONSTANT, IMAGE, FLAGS, SPIKES = "constants", "the image", "comparisons", "spikes"
SUMS, POTENTIALS, COUNTS, LOGITS = "sums of weights", "potentials", "spike counts", "logits"

FIRST_UNIT, HEAD, LEAKS = "backbone.stem.", "head", "backbone.leaks"


class _What(NamedTuple):
    """What a tensor is; for sums, how often a bias was added to them, and how often they were doubled."""

    kind: str
    biases: int = 0
    doublings: int = 0


class _Watch(TorchDispatchMode):
    """Applies the rules to everything that runs inside."""

    def __init__(self, network: SpikingNetwork, audit: Audit, from_rest: bool):
        super().__init__()
        self.network = network
        self.audit = audit
        self.memoryless = from_rest and audit.timesteps == 1
        self.known = WeakIdKeyDictionary()
        self.places = [""]
        self.first_unit_ran = False

    def fail(self, what: str) -> None:
        raise VerificationError(f"{self.places[-1] or 'the network'}: {what}")

    def what(self, value: Any) -> _What:
        return self.known.get(value, _What(CONSTANT)) if isinstance(value, Tensor) else _What(CONSTANT)

    @property
    def choices(self) -> set[str]:
        """What a comparison may choose between: numbers, and within a neuron from outside the package potentials."""
        own = isinstance(self.network.get_submodule(self.places[-1]), SpikingNeuron)
        return {CONSTANT, POTENTIALS} if own else {CONSTANT}

    def settled(self, what: _What) -> str:
        """The kind of a value that is used on; sums must have had their bias once."""
        if what.kind == SUMS and what.biases > 1:
            self.fail(f"a bias is added {what.biases} times a timestep, not once")
        return POTENTIALS if what.kind == SUMS else what.kind

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = function.overloadpacket.__name__
        output = function(*args, **kwargs)
        operands = [a for a in torch.utils._pytree.tree_leaves((args, kwargs)) if isinstance(a, Tensor)]
        if all(self.what(operand).kind == CONSTANT for operand in operands):
            return output
        self.audit.operations[name] += 1
        result = self.rule(name.rstrip("_"), args, kwargs)
        for tensor in torch.utils._pytree.tree_leaves(output):
            if isinstance(tensor, Tensor):
                self.known[tensor] = result
        return output

    def rule(self, name: str, args: Any, kwargs: Any) -> _What:
        """What an operation gives; raises where no rule allows it."""
        first = self.what(args[0])
        if self.places[-1] == LEAKS:
            return self.leaky(name, args)
        if name == "convolution":
            return self.convolution(*args)
        if name == "add" and all(self.what(a).kind in (SPIKES, COUNTS) for a in args):
            return _What(COUNTS)
        if name in ("add", "sub"):
            return self.addition(args, kwargs)
        if name == "sum":
            return first if first.kind == SUMS else _What(POTENTIALS)
        if name in ("mul", "div"):
            return self.product(name, args)
        if name == "remainder" and first.kind in (COUNTS, SPIKES) and math.frexp(args[1])[0] == 0.5:
            return first
        if name in MOVING:
            return self.moved(args)
        if name == "_to_copy":
            return _What(SPIKES) if first.kind == FLAGS else first
        if name in COMPARING:
            return _What(FLAGS)
        if name in MAKING:
            return _What(CONSTANT)
        if name == "_local_scalar_dense" and first.kind == FLAGS:
            return first
        if name == "where" and first.kind == FLAGS and {self.what(a).kind for a in args[1:]} <= self.choices:
            return _What(POTENTIALS)
        if name in ("clamp", "round"):
            self.settled(first)
            return _What(COUNTS if name == "round" else POTENTIALS)
        if name == "max_pool2d_with_indices":
            return self.pool(first)
        if name == "mean" and self.places[-1] == HEAD:
            self.settled(first)
            return _What(LOGITS)
        self.fail(f"{name} on {first.kind} is not an addition")
        raise AssertionError

    def leaky(self, name: str, args: Any) -> _What:
        """Sums of events before the first unit: they stay what the network sees, and nothing weighs them."""
        kinds = [self.what(a).kind for a in torch.utils._pytree.tree_leaves(args) if isinstance(a, Tensor)]
        halves = name == "div" and len(kinds) == 1 and math.frexp(float(args[1]))[0] == 0.5
        if not (halves or name in SUMMING) or not {*kinds} <= {IMAGE, CONSTANT}:
            self.fail(f"{name} of {' and '.join(kinds)} is neither an addition nor a shift")
        if name in SHIFTING and isinstance(args[1], Tensor):
            if kinds[1] != CONSTANT:
                self.fail("a shift by what the network sees is a product")
            self.audit.shifts |= {2.0**-bits for bits in args[1].flatten().tolist()}
        return _What(IMAGE)

    def convolution(self, x: Tensor, weight: Tensor, bias: Tensor | None, *geometry: Any) -> _What:
        """The sum that a convolution gives: on the image once, else on zeros and ones and without a bias."""
        kind, place = self.what(x).kind, self.places[-1]
        if self.what(weight).kind != CONSTANT:
            self.fail("a convolution whose weights are computed from the image")
        if kind == IMAGE and place.startswith(FIRST_UNIT) and not self.first_unit_ran:
            self.first_unit_ran = True
            return _What(POTENTIALS)
        if kind != SPIKES:
            self.fail(f"a convolution on {kind}, not on spikes")
        if not bool(((x == 0) | (x == 1)).all()):
            self.fail("a convolution on spikes that are not 0 or 1")
        if not are_exact():
            self.fail("a convolution on spikes that may run in reduced precision (TF32, bf16)")
        if bias is not None:
            self.fail("a convolution on spikes has a bias, which is added in every slot and not once a timestep")
        self.audit.spiking_convolutions[place] = self.audit.spiking_convolutions.get(place, 0) + 1
        return _What(SUMS)

    def addition(self, args: Any, kwargs: Any) -> _What:
        if kwargs.get("alpha", 1) != 1:
            self.fail("an addition with a factor is a product")
        whats = [self.what(a) for a in args[:2]]
        if any(w.kind == SUMS for w in whats) and all(w.kind in (SUMS, CONSTANT) for w in whats):
            if args[0] is args[1]:
                return self.doubled(whats[0])
            doublings = max(w.doublings for w in whats)
            return _What(SUMS, sum(w.biases + (w.kind == CONSTANT) for w in whats), doublings)
        for w in whats:
            self.settled(w)
        return _What(POTENTIALS)

    def product(self, name: str, args: Any) -> _What:
        """Only a number may be a factor: of the image, of sums as a doubling, of potentials as a shift."""
        numbers = [a for a in args[:2] if not isinstance(a, Tensor)]
        if name == "mul" and numbers == [2] and self.what(args[0]).kind == SUMS:
            return self.doubled(self.what(args[0]))
        kinds = [self.settled(self.what(a)) for a in args[:2] if isinstance(a, Tensor)]
        if numbers and kinds == [IMAGE]:
            return _What(IMAGE)
        if len(numbers) != 1 or not {*kinds} <= {POTENTIALS, COUNTS, SPIKES}:
            self.fail(f"{name} of {' and '.join(kinds)} is a product, not an addition")
        factor = float(numbers[0] if name == "mul" else 1 / numbers[0])
        if abs(math.frexp(factor)[0]) != 0.5:
            self.fail(f"{kinds[0]} times {factor:g}: not a power of two, so not a shift")
        self.audit.shifts.add(factor)
        return _What(POTENTIALS)

    def doubled(self, what: _What) -> _What:
        """Sums before the next binary digit."""
        if what.biases:
            self.fail("a doubling after the bias, which would be doubled, too")
        return _What(SUMS, 0, what.doublings + 1)

    def moved(self, args: Any) -> _What:
        whats = {self.what(a) for a in torch.utils._pytree.tree_leaves(args[0]) if isinstance(a, Tensor)}
        if len(whats) == 1:
            return whats.pop()
        kinds = {self.settled(w) for w in whats}
        return _What(kinds.pop() if len(kinds) == 1 else POTENTIALS)

    def pool(self, what: _What) -> _What:
        if what.kind == SUMS:
            self.fail("a max-pool on sums of single slots is not the pool of their total")
        if what.kind in (SPIKES, COUNTS) and not self.memoryless:
            self.fail(
                f"a max-pool on {what.kind} with T > 1 or a state is not the trained pool, which is on potentials"
            )
        self.audit.pooled.add(what.kind)
        return what

    @contextmanager
    def places_known(self) -> Iterator[None]:
        """Inside, errors name the layer, and what leaves a unit is a potential."""

        def enter(name: str) -> Any:
            return lambda module, args: self.places.append(name)

        def leave(module: nn.Module, args: Any, output: Any) -> None:
            if isinstance(module, SpikingNeuron):
                if self.what(output).kind == CONSTANT:
                    self.fail("its counts come from something that cannot be watched")
                self.known[output] = _What(COUNTS)  # what they are is looked at in `SpikeDrivenConv`
            if isinstance(module, SpikeDrivenConv):
                what = self.what(output)
                if what.kind == SUMS and what.biases != 1:
                    self.fail(f"a bias is added {what.biases} times a timestep, not once")
                steps = (len(module.code.weights(module.neuron.max_count)) - 1) * (module.code is SlotCode.BINARY)
                if what.kind == SUMS and what.doublings != steps:
                    self.fail(f"sums are doubled {what.doublings} times, not {steps}")
                self.known[output] = _What(POTENTIALS)
            self.places.pop()

        hooks = []
        for name, module in self.network.named_modules():
            hooks += [module.register_forward_pre_hook(enter(name)), module.register_forward_hook(leave)]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _check_tree(network: SpikingNetwork) -> None:
    """Raises VerificationError for a module that multiplies, whether or not it runs."""
    for name, module in network.named_modules():
        first = name == f"{FIRST_UNIT}conv"
        if isinstance(module, nn.modules.batchnorm._NormBase):
            raise VerificationError(f"{name}: a batch norm that was not folded")
        if isinstance(module, nn.modules.conv._ConvNd | nn.Linear) and not first and not isinstance(module, Synapses):
            raise VerificationError(f"{name}: {type(module).__name__} is not made for spikes")


def _counts(network: SpikingNetwork, images: Tensor) -> dict[str, Tensor]:
    """What enters each spiking convolution, summed over the slots as its code says, by the name of its unit."""
    seen: dict[str, Tensor] = {}
    factor = network.slot_code.factor

    def add(name: str) -> Any:
        def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            seen[name] = seen[name] * factor + args[0] if name in seen else args[0]

        return hook

    convs = [(name, m) for name, m in network.named_modules() if isinstance(m, nn.Conv2d)]
    hooks = [module.register_forward_pre_hook(add(name.rpartition(".")[0])) for name, module in convs]
    network(images)
    for handle in hooks:
        handle.remove()
    return seen


@torch.no_grad()
def verify_spike_driven(network: SpikingNetwork, images: Tensor | None = None) -> Audit:
    """Proves on a forward pass that a network is driven by spikes alone, and equal to the one that runs on counts.

    Args:
        network: made by `SpikeYOLO.to_spike_driven`.
        images: as for the network's forward; noise of 128 x 128 pixels unless given.

    Returns:
        What was seen. The rules are those of the module's docstring; they are applied to a pass from rest and to one
        with a state; and in float64 every neuron fires as in the dense folded form, not one count different.

    Raises:
        VerificationError: a rule is broken; names the layer.
        ConfigError: the network is not in the spike-driven form.
    """
    if network.form is not Form.SPIKE_DRIVEN:
        raise ConfigError(f"verify_spike_driven: the network is in its {network.form} form; call to_spike_driven()")
    if images is None:
        generator = torch.Generator().manual_seed(0)
        images = torch.rand(1, network.config.in_channels, 128, 128, generator=generator)
    images = images.to(network.device, network.dtype)
    _check_tree(network)
    timesteps = images.shape[0] if images.ndim == 5 else network.config.timesteps
    audit = Audit(timesteps)
    for state, report in ((None, audit), (NeuronState(), Audit(timesteps))):
        watch = _Watch(network, report, from_rest=state is None)
        with watch.places_known(), watch:
            watch.known[images] = _What(IMAGE)
            network(images) if state is None else network(images, state)
    exact = copy.deepcopy(network).double()
    expected = _counts(as_dense(exact), images.double())
    for name, counts in _counts(exact, images.double()).items():
        if not torch.equal(counts, expected[name]):
            different = int((counts != expected[name]).sum())
            raise VerificationError(f"{name}: {different} spike counts are not those of the trained network")
    return audit
