"""What can be chosen for each format: one class a format, so that an option that does not apply cannot be given.

No torch: what cannot work is refused before anything heavy is imported.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..artefact import Outputs, SlotCodeName
from ..detection.thresholds import Thresholds
from ..errors import ConfigError, quote
from ..limits import MAX_BATCH, MAX_SIDE, check_range
from ..placement import STRIDES
from .web_runtime import check_runtime

Precision = Literal["float32", "float16", "int8"]


@dataclass(frozen=True)
class GraphConfig:
    """What is written as one graph for a runtime.

    Attributes:
        precision: float32, float16, or int8 weights on counts
        dense: RepConv as one convolution, fed by counts alone: in float32 no sum is rounded and every runtime gives the
            same bits; else as three, with fewer operations
        outputs: boxes and scores, raw logits, or detections (non-maximum suppression inside, of one image)
        preprocessing: take uint8, which is divided by 255 inside; else floating point 0..1
        batch: images of a run
        dynamic_batch: any number of images
        dynamic_size: any rows and columns that are multiples of 32
        streaming: one timestep a run; membrane potentials come in and go out
        thresholds: of detections inside

    Raises:
        ConfigError: choices that do not go together.
    """

    precision: Precision = "float32"
    dense: bool = False
    outputs: Outputs = "boxes"
    preprocessing: bool = True
    batch: int = 1
    dynamic_batch: bool = False
    dynamic_size: bool = False
    streaming: bool = False
    thresholds: Thresholds = field(default_factory=Thresholds)

    def __post_init__(self) -> None:
        check_range("batch", self.batch, 1, MAX_BATCH)
        if self.dynamic_batch and self.batch != 1:
            raise ConfigError("batch: give a number, or --dynamic-batch")
        if self.outputs == "detections" and (self.dynamic_batch or self.batch != 1 or self.dynamic_size):
            raise ConfigError(
                "outputs: detections inside are of one image of a fixed size; take boxes with a larger or free batch"
            )
        if self.streaming and (self.dynamic_batch or self.dynamic_size):
            raise ConfigError("streaming: membrane potentials have fixed shapes; leave out what is dynamic")
        if self.streaming and self.outputs == "detections":
            raise ConfigError("streaming: boxes are read off the mean of several runs; take logits")


@dataclass(frozen=True)
class OnnxConfig(GraphConfig):
    """ONNX.

    Attributes:
        signed: int8 as TensorRT wants it: signed counts, Q/DQ around each convolution
    """

    signed: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.signed and self.precision != "int8":
            raise ConfigError("signed: of --precision int8")


@dataclass(frozen=True)
class OpenVinoConfig(GraphConfig):
    """OpenVINO's own files."""


@dataclass(frozen=True)
class SlotCodeConfig:
    """What is written of integers.

    Attributes:
        slot_code: unary or binary: how hardware is to turn counts into slots, which the file says; what is written
            computes on counts, with the same numbers in both; the model's own unless given
    """

    slot_code: SlotCodeName | None = None


@dataclass(frozen=True)
class IntegerOnnxConfig(SlotCodeConfig):
    """ONNX of integer operators alone.

    Attributes:
        outputs: boxes and scores, or raw logits
        batch: images of a run
        streaming: one timestep a run; membrane potentials come in and go out
    """

    outputs: Literal["logits", "boxes"] = "boxes"
    batch: int = 1
    streaming: bool = False

    def __post_init__(self) -> None:
        check_range("batch", self.batch, 1, MAX_BATCH)


@dataclass(frozen=True)
class IntegerConfig(SlotCodeConfig):
    """What can be chosen for the chip package.

    Attributes:
        images: golden images at most, the first of those given
        golden_size: rows and columns of what is cut from their middle, a multiple of 32; none: whole images
        check: run reference.py on the package before it is handed over

    Raises:
        ConfigError: a value out of range.
    """

    images: int = 1
    golden_size: int | None = 256
    check: bool = True

    def __post_init__(self) -> None:
        check_range("images", self.images, 1, 64)
        if self.golden_size is not None:
            if self.golden_size % STRIDES[-1]:
                raise ConfigError(f"golden_size: {quote(self.golden_size)} is not a multiple of {STRIDES[-1]}")
            check_range("golden_size", self.golden_size, STRIDES[-1], MAX_SIDE)


@dataclass(frozen=True)
class NirConfig:
    """What can be chosen for NIR.

    Attributes:
        dense: RepConv as one convolution, which is fed by counts alone; else as three in a chain
        grouped: keep depthwise convolutions as such; else they are written as full ones, mostly of zeros, because
            nir.read (1.0.8) takes convolutions in groups only with type_check=False
    """

    dense: bool = True
    grouped: bool = False


@dataclass(frozen=True)
class QonnxConfig(SlotCodeConfig):
    """What can be chosen for QONNX."""


@dataclass(frozen=True)
class WebConfig:
    """What can be chosen for a page.

    Attributes:
        dense: one convolution a unit, whose sums no browser rounds, so that the page gives the same as Python to the
            last bit; else the folded form, with less to download
        thresholds: of detections when the page is opened
        runtime_files: a folder with ONNX Runtime's files for browsers; fetched once unless given

    Raises:
        ConfigError: the folder does not hold the files of the version that is needed.
    """

    dense: bool = True
    thresholds: Thresholds = field(default_factory=Thresholds)
    runtime_files: str | None = None

    def __post_init__(self) -> None:
        if self.runtime_files is not None:
            check_runtime(Path(self.runtime_files))
