"""From how many images on another engine pays: the time to write and compile a network, beside what an image saves.

    python benchmarks/engine_start.py --model t --imgsz 256 --threads 2

`spikeyolo.exporting.engines.WORTH` rests on it: parameters * pixels * images at which both are even.
"""

import sys
import time

import numpy as np
import torch

from spikeyolo import SpikeYOLO
from spikeyolo.cli.main import run_script
from spikeyolo.exporting.engines import FASTEST, in_engine
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.model.detecting import Detecting


def seconds_an_image(model: Detecting, images: torch.Tensor, repeats: int) -> float:
    """Return the median; the first is left out."""
    taken = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        with torch.inference_mode():
            model.look(model.prepare(images))
        taken.append(time.perf_counter() - start)
    return float(np.median(taken[1:]))


def main(model: str = "t", imgsz: int = 256, threads: int = 1, repeats: int = 5) -> None:
    """Print a line for each engine.

    Args:
        model: preset
        imgsz: side of the images
        threads: of every engine
        repeats: images timed
    """
    torch.set_num_threads(threads)
    seen = ImageInput.of(imgsz)
    folded = SpikeYOLO(model, input=seen).eval().fold()
    images = torch.randint(0, 256, (1, 3, imgsz, imgsz), dtype=torch.uint8)
    pixels, numbers = imgsz * imgsz, sum(parameter.numel() for parameter in folded.parameters())
    print(f"{model} at {imgsz}, {threads} threads, {numbers / 1e6:.1f} million parameters")
    for engine in FASTEST:
        start = time.perf_counter()
        detector = in_engine(folded, seen, engine)
        begun = time.perf_counter() - start
        ours, theirs = (seconds_an_image(one, images, repeats) for one in (detector, folded))
        even = begun / (theirs - ours) if theirs > ours else float("inf")
        print(
            f"{detector.engine}: {begun:.2f} s to begin, {ours * 1e3:.0f} ms an image, torch {theirs * 1e3:.0f} ms; "
            f"even after {even:.1f} images, {even * pixels * numbers:.1e}"
        )


if __name__ == "__main__":
    sys.exit(run_script(main, sys.argv[1:]))
