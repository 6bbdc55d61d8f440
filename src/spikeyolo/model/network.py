"""The network: backbone, neck and head of spiking neurons. It knows no images, no decoding, no loss."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol, overload

import torch
from torch import Tensor, nn

from ..errors import CheckpointError, ShapeError, one_line, quote
from ..placement import STRIDES
from ..spiking import ILIF, NeuronState, SlotCode, SpikingNeuron
from .backbone import Backbone
from .blocks import use_channels_last
from .forms.form import Form
from .head import DetectHead
from .leaks import LeakySums
from .neck import Neck
from .presets import NetworkConfig

if TYPE_CHECKING:
    from .compiling import Compiled

FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
"""What weights can be of."""

MOST_SHIFT = 31
"""Bits by which the sums of an integer network can be shifted and still be of 32."""


class Described(Protocol):
    """What has a shape: a tensor, or one that has not been read."""

    @property
    def shape(self) -> Sequence[int]:
        """Length of each axis."""


class SpikingNetwork(nn.Module):
    """Frames in, logits of three levels out; membrane potentials in and out where they are asked for.

    Args:
        config: everything that decides shape and neurons.

    Attributes:
        config: the same.
        form: how the convolutions are held and run.
        fraction_bits: of the integer form.
        slot_code: how counts become slots, in the forms that run on them.
        compiled: runs its passes by torch.compile, see `compiling.compile_network`; copies do without.
        watchers: are given the features of the neck, three levels (T, B, channels, H, W), at each pass.

    Shape:
        images: (B, C, H, W) still images, each shown `timesteps` times, or (T, B, C, H, W) event frames; floating
            point, images 0..1, H and W multiples of 32 -> three (B, 64 + num_classes, H / stride, W / stride) of
            logits, strides 8, 16, 32.

    Source: Luo et al., Integer-Valued Training and Spike-Driven Inference Spiking Neural Network for
    High-performance and Energy-efficient Object Detection, ECCV 2024.
    """

    def __init__(self, config: NetworkConfig):
        super().__init__()
        self.config = config
        self.form = Form.TRAINABLE
        self.fraction_bits: int | None = None
        self.slot_code = SlotCode.UNARY
        self.compiled: Compiled | None = None
        self.watchers: list[Callable[[tuple[Tensor, ...]], None]] = []
        self.backbone = Backbone(config)
        self.neck = Neck(config)
        self.head = DetectHead(self.neck.out_channels, config.num_classes, config.make_neuron)
        for name, module in self.named_modules():
            if isinstance(module, ILIF | SpikingNeuron | LeakySums):
                module.name = name
        use_channels_last(self)

    @overload
    def forward(self, images: Tensor) -> tuple[Tensor, ...]: ...
    @overload
    def forward(self, images: Tensor, state: Mapping[str, Tensor]) -> tuple[tuple[Tensor, ...], NeuronState]: ...
    def forward(
        self, images: Tensor, state: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, ...] | tuple[tuple[Tensor, ...], NeuronState]:
        """Return logits of three levels; every neuron starts at rest unless a state is given.

        Args:
            images: see the class. Event frames must have T = `timesteps`, unless a state is given.
            state: membrane potentials of the call before, or an empty mapping at the start of a stream. Not changed.

        Returns:
            The logits; with a state, also the state to give to the next call.

        Raises:
            ShapeError: images of another shape or type than the class says.
        """
        self.check_images(images, streaming=state is not None)
        frames = images if images.ndim == 5 else images.unsqueeze(0)
        timesteps = images.shape[0] if images.ndim == 5 else self.config.timesteps
        new_state = None if state is None else NeuronState(state)
        if self.compiled is not None and new_state is None:
            return self.compiled(frames, timesteps)
        logits = self.run(frames, timesteps, new_state)
        return logits if new_state is None else (logits, new_state)

    def run(self, frames: Tensor, timesteps: int, state: NeuronState | None = None) -> tuple[Tensor, ...]:
        """Return logits without looking at the images, uncompiled.

        Args:
            frames: (1 or T, B, C, H, W).
            timesteps: T.
            state: potentials to start from, replaced by the new ones; None: rest.
        """
        levels = self.features(frames, timesteps, state)
        self.show_features(levels)
        return self.head(levels, state)

    def by_timestep(self, frames: Tensor, state: Mapping[str, Tensor]) -> tuple[tuple[Tensor, ...], NeuronState]:
        """Return logits of each timestep, three levels (T, B, 64 + num_classes, H, W), and the state after the last.

        Args:
            frames: (T, B, C, H, W) of any T.
            state: to start from; empty at the start of a stream. Not changed.

        Raises:
            ShapeError: frames that `forward` would not take.
        """
        self.check_images(frames, streaming=True)
        new_state = NeuronState(state)
        levels = self.features(frames, len(frames), new_state)
        return self.head.by_timestep(levels, new_state), new_state

    def features(self, frames: Tensor, timesteps: int, state: NeuronState | None = None) -> tuple[Tensor, ...]:
        """Return what the neck gives, three levels (T, B, channels, H, W); see `run`."""
        return self.neck(*self.backbone(frames, timesteps, state), state)

    def show_features(self, levels: tuple[Tensor, ...]) -> None:
        """Give the features of a pass to those who watch."""
        for watcher in self.watchers:
            watcher(levels)

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles run uncompiled: compiled passes are those of one network."""
        return {**super().__getstate__(), "compiled": None}

    def check_images(self, images: Tensor, streaming: bool = False) -> None:
        """Raise ShapeError for images that `forward` does not take, or without a state in place of a stream's."""
        if not isinstance(images, Tensor):
            raise ShapeError(f"images: expected a tensor, got {type(images).__name__}; files and arrays: call predict")
        shape, config = tuple(images.shape), self.config
        if images.ndim not in (4, 5) or not images.is_floating_point():
            raise ShapeError(
                f"images: expected floating point (B, C, H, W) or (T, B, C, H, W) in 0..1, got {images.dtype} {shape}"
            )
        if shape[-3] != config.in_channels:
            raise ShapeError(
                f"images: {shape[-3]} channels in {shape}, the network has in_channels={config.in_channels}"
            )
        if shape[-2] % STRIDES[-1] or shape[-1] % STRIDES[-1] or 0 in shape:
            raise ShapeError(f"images: H and W must be multiples of {STRIDES[-1]}, got {shape[-2]} x {shape[-1]}")
        if images.ndim == 5 and shape[0] != config.timesteps and not streaming:
            raise ShapeError(
                f"images: T = {shape[0]} in {shape}, the network has timesteps={config.timesteps}; "
                "axes are (T, B, C, H, W)"
            )

    def check_fit(self, tensors: Mapping[str, Described], source: str) -> None:
        """Raise CheckpointError unless these are the tensors of this network by name and shape; none is looked into."""
        own = self.state_dict()
        missing, extra = own.keys() - tensors.keys(), tensors.keys() - own.keys()
        if missing or extra:
            raise CheckpointError(
                f"{source}: does not fit the network: {_preview('missing', missing)}"
                f"{_preview('left over', extra)}".rstrip("; ")
            )
        for key, value in own.items():
            if tuple(tensors[key].shape) != tuple(value.shape):
                raise CheckpointError(
                    f"{source}: {key} has shape {quote(tuple(tensors[key].shape))}, the network's is "
                    f"{tuple(value.shape)}"
                )

    def load_tensors(self, tensors: Mapping[str, Tensor], source: str) -> None:
        """Take over the tensors of a state dict, of which every key must fit.

        Args:
            tensors: by name; floating-point ones all of one dtype, which becomes the network's.
            source: where they are from, for the error.

        Raises:
            CheckpointError: keys missing or left over, a shape or dtype that differs, or a number that is not finite;
                the network is unchanged.
        """
        self.check_fit(tensors, source)
        own = self.state_dict()
        found = Counter(tensors[key].dtype for key, value in own.items() if value.is_floating_point())
        usual = next((dtype for dtype, _ in found.most_common(1) if dtype in FLOATS), FLOATS[0])
        for key, value in own.items():
            wanted = usual if value.is_floating_point() else value.dtype
            if tensors[key].dtype != wanted:
                raise CheckpointError(
                    f"{source}: {key} is of {tensors[key].dtype}; it must be of {wanted}, as the others"
                )
        for key in own:
            if fault := unusable(key, tensors[key]):
                raise CheckpointError(f"{source}: {key} holds {fault}; these weights are damaged, take another file")
        self.load_state_dict(tensors, assign=True)
        use_channels_last(self)

    def _first(self) -> Tensor:
        return next(chain(self.parameters(), self.buffers()))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._first().device

    @property
    def dtype(self) -> torch.dtype:
        """What images must be: the dtype of the weights, and float32 where these are integers."""
        dtype = self._first().dtype
        return dtype if dtype.is_floating_point else torch.float32

    def extra_repr(self) -> str:
        """The config, for print(model)."""
        return f"{self.config}, form={self.form}"


def unusable(name: str, values: Tensor) -> str | None:
    """What makes the numbers of a part of a network, or of its optimiser, useless; None if they can be used."""
    if values.numel() == 0:
        return None
    low, high = map(float, torch.aminmax(values))
    if not (math.isfinite(low) and math.isfinite(high)):
        return "NaN or infinity"
    if low < 0 and name.endswith(("running_var", "exp_avg_sq")):
        return "a variance below 0"
    if low <= 0 and name.endswith(".neuron.scale"):
        return "a scale that is not positive"
    if name.endswith(".shift") and not 0 <= low <= high <= MOST_SHIFT:
        return f"a shift outside 0..{MOST_SHIFT}"
    return None


def _preview(what: str, keys: set[str], most: int = 3) -> str:
    if not keys:
        return ""
    listed = ", ".join(map(one_line, sorted(keys)[:most]))
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return f"{what} {len(keys)}: {listed}{more}; "


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into eval mode for a while; afterwards every part is in the mode it was in before."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


@contextmanager
def running_statistics(network: nn.Module) -> Iterator[None]:
    """Inside, batch norms in training scale by their running statistics, and leave them as they are.

    A batch that holds nothing has none of its own: with a variance of 0 each norm multiplies the gradient by
    1 / sqrt(eps), 32 here, and after a few dozen of them it is beyond float32. Norms that several GPUs share stay as
    they are: they see the images of all.
    """
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d) and part.training]
    for norm in norms:
        norm.eval()
    try:
        yield
    finally:
        for norm in norms:
            norm.train()
