from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor, nn

from ..detection.anchors import decode
from ..detection.nms import non_maximum_suppression
from ..errors import ConfigError, ShapeError
from ..imaging.io import read_rgb
from ..imaging.letterbox import letterbox
from ..spiking import ILIF, NeuronState
from ..structures import STRIDES, Detections, Placement
from .backbone import Backbone
from .blocks import use_channels_last
from .forms.folding import fold_network
from .forms.integer import LEAST_FRACTION_BITS, MOST_FRACTION_BITS, fits_in_32_bits, make_integer
from .forms.spike_driven import drive_by_spikes
from .head import DetectHead
from .neck import Neck
from .presets import NetworkConfig, network_config

TRAINABLE, SEPARABLE, DENSE, SPIKE_DRIVEN, INTEGER = "trainable", "separable", "dense", "spike-driven", "integer"
FORMS = (TRAINABLE, SEPARABLE, DENSE, SPIKE_DRIVEN, INTEGER)
"""How the convolutions are held and run: as trained; in one of the two folded forms (see `reparam`); on binary spikes
(`spike_driven`); on binary spikes with int8 weights (`integer`)."""

Image = str | os.PathLike[str] | np.ndarray


class SpikeYOLO(nn.Module):
    """The SpikeYOLO detector: backbone, neck and head of I-LIF neurons.

    Args:
        preset: a preset's name ("t", "n", "s", "m", "l", or the event variants "t-gen1" ... "l-gen1"), or a config.
        names: class names; "class0", "class1", ... unless given.
        **changes: fields of `NetworkConfig` to set: num_classes, timesteps, max_count, neuron, ...

    Shape:
        images: (B, C, H, W) still images, each shown `timesteps` times, or (T, B, C, H, W) event frames; floating
            point 0..1, H and W multiples of 32 -> three (B, 64 + num_classes, H / stride, W / stride) of logits,
            strides 8, 16, 32.

    Raises:
        ConfigError: a setting that does not exist or is out of range.

    Source: Luo et al., Integer-Valued Training and Spike-Driven Inference Spiking Neural Network for
    High-performance and Energy-efficient Object Detection, ECCV 2024.
    """

    def __init__(self, preset: str | NetworkConfig = "s", *, names: Sequence[str] | None = None, **changes: Any):
        super().__init__()
        self.config = network_config(preset, **changes)
        self.names = self._class_names(names)
        self.form = TRAINABLE
        self.fraction_bits: int | None = None  # of the integer form
        self.preparation: dict[str, Any] | None = None  # how recordings become frames, plain values
        self.backbone = Backbone(self.config)
        self.neck = Neck(self.config)
        self.head = DetectHead(self.neck.out_channels, self.config.num_classes, self.config.make_neuron)
        for name, module in self.named_modules():
            if isinstance(module, ILIF):
                module.name = name
        use_channels_last(self)

    def _class_names(self, names: Sequence[str] | None) -> tuple[str, ...]:
        count = self.config.num_classes
        names = tuple(f"class{i}" for i in range(count)) if names is None else tuple(names)
        if len(names) != count:
            raise ConfigError(f"names: {len(names)} class names for num_classes={count}")
        return names

    @overload
    def forward(self, images: Tensor) -> tuple[Tensor, ...]: ...
    @overload
    def forward(self, images: Tensor, state: Mapping[str, Tensor]) -> tuple[tuple[Tensor, ...], NeuronState]: ...
    def forward(
        self, images: Tensor, state: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, ...] | tuple[tuple[Tensor, ...], NeuronState]:
        """Logits of three levels; every neuron starts at rest unless a state is given.

        Args:
            images: see the class. Event frames must have T = `timesteps`, unless a state is given.
            state: membrane potentials of the call before, or an empty mapping at the start of a stream. Not changed.

        Returns:
            The logits; with a state, also the state to give to the next call.

        Raises:
            ShapeError: images of another shape or type than the class says.
        """
        self._check_images(images, streaming=state is not None)
        frames = images if images.ndim == 5 else images.unsqueeze(0)
        timesteps = images.shape[0] if images.ndim == 5 else self.config.timesteps
        new_state = None if state is None else NeuronState(state)
        levels = self.backbone(frames, timesteps, new_state)
        logits = self.head(self.neck(*levels, new_state), new_state)
        return logits if new_state is None else (logits, new_state)

    def _check_images(self, images: Tensor, streaming: bool) -> None:
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

    @torch.no_grad()
    def predict(
        self,
        images: Tensor | Image | Sequence[Image],
        conf: float = 0.25,
        iou: float = 0.7,
        max_det: int = 300,
        imgsz: int | tuple[int, int] = 640,
    ) -> list[Detections]:
        """Finds objects on images.

        Args:
            images: a path, an (H, W, 3) uint8 RGB array, or a list of these, of any size; or a tensor as for `forward`.
            conf: least score of a detection.
            iou: overlap over which the weaker of two boxes of a class is dropped.
            max_det: most detections of an image.
            imgsz: rows and columns of the canvas that images are letter-boxed to (one number: square), multiples
                of 32. Not used for a tensor.

        Returns:
            For each image its detections, best first, boxes in pixels of the image given.

        Raises:
            DataError: a file that is not a readable image.
            ShapeError: an array or tensor of another shape or type.
            ConfigError: a threshold or imgsz out of range.
        """
        if isinstance(images, Tensor):
            tensor, placements = images.to(self.device, self.dtype), None
        else:
            several = isinstance(images, Sequence) and not isinstance(images, str)
            canvas_hw = (imgsz, imgsz) if isinstance(imgsz, int) else imgsz
            if min(canvas_hw) < STRIDES[-1] or any(side % STRIDES[-1] for side in canvas_hw):
                raise ConfigError(f"imgsz: {imgsz} is not a multiple of {STRIDES[-1]}")
            tensor, placements = _load(images if several else [images], canvas_hw)  # type: ignore[list-item,arg-type]
            if not placements:
                return []
            tensor = tensor.to(self.device).to(self.dtype) / 255
        was_training = self.training
        self.eval()
        try:
            logits = self(tensor)
        finally:
            self.train(was_training)
        boxes, scores = decode(logits, STRIDES)
        found = non_maximum_suppression(boxes, scores, conf=conf, iou=iou, max_det=max_det)
        if placements is None:
            return found
        return [
            Detections(place.to_original(d.boxes), d.scores, d.labels)
            for d, place in zip(found, placements, strict=True)
        ]

    def fold(self, dense: bool = False) -> SpikeYOLO:
        """A copy for inference with every batch norm folded into its convolution; this one stays as it is.

        Args:
            dense: False keeps RepConv as 1x1 -> depthwise -> 1x1: the fast form on CPUs and GPUs. True makes one
                dense convolution of each RepConv and SepRepConv: about 1.7 times the MACs, but each convolution is
                fed by spikes alone, so that additions suffice: for spike-driven running, energy and hardware.
        """
        return self._in_form(DENSE if dense else SEPARABLE)

    def to_spike_driven(self) -> SpikeYOLO:
        """A copy that runs on binary spikes, T x D slots an image, its convolutions by additions alone.

        Equal to this one up to the order in which it adds. It is a proof and the hardware's pattern, not a fast form:
        a CPU or GPU computes each slot as a whole convolution. See `spike_driven` and `verify_spike_driven`.

        Raises:
            ConfigError: the network is an ANN twin, or already of integers.
        """
        return self._in_form(SPIKE_DRIVEN)

    def to_integer(self) -> SpikeYOLO:
        """A copy with int8 weights and 32-bit fixed-point potentials, also on binary spikes; see `integer`.

        It has as many fraction bits as leave every sum inside 32 bits, by proof (`integer.fits_in_32_bits`).

        Raises:
            ConfigError: an ANN twin, a decay or gain that is no power of two, or weights too large for 32 bits.
        """
        for bits in range(MOST_FRACTION_BITS, LEAST_FRACTION_BITS - 1, -1):
            integer = self._in_form(INTEGER, bits)
            if fits_in_32_bits(integer, self.config.in_channels):
                return integer
        raise ConfigError(
            f"to_integer: these weights need more than 32 bits even with {LEAST_FRACTION_BITS} fraction bits"
        )

    def _in_form(self, form: str, fraction_bits: int | None = None) -> SpikeYOLO:
        backwards = FORMS.index(self.form) > FORMS.index(form)
        if backwards or (self.form == SPIKE_DRIVEN and form == INTEGER):
            raise ConfigError(f"the {self.form} form cannot be made {form} again; start from the trained network")
        copied = copy.deepcopy(self).eval()
        copied.take_form(form, fraction_bits)
        return copied

    def take_form(self, form: str, fraction_bits: int | None = None) -> None:
        """Changes the network itself into a form that lies further from the trained one; `fraction_bits` for INTEGER.

        `fold`, `to_spike_driven` and `to_integer` do this to a copy.
        """
        if form != TRAINABLE and self.form != form:
            fold_network(self, dense=form != SEPARABLE)
            if form == SPIKE_DRIVEN:
                drive_by_spikes(self)
            if form == INTEGER:
                assert fraction_bits is not None
                make_integer(self, fraction_bits, self.config.input_levels)
                self.fraction_bits = fraction_bits
        self.form = form
        self.requires_grad_(form == TRAINABLE)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(iter(self.state_dict().values())).device

    @property
    def dtype(self) -> torch.dtype:
        """What images must be: the dtype of the weights, and float32 where these are integers."""
        dtype = next(iter(self.state_dict().values())).dtype
        return dtype if dtype.is_floating_point else torch.float32

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes weights, config and class names as one safetensors file; a file of that name is replaced whole."""
        from .checkpoint import save

        save(self, path)

    def extra_repr(self) -> str:
        """The config, for print(model)."""
        return f"{self.config}, form={self.form}"


def _load(images: Sequence[Image], canvas_hw: tuple[int, int]) -> tuple[Tensor, list[Placement]]:
    """Letter-boxed images (B, 3, H, W) uint8 RGB, and where each lies on its canvas."""
    canvases, placements = [], []
    for image in images:
        if not isinstance(image, np.ndarray):
            image = read_rgb(image)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise ShapeError(f"images: expected uint8 (H, W, 3) RGB, got {image.dtype} {image.shape}")
        canvas, placement = letterbox(image, canvas_hw)
        canvases.append(canvas)
        placements.append(placement)
    if not canvases:
        return torch.zeros(0, 3, *canvas_hw, dtype=torch.uint8), []
    return torch.from_numpy(np.stack(canvases)).permute(0, 3, 1, 2), placements
