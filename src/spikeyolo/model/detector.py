"""The detector: a network with the names of its classes and its input; it predicts, folds, saves and loads."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from ..detection.postprocess import Thresholds, postprocess
from ..devices import one_device
from ..errors import CheckpointError, ConfigError, quote
from ..hub import send
from ..imaging.image_input import Image, ImageInput
from ..imaging.tensors import as_input
from ..spiking import NeuronState, SlotCode, SpikingNeuron
from ..spiking.spiking_neuron import neuron_name
from ..structures import Detections, Placement
from ..text import class_name
from ..weights.shipped import weights_file
from . import checkpoint
from .compiling import compile_network
from .forms.convert import convert, converted
from .forms.form import Form
from .info import NetworkInfo, info_of
from .inputs import Input, chosen_input, to_metadata
from .metadata import input_of, of_metadata, with_neuron
from .network import SpikingNetwork, evaluating
from .presets import NetworkConfig, network_config
from .sharing import shared_files


class SpikeYOLO(SpikingNetwork):
    """The SpikeYOLO detector.

    Args:
        preset: a preset's name ("t", "n", "s", "m", "l", or the event variants "t-gen1" ... "l-gen1"), or a config.
        names: class names, which also say how many there are; "class0", "class1", ... unless given.
        input: what the network sees: an `ImageInput` or an `EventInput`. Networks of images are taken to see 640 x 640
            pixels unless it is given, those of events to see nothing known.
        **changes: fields of `NetworkConfig` to set: num_classes, timesteps, max_count, neuron (a name, or a class of
            your own, see `SpikingNeuron`), ...

    Attributes:
        names: class names.
        input: what it sees; saved with the weights, so that nobody needs to be told the size of images again.

    Raises:
        ConfigError: a setting that does not exist or is out of range, or an input that does not fit the network.
    """

    def __init__(
        self,
        preset: str | NetworkConfig = "s",
        *,
        names: Sequence[str] | None = None,
        input: Input | None = None,
        **changes: Any,
    ):
        if names is not None:
            changes.setdefault("num_classes", len(names))
        super().__init__(network_config(preset, **changes))
        self.names = self._class_names(names)
        self.input = self._default_input() if input is None else input
        if self.input is not None:
            self.check_input(self.input)
        self._folded: tuple[Any, SpikeYOLO] | None = None  # in a tuple: no part of the network

    def _class_names(self, names: Sequence[str] | None) -> tuple[str, ...]:
        count = self.config.num_classes
        names = tuple(f"class{i}" for i in range(count)) if names is None else tuple(class_name(str(n)) for n in names)
        if len(names) != count:
            raise ConfigError(f"names: {len(names)} class names for num_classes={count}; leave num_classes out")
        return names

    def _default_input(self) -> Input | None:
        images = self.config.in_channels == 3 and self.config.neuron != "gen1"
        return ImageInput() if images else None

    def check_input(self, input: Input) -> None:
        """Raise ConfigError unless the network takes what an input gives."""
        input.check_fits(self.config.in_channels, self.config.timesteps)

    @property
    def timesteps(self) -> int:
        """T of a whole window."""
        return self.config.timesteps

    @property
    def precision(self) -> str:
        """Of its numbers: a floating point type, or integer."""
        return "integer" if self.form is Form.INTEGER else str(self.dtype).removeprefix("torch.")

    @property
    def engine(self) -> str:
        """What runs it."""
        compiled = self.compiled is not None and self.compiled.reason is None
        return f"torch {torch.__version__}{', compiled' if compiled else ''}"

    def check_carry(self) -> None:
        """Raise ConfigError for a compiled network; else potentials can be carried: `forward` takes and gives them."""
        if self.compiled is not None:
            raise ConfigError("compile: not with potentials that are carried on; leave out --carry or --compile")

    def prepare(self, images: Tensor) -> Tensor:
        """Return images or event frames as the network takes them; see `as_input`."""
        return as_input(images, self.device, self.dtype)

    def look(self, prepared: Tensor, state: Mapping[str, Tensor] | None = None) -> tuple[Sequence[Tensor], NeuronState]:
        """Return logits, and the state where one was given; for inference, in whatever mode the network is."""
        with evaluating(self):
            return (self(prepared), NeuronState()) if state is None else self(prepared, state)

    def detect(
        self,
        outputs: Sequence[Tensor],
        thresholds: Thresholds,
        placements: Sequence[Placement],
        *,
        multi_label: bool = False,
    ) -> list[Detections]:
        """Return what was found on each image; see `postprocess`."""
        found = postprocess(outputs, thresholds, placements, multi_label=multi_label)
        return [one.with_names(self.names) for one in found]

    @torch.no_grad()
    def predict(
        self,
        images: Tensor | Image | Sequence[Image],
        conf: float = 0.25,
        iou: float = 0.7,
        max_det: int = 300,
        imgsz: int | tuple[int, int] | None = None,
    ) -> list[Detections]:
        """Find objects on images, by the folded form of the network.

        A trained network is folded at the first call and the folded one is kept until the weights change.

        Args:
            images: a path, an address (http, https), an (H, W, 3) uint8 RGB array, an image of PIL, or a list of these
                and of (3, H, W) tensors, of any size; or a tensor as for `forward`. Tensors are uint8 0..255, or 0..1.
                Folders, patterns, videos and recordings: `spikeyolo.predict`.
            conf: least score of a detection.
            iou: overlap over which the weaker of two boxes of a class is dropped.
            max_det: most detections of an image.
            imgsz: rows and columns of the canvas that images are letter-boxed to (one number: square), multiples
                of 32, in place of the model's own. Not used for a tensor.

        Returns:
            For each image its detections, best first, boxes in pixels of the image given.

        Raises:
            DataError: a file that is not a readable image, or an address from which none can be had.
            ShapeError: an array or tensor of another shape or type, or a tensor of images outside 0..1.
            ConfigError: a threshold or imgsz out of range, or files for a network of events.
        """
        thresholds = Thresholds(conf, iou, max_det)
        tensor, placements = self.seen(images, imgsz)
        if not len(tensor):
            return []
        network = self._predictor()
        with evaluating(network):
            found = postprocess(network(as_input(tensor, self.device, self.dtype)), thresholds, placements)
        return [one.with_names(self.names) for one in found]

    def seen(
        self, images: Tensor | Image | Sequence[Image], imgsz: int | tuple[int, int] | None = None
    ) -> tuple[Tensor, list[Placement] | None]:
        """Return images as they lie before the network: a tensor, and where each is on its canvas; see `predict`."""
        if isinstance(images, Tensor):
            return images, None
        several = isinstance(images, Sequence) and not isinstance(images, str)
        canvas = cast(ImageInput, chosen_input(self, imgsz, kind=ImageInput.kind))
        loaded, placements = canvas.load(images if several else [images])
        return torch.from_numpy(loaded), placements

    def info(self, imgsz: int | tuple[int, int] | None = None) -> NetworkInfo:
        """Return the layers with shapes, parameters and multiply-accumulates; `print` it, or let a notebook show it.

        Args:
            imgsz: rows and columns of the image (one number: square), in place of the model's own.

        Raises:
            ConfigError: imgsz is not a multiple of 32, or missing for a model that takes frames of any size.
        """
        return info_of(self, self.input, imgsz)

    def _predictor(self) -> SpikeYOLO:
        """This network folded, which is faster; itself where it is folded already, or its weights cannot be watched."""
        if self.form is not Form.TRAINABLE:
            return self
        weights = [*self.parameters(), *self.buffers()]
        if any(value.is_inference() for value in weights):
            return self.fold()
        now = [(value.data_ptr(), value._version, value.dtype, value.device) for value in weights]
        if self._folded is None or self._folded[0] != now:
            self._folded = (now, self.fold())
        if self.compiled is not None and self._folded[1].compiled is None:
            compile_network(self._folded[1], self.compiled.tell)
        return self._folded[1]

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles do without the folded network that `predict` keeps."""
        return {**super().__getstate__(), "_folded": None}

    def fold(self, dense: bool = False) -> SpikeYOLO:
        """Return a copy for inference with every batch norm folded into its convolution; this one stays as it is.

        Args:
            dense: False keeps RepConv as 1x1 -> depthwise -> 1x1: the fast form on CPUs and GPUs. True makes one
                dense convolution of each RepConv and SepRepConv: about 1.7 times the MACs, but each convolution is
                fed by spikes alone, so that additions suffice: for spike-driven running, energy and hardware.
        """
        return converted(self, Form.DENSE if dense else Form.SEPARABLE)

    def to_spike_driven(self, slot_code: str | None = None) -> SpikeYOLO:
        """Return a copy that runs on binary spikes, its convolutions by additions alone.

        Equal to this one up to the order in which it adds. It is a proof and the hardware's pattern, not a fast form:
        a CPU or GPU computes each slot as a whole convolution. See `spike_driven` and `verify_spike_driven`.

        Args:
            slot_code: "unary": T x D slots an image; "binary": T x 3 for D = 4, with fewer spikes and the same results
                bit for bit, see `spiking.slots`; None: as it is, unary of a trained network.

        Raises:
            ConfigError: the network is an ANN twin, or already of integers, or an unknown code.
        """
        return converted(self, Form.SPIKE_DRIVEN, slot_code=None if slot_code is None else SlotCode.of(slot_code))

    def to_integer(self, slot_code: str | None = None) -> SpikeYOLO:
        """Return a copy with int8 weights and 32-bit fixed-point potentials, also on binary spikes; see `integer`.

        It has as many fraction bits as leave every sum inside 32 bits, by proof (`integer.fits_in_32_bits`).

        Args:
            slot_code: see `to_spike_driven`.

        Raises:
            ConfigError: an ANN twin, a decay or gain that is no power of two, weights too large for 32 bits, or an
                unknown code.
        """
        return converted(self, Form.INTEGER, slot_code=None if slot_code is None else SlotCode.of(slot_code))

    def push_to_hub(self, repo: str, *, private: bool = False, **known: Any) -> str:
        """Send the weights to the Hugging Face Hub with a card of what is known; return their page. Needs a token.

        Args:
            repo: owner/name, made unless it is there.
            private: of a repository that is made.
            **known: of `model_card.Facts`.

        Raises:
            ConfigError, WriteError, MissingPackage: see `hub.send`.
        """
        return send(repo, shared_files(self, repo, **known), private)

    def save(self, path: str | os.PathLike[str], *, bits: int | None = None) -> None:
        """Write weights, config, class names, input and form as one safetensors file; an older one is replaced whole.

        Args:
            path: the file.
            bits: keep weights of convolutions in so many bits, 2..8, with a scale for each output channel, and the rest
                in float16: a quarter of the size, and less where it is compressed, for some precision. Loaded, all is
                float32 again, and the network trains, folds and exports as ever. None: as it is.

        Raises:
            ConfigError: bits out of range.
            WriteError: the file cannot be written.
        """
        metadata = {
            "config": json.dumps(self.config.to_dict()),
            "names": json.dumps(self.names),
            "form": str(self.form),
        }
        if self.input is not None:
            metadata["input"] = json.dumps(to_metadata(self.input))
        if self.fraction_bits is not None:
            metadata["fraction_bits"] = str(self.fraction_bits)
        if self.slot_code is not SlotCode.UNARY:
            metadata["slot_code"] = str(self.slot_code)
        checkpoint.write(path, metadata, self.state_dict(), bits)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        device: torch.device | str = "cpu",
        neuron: str | type[SpikingNeuron] | None = None,
    ) -> SpikeYOLO:
        """Build the model that a file describes and fill it with the file's weights, in their dtype, ready to predict.

        Nothing that the file names is imported: a neuron from outside the package must be defined in this process.

        Args:
            path: the file; the name of a model that comes with the package, such as "t-bccd" (`spikeyolo models`); or
                hf://owner/name[@revision] on the Hugging Face Hub.
            device: where the weights go.
            neuron: the class of that neuron, for a file that knows it under another module: only the name of the class
                must be the same.

        Raises:
            CheckpointError: the file is missing, damaged, of another kind or version, does not fit its own config, or
                has another neuron.
            ConfigError: no such device.
        """
        chosen = one_device(device)  # before hundreds of megabytes are read
        path = weights_file(path)
        metadata, tensors = checkpoint.read(path)
        with torch.device("meta"):  # shapes alone: the weights come from the file
            model = cls._described(Path(path), metadata, sum(value.numel() for value in tensors.values()), neuron)
        model.load_tensors(tensors, str(path))
        if metadata["version"] == "1" and "preparation" not in metadata and model.input is not None:
            warnings.warn(
                f"{path}: from a version that did not keep the size of images; taken as {model.input}, "
                "--imgsz changes it",
                stacklevel=2,
            )
        return model.to(chosen).eval()

    @classmethod
    def _described(
        cls, path: Path, metadata: Mapping[str, str], numbers: int, neuron: str | type[SpikingNeuron] | None
    ) -> SpikeYOLO:
        try:
            values = checkpoint.from_json(metadata, "config")
            config = NetworkConfig.from_dict(values if neuron is None else with_neuron(values, neuron_name(neuron)))
            names = checkpoint.from_json(metadata, "names")
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise ConfigError(f"names: {quote(names)} is no list of class names")
            model = cls(config, names=names, num_classes=config.num_classes, input=input_of(metadata))
            needed = sum(parameter.numel() for parameter in model.parameters())
            if numbers < needed / 2:  # folding drops some; of a network beyond the file it takes minutes
                raise ConfigError(f"config: a network of {needed} numbers, the file has {numbers}")
            form = of_metadata(Form, metadata, "form")
            bits = of_metadata(int, metadata, "fraction_bits") if form is Form.INTEGER else None
            code = SlotCode.of(metadata["slot_code"]) if "slot_code" in metadata else None
            convert(model, form, bits, code)
        except ConfigError as error:
            raise CheckpointError(f"{path}: its metadata cannot be used ({error})") from error
        return model


load = SpikeYOLO.load
