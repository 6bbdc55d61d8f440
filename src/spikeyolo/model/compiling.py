"""torch.compile for networks, in place: what runs compiled, the line that says so, and going on without it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn

from ..errors import ConfigError, SpikeYOLOError, one_line
from ..terminal import say
from .forms.form import Form

if TYPE_CHECKING:
    from .network import SpikingNetwork

BACKEND = "inductor"
"""Of torch.compile."""

RECOMPILE_LIMIT = 64
"""Graphs of one function in a process, of all networks together; torch's 8 would be two trainings."""

PROOFS = (Form.SPIKE_DRIVEN, Form.INTEGER)
"""Forms that show how hardware computes, and check themselves while they run: fast they are not."""

Tell = Callable[[str], None]

Network = TypeVar("Network", bound="SpikingNetwork")


def compile_network(network: Network, tell: Tell = say) -> Network:
    """Have a network run compiled from its next call on, and return it; parameters, their names and files stay.

    In training and in evaluation it is compiled at the first call each, which takes minutes; `tell` says so. Where it
    cannot be compiled, `tell` says why, and it runs as it is.

    Args:
        network: to change; copies of it, folded ones too, run as they are.
        tell: takes a line for the user.

    Raises:
        ConfigError: a form that proves something.
    """
    if network.form in PROOFS:
        raise ConfigError(f"compile: the {network.form} form proves what hardware computes, and is not made fast")
    network.compiled = Compiled(network, tell)
    return network


class Compiled:
    """The passes of a network, compiled; in each mode (training or not, with gradients or not) for one size of images.

    What a compiled graph does not see, or what it would have to be made anew for, runs as it is, with the same numbers
    up to rounding: batches of another size, as the last one of an epoch; and calls inside of which hooks watch, as
    those that measure spike counts. The neck's features are handed out between two graphs, so that a teacher has them.

    Attributes:
        tell: takes a line for the user.
        reason: why nothing is compiled any more; None while it is.
    """

    def __init__(self, network: SpikingNetwork, tell: Tell) -> None:
        self.reason: str | None = None
        self.tell, self._network = tell, network
        self._passes: tuple[Callable[..., tuple[Tensor, ...]], Callable[..., tuple[Tensor, ...]]] | None = None
        self._inner: list[nn.Module] = []
        self._sizes: dict[tuple[bool, ...], torch.Size] = {}

    def __call__(self, frames: Tensor, timesteps: int) -> tuple[Tensor, ...]:
        """Return what `SpikingNetwork.run` does, from rest."""
        network = self._network
        mode = network.training, torch.is_grad_enabled()
        first = mode not in self._sizes
        if self.reason is not None or self._is_watched() or not (first or self._sizes[mode] == frames.shape):
            return network.run(frames, timesteps)
        try:
            with _quiet() if first else _configured():
                logits = self._run(frames, timesteps, first)
        except (SpikeYOLOError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # of torch's compiler, the one it calls, or a driver: there is no common kind
            # If it is none of theirs, it is raised again here. What was compiled has not run, but perhaps the first of
            # the two graphs: then the statistics of norms have moved by one batch more.
            logits = network.run(frames, timesteps)
            self._give_up(error)
        self._sizes[mode] = frames.shape
        return logits

    def rehearse(self, images: Tensor) -> None:
        """Compile the forward and the backward pass of training, before a step depends on them.

        A backward pass is compiled when it is first needed. If that fails, the forward pass cannot be taken back, and
        with it the step; here nothing is lost: weights, gradients and statistics are afterwards what they were.

        Args:
            images: as `SpikingNetwork.forward` takes them, of the size that the batches have.
        """
        network = self._network
        kept = [(buffer, buffer.clone()) for buffer in network.buffers()]
        learning = [weight for weight in network.parameters() if weight.requires_grad]
        try:
            total = sum(level.float().square().mean() for level in network(images))
            with _quiet():
                torch.autograd.grad(total, learning, allow_unused=True)
        except (SpikeYOLOError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            if self.reason is not None:
                raise
            self._give_up(error)
        finally:
            with torch.no_grad():
                for buffer, before in kept:
                    buffer.copy_(before)

    def _run(self, frames: Tensor, timesteps: int, first: bool) -> tuple[Tensor, ...]:
        if self._passes is None:
            # A small function shows in seconds that there is no compiler, the network in minutes.
            torch.compile(lambda x: x.sin() + 1, backend=BACKEND)(torch.zeros(8, device=frames.device))
            parts = self._network.features, self._network.head.forward
            self._passes = tuple(torch.compile(part, backend=BACKEND, dynamic=False) for part in parts)  # type: ignore[assignment]
            assert self._passes is not None
        if first:
            what = "training" if self._network.training else "evaluation"
            self.tell(f"compiling the network for {what}: its first batch can take minutes")
        features, head = self._passes
        levels = features(frames, timesteps)
        self._network.show_features(levels)
        return head(levels)

    def _is_watched(self) -> bool:
        """Whether a hook sits inside, which a compiled graph would pass by."""
        # Not before the first call: norms may be exchanged for those that several GPUs share.
        self._inner = self._inner or [part for part in self._network.modules() if part is not self._network]
        return any(part._forward_hooks or part._forward_pre_hooks for part in self._inner)

    def _give_up(self, error: Exception) -> None:
        self.reason = _why(error)
        self.tell(f"torch.compile fails here, so the network runs as it is, uncompiled: {self.reason}")


def _why(error: BaseException) -> str:
    """The first error of a chain, the one that the others report, in a line."""
    while (cause := error.__cause__ or getattr(error, "inner_exception", None)) is not None:
        error = cause
    return f"{type(error).__name__}: {one_line(error, 200)}"


@contextmanager
def _configured() -> Iterator[None]:
    """Inside, each pass is one graph, also where several processes share gradients.

    For these torch would cut it up, so that gradients are sent while others are computed; that fails with blocks that
    are run once more (`recompute`), and two graphs overlap as well.
    """
    with torch._dynamo.config.patch(optimize_ddp=False, recompile_limit=RECOMPILE_LIMIT):
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """The same without torch's hints, at which a user can do nothing."""
    with warnings.catch_warnings(), _configured():
        warnings.simplefilter("ignore")
        yield
