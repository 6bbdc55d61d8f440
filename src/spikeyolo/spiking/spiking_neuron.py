"""A neuron of one's own, from outside the package: what it must offer, and how it is found again by its name.

Nothing is imported because a file says so. The name in a file stands for a class that is defined in this process
already, or for nothing; `import_neuron` imports, and is for names that the user gives.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from importlib import import_module, invalidate_caches
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ConfigError, ShapeError, SpikeYOLOError, VerificationError, one_line, quote
from .equation import widen
from .neuron import ILIF, NeuronState, check_time


class SpikingNeuron(nn.Module):
    """A layer of neurons: subclass it at the top of a module, write `step`, and give the class as a network's `neuron`.

    The network makes a layer before each convolution by `Class(channels, max_count)`, and saves the name of the class
    alone. So all numbers of the neuron are those of the class, or parameters and buffers; the constructor must not look
    at these, which a file fills later. What it must offer:

        train, val, predict, fold, save         `step`
        energy, the spike-driven form           counts that are whole numbers 0..max_count, in evaluation
        proven to be additions                  additions, comparisons, choices (`torch.where`), products with powers of
                                                two: `verify_spike_driven` watches these, too
        int8 weights, every export, engines     `as_ilif`: their formats hold no other equation; of integers, without
                                                parameters and buffers

    Args:
        channels: of what the neurons receive.
        max_count: D, the most spikes of a timestep.

    Attributes:
        name: its place in the network, and its key in a `NeuronState`; the network sets it.
        scale: none: a spike weighs 1; see `ILIF`.

    Shape:
        x: (T, B, C, H, W) input current -> (T, B, C, H, W) spike counts 0..max_count, of x's dtype; four axes are
            refused, as by `ILIF`.
    """

    scale: None = None

    def __init__(self, channels: int, max_count: int):
        super().__init__()
        self.channels = channels
        self.max_count = max_count
        self.name = ""

    def rest(self, current: Tensor) -> Tensor:
        """Return the state before the first timestep, for a current (B, C, H, W): potentials of 0.

        A neuron of several variables stacks them in front: (variables, B, C, H, W).
        """
        return torch.zeros_like(current)

    def step(self, current: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Compute a timestep.

        Args:
            current: (B, C, H, W) what the neurons receive, float32 or float64.
            v: what `rest`, or the step before, gave.

        Returns:
            The spike counts (B, C, H, W), with the gradient that they are to have (see `with_slope`), and the new v.
        """
        raise NotImplementedError

    def as_ilif(self) -> ILIF | None:
        """Return the I-LIF neuron that gives the same counts in inference, whatever the gradients; None: there is none.

        That it does is tried, on random currents and on those beside the thresholds, before it is used.
        """
        return None

    def counts(self, outputs: Tensor) -> Tensor:
        """Return the spike counts of what the layer gave: here the same; see `ILIF.counts`."""
        return outputs

    def forward(self, x: Tensor, state: NeuronState | None = None) -> Tensor:
        """Return spike counts; with a `state`, start from it and leave the new one in it."""
        check_time(x)
        steps = []
        v = None if state is None else state.get(self.name)
        for current in widen(x).unbind(0):
            counts, v = self.step(current, self.rest(current) if v is None else v)
            if counts.shape != current.shape:
                raise ShapeError(
                    f"{name_of(type(self))}: its step gives counts {tuple(counts.shape)} of currents "
                    f"{tuple(current.shape)}"
                )
            steps.append(counts.to(x.dtype))
        if state is not None and v is not None:
            state[self.name] = v
        return torch.stack(steps)


class _WithSlope(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, counts: Tensor, h: Tensor, slope: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.save_for_backward(h)
        ctx.slope = slope
        return counts.view_as(counts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None]:
        (h,) = ctx.saved_tensors
        return None, gradient * ctx.slope(h), None


def with_slope(counts: Tensor, h: Tensor, slope: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the spike counts, whose gradient with regard to the potential h is `slope(h)`: a surrogate gradient.

    Args:
        counts: (...) of any graph or none; no gradient goes back through it.
        h: (...) membrane potential that fired.
        slope: the surrogate, a function of h.
    """
    if not (torch.is_grad_enabled() and h.requires_grad):
        return counts
    return _WithSlope.apply(counts.detach(), h, slope)


def name_of(kind: type) -> str:
    """Return the name by which a class is saved: `package.module:Class`."""
    return f"{kind.__module__}:{kind.__qualname__}"


def is_own(name: str) -> bool:
    """Whether the name of a neuron is that of a class, and none of the package's flavours."""
    return ":" in name


def _defined(kind: type[SpikingNeuron]) -> Iterator[type[SpikingNeuron]]:
    for each in kind.__subclasses__():
        yield each
        yield from _defined(each)


def find_neuron(name: str) -> type[SpikingNeuron]:
    """Return the class of this name that is defined in this process; of several, as in a notebook, the newest.

    Raises:
        ConfigError: there is none. Nothing was imported.
    """
    known = {name_of(kind): kind for kind in _defined(SpikingNeuron)}
    if name not in known:
        raise ConfigError(
            f"neuron: {quote(name)} is a class from outside the package, and none is imported because a file names it; "
            "if you trust it, import its module before, or give its name with --neuron"
        )
    return known[name]


def _is_kind(given: Any) -> bool:
    return isinstance(given, type) and issubclass(given, SpikingNeuron)


def neuron_name(given: Any) -> str:
    """Return the name of a neuron that a user gives as a class, or by its name.

    Raises:
        ConfigError: neither a name nor a subclass of `SpikingNeuron` that others can find by its name.
    """
    if isinstance(given, str):
        return given
    if not _is_kind(given):
        raise ConfigError(f"neuron: {quote(given)} is neither a name nor a subclass of spikeyolo.SpikingNeuron")
    name = name_of(given)
    if "<locals>" in name:
        raise ConfigError(
            f"neuron: {one_line(name)} is defined in a function, and its name alone is saved; "
            "define it at the top of a module"
        )
    if find_neuron(name) is not given:
        raise ConfigError(f"neuron: {one_line(name)} was defined again; give the newest class of that name")
    return name


def import_neuron(name: str) -> str:
    """Import the class that a user names, from what is installed or the working directory; return its own name.

    Never for a name out of a file: what the module holds is run.

    Raises:
        ConfigError: no such module or class, or no subclass of `SpikingNeuron`.
    """
    module_name, _, wanted = name.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), wanted]):
        raise ConfigError(f"neuron: {quote(name)} is not a name such as package.module:Class")
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.append(os.getcwd())  # the last: a file there takes no installed package's place
    invalidate_caches()
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if not f"{module_name}.".startswith(f"{error.name}."):
            raise ConfigError(f"neuron: {module_name} needs the module {error.name}, which is not there") from error
        raise ConfigError(f"neuron: there is no module {quote(module_name)}, neither installed nor here") from error
    except Exception as error:
        said = f"{type(error).__name__}: {one_line(error)}"
        raise ConfigError(f"neuron: the module {module_name} cannot be imported ({said})") from error
    kind: Any = getattr(module, wanted, None)
    if _is_kind(kind):
        return name_of(kind)
    if kind is not None:
        raise ConfigError(f"neuron: {name} is no subclass of spikeyolo.SpikingNeuron")
    there = [key for key, value in vars(module).items() if _is_kind(value) and value is not SpikingNeuron]
    hint = f"it has {one_line(', '.join(there))}" if there else "nor any other subclass of spikeyolo.SpikingNeuron"
    raise ConfigError(f"neuron: {module_name} has no class {wanted}; {hint}")


def make_own(name: str, channels: int, max_count: int) -> SpikingNeuron:
    """Return a layer of the neurons of a class, see `SpikingNeuron`.

    Raises:
        ConfigError: the class is not known here, cannot be made so, or keeps what would not be saved.
    """
    kind = find_neuron(name)
    if kind.step is SpikingNeuron.step and kind.forward is SpikingNeuron.forward:
        raise ConfigError(f"neuron: {name} has no step(current, v), which gives counts and the new v")
    try:
        made = kind(channels, max_count)
    except SpikeYOLOError:
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {one_line(error)}"
        raise ConfigError(f"neuron: {name}({channels}, {max_count}) cannot be made ({said})") from error
    if made.max_count != max_count:
        raise ConfigError(f"neuron: {name} has max_count {quote(made.max_count)}, the network {max_count}")
    for part in made.modules():
        for key, value in vars(part).items():
            if isinstance(value, Tensor):
                raise ConfigError(f"neuron: {name} keeps {key}, a tensor, which is not saved; make it a buffer")
        for key in part._non_persistent_buffers_set:
            raise ConfigError(f"neuron: {name} keeps {key}, a buffer that is not saved; make it a persistent one")
    return made


def check_counts(counts: Tensor, neuron: SpikingNeuron) -> None:
    """Raise VerificationError unless all counts of a layer are whole numbers 0..max_count, which slots can carry."""
    fits = (counts == counts.round()) & (counts >= 0) & (counts <= neuron.max_count)
    if not bool(fits.all()):
        raise VerificationError(
            f"{neuron.name}: {name_of(type(neuron))} gives counts that are not whole numbers 0..{neuron.max_count}"
        )


@torch.no_grad()
def _check_same(neuron: SpikingNeuron, found: ILIF, asked: str) -> None:
    """Raise ConfigError unless both give the same counts of some currents, from rest and with a past."""
    like = next(iter(neuron.state_dict().values()), torch.zeros(()))
    if like.is_meta:
        return
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(3, 1, 1, 8, 8, generator=generator) * (found.max_count + 4) - 2
    x[0] = (2 * x[0]).round() / 2  # thresholds, and the middle between them
    dtype = like.dtype if like.is_floating_point() else torch.float32
    x = (x / found.gain).expand(-1, -1, neuron.channels, -1, -1).to(like.device, dtype)
    was_training = neuron.training
    neuron.eval()
    try:
        same = torch.equal(neuron(x, NeuronState()), found(x, NeuronState()))
    finally:
        neuron.train(was_training)
    if not same:
        raise ConfigError(f"{asked}: as_ilif of {name_of(type(neuron))} gives other counts than the neuron itself")


def ilif_of(neuron: nn.Module, asked: str) -> ILIF:
    """Return the I-LIF neuron that a layer is in inference, for formats that hold no other equation.

    Args:
        neuron: the layer.
        asked: what for, to begin the error with.

    Raises:
        ConfigError: it is not one.
    """
    if isinstance(neuron, ILIF):
        return neuron
    if not isinstance(neuron, SpikingNeuron):
        raise ConfigError(f"{asked}: a network with neuron='relu' has no spikes")
    name, found = name_of(type(neuron)), neuron.as_ilif()
    if found is None:
        raise ConfigError(f"{asked}: {name} has no as_ilif, which says what I-LIF neuron it is; no other is held there")
    if not isinstance(found, ILIF) or found.max_count != neuron.max_count or found.scale is not None:
        raise ConfigError(f"{asked}: as_ilif of {name} gives {quote(found)}: no ILIF without scale and of its D")
    _check_same(neuron, found, asked)
    found.name = neuron.name
    return found
