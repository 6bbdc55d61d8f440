"""`spikeyolo export`: a network for another runtime, or for a chip."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from ..artefact import Outputs
from ..exporting.configs import Precision
from ..terminal import say
from .options import Overwrite, Weights


@dataclass(frozen=True)
class Choices:
    """What formats let one choose; a format that does not have it refuses it.

    Attributes:
        precision: float32, float16, or int8 (weights of 8 bits on whole counts)
        dense: each RepConv as one convolution that is fed by counts alone; else as three with fewer operations
        outputs: boxes (and scores), logits, or detections (overlapping boxes dropped inside)
        preprocessing: take bytes 0..255 and divide inside; else numbers 0..1
        batch: images of a run (1 unless given)
        dynamic_batch: any number of images
        dynamic_size: any rows and columns that are multiples of 32
        streaming: one timestep a run; membrane potentials come in and go out
        signed: with int8, the form that TensorRT takes
        conf: with --outputs detections, least score
        iou: with --outputs detections, overlap over which the weaker box is dropped
        max_det: with --outputs detections, most detections
        images: of integer, golden images
        golden_size: of integer, rows and columns cut from the middle of each golden image
        check: of integer, run its reference.py before it is handed over
        grouped: of nir, depthwise convolutions as such, which nir.read takes only with type_check=False
    """

    precision: Precision | None = None
    dense: bool | None = None
    outputs: Outputs | None = None
    preprocessing: bool | None = None
    batch: int | None = None
    dynamic_batch: bool | None = None
    dynamic_size: bool | None = None
    streaming: bool | None = None
    signed: bool | None = None
    conf: float | None = None
    iou: float | None = None
    max_det: int | None = None
    images: int | None = None
    golden_size: int | None = None
    check: bool | None = None
    grouped: bool | None = None


NOTHING = Choices()


def export(
    weights: Weights,
    format: str = "onnx",
    out: str | None = None,
    choices: Choices = NOTHING,
    imgsz: int | None = None,
    sensor: list[int] | None = None,
    samples: list[str] | None = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a network for another runtime or for a chip, and measure how close that comes to PyTorch.

    Formats: onnx (ONNX Runtime, TensorRT), openvino, integer-onnx (integer operators alone), integer (a folder from
    which hardware can be written and checked bit by bit), qonnx (FINN), nir. An option that a format does not have is
    refused.

    Args:
        format: onnx, openvino, integer-onnx, integer, qonnx or nir
        out: the file or folder to write; beside the weights unless given
        imgsz: side of the square that the network is to see, in place of its own
        sensor: rows and columns of the event camera, for a network whose frames keep its size
        samples: images to measure on, and to find the ranges of int8 on; generated unless given

    Examples:
        spikeyolo export --weights best.safetensors --format onnx --out model.onnx
        spikeyolo export --weights best.safetensors --format openvino --precision int8 --out openvino/
        spikeyolo export --weights best.safetensors --format integer --out chip/
    """
    from ..exporting.export import export as write

    given = {name: value for name, value in asdict(choices).items() if value is not None}
    done = write(weights, format, out, imgsz=imgsz, sensor=sensor, samples=samples or (), overwrite=overwrite, **given)
    say(f"written to {done.path}: {done.format}, {done.size / 1e6:.1f} MB")
    if done.parity is not None:
        say(f"beside PyTorch: {done.parity}")
    if done.program is not None:
        say(f"python {done.program} IMAGE OUT finds objects without spikeyolo")
