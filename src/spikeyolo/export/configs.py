"""What can be chosen for each format: one class a format, so that an option that does not apply cannot be given.

No torch: what cannot work is refused before anything heavy is imported.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..artefact import Outputs
from ..detection.thresholds import Thresholds
from ..errors import ConfigError
from ..limits import MAX_BATCH, check_range

Precision = Literal["float32", "float16", "int8"]


@dataclass(frozen=True)
class GraphConfig:
    """What is written as one graph for a runtime.

    Attributes:
        precision: float32, float16, or int8 weights on counts
        dense: RepConv as one convolution, which is fed by counts alone; else as three, with fewer operations
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
class IntegerOnnxConfig:
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
class IntegerConfig:
    """The package for chips.

    Attributes:
        images: golden images at most, the first of the samples
        golden_size: rows and columns cut from the middle of each, a multiple of 32; the whole image unless given
        check: run reference.py on the package before it is handed over
    """

    images: int = 1
    golden_size: int | None = None
    check: bool = True

    def __post_init__(self) -> None:
        check_range("images", self.images, 1, MAX_BATCH)
        if self.golden_size is not None and (self.golden_size < 32 or self.golden_size % 32):
            raise ConfigError(f"golden_size: {self.golden_size} is not a multiple of 32")


@dataclass(frozen=True)
class QonnxConfig:
    """QONNX: nothing to choose."""
