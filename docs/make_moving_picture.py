"""Make docs/moving.webp: on the left cells under a moving view, on the right wheels in a stream of events.

    python docs/make_moving_picture.py docs/moving.webp

Needs the extra `track`, takes half a minute, and gives the same boxes each time. Everything is found by networks that
come with the package, in what they were not trained on:

- left: `spikeyolo predict --weights t-bccd --source cells.mp4 --track --imgsz 192`, the video being a view that goes
  around once over the last of the four sample images, a test image of BCCD;
- right: `spikeyolo predict --weights t-events --source wheels_td.dat --track --carry`, the recording being the first of
  split test and seed 1000, that of the samples, which has all four classes; shown at 0.6 of its speed, from its second
  timestep on, as the first alone is half a window.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

import spikeyolo
from spikeyolo.demo.samples import SEED
from spikeyolo.events import write_dat
from spikeyolo.imaging.draw import draw_boxes
from spikeyolo.imaging.io import read_rgb
from spikeyolo.prediction.result import FrameResult
from spikeyolo.prediction.writers import video_file
from spikeyolo.synthetic.event_scene import EventDifficulty
from spikeyolo.synthetic.recordings import RecordingsConfig, event_recording, recording_scene
from spikeyolo.weights.shipped import SAMPLES

FRAMES, FPS, CONF, GAP = 60, 12, 0.3, 4
VIEW_HW = 336, 448
SENSOR_HW, ENLARGED = (112, 144), 3
TRAINED_SIDE = 96
"""Of the sensor that `t-events` was trained on; things here have as many pixels as there."""


def panned(image: np.ndarray, frames: int) -> Iterator[np.ndarray]:
    """A view of VIEW_HW that goes around once on the image, as far out as it can."""
    rows, columns = (side - view for side, view in zip(image.shape, VIEW_HW, strict=False))
    for turn in np.arange(frames) * (2 * math.pi / frames):
        centre = image.shape[1] / 2 - columns / 2 * math.cos(turn), image.shape[0] / 2 - rows / 2 * math.sin(turn)
        yield cv2.getRectSubPix(image, VIEW_HW[::-1], (centre[0] - 0.5, centre[1] - 0.5))


def cells(folder: Path, frames: int = FRAMES) -> list[FrameResult]:
    """What `t-bccd` finds and the tracker follows in the video, which goes around once."""
    video, image = folder / "cells.mp4", read_rgb(max((SAMPLES / "images").glob("*.jpg")))
    with video_file(video, FPS, VIEW_HW) as add:
        for view in panned(image, frames):
            add(view)
    return list(spikeyolo.predict("t-bccd", video, track=True, imgsz=192, conf=CONF, engine="torch"))


def wheels(folder: Path, frames: int = FRAMES) -> list[FrameResult]:
    """What `t-events` finds and the tracker follows in the recording, potentials carried on, so many timesteps."""
    scale = TRAINED_SIDE / min(SENSOR_HW)
    usual = EventDifficulty()
    difficulty = EventDifficulty(
        objects=4,
        radius=(usual.radius[0] * scale, usual.radius[1] * scale),
        speed=(usual.speed[0] * scale, usual.speed[1] * scale),
        ground_speed=usual.ground_speed * scale,
    )
    config = RecordingsConfig(SEED, size_hw=SENSOR_HW, duration_us=50_000 * (1 + FRAMES), difficulty=difficulty)
    number = 0
    while len({actor.label for actor in recording_scene(config, "test", number).actors}) < len(config.classes):
        number += 1
    recording = folder / "wheels_td.dat"
    write_dat(recording, event_recording(config, "test", number)[0], SENSOR_HW)
    steps = spikeyolo.predict("t-events", recording, track=True, carry=True, conf=CONF, engine="torch")
    return list(islice(steps, 1, 1 + frames))  # from the first whole window on


def drawn(result: FrameResult, times: int) -> np.ndarray:
    """The frame, each pixel as so many along x and y, with what was found on it."""
    found, image = result.detections, result.image.repeat(times, axis=0).repeat(times, axis=1)
    return draw_boxes(image, found.boxes * times, found.labels, found.names or (), found.scores, result.track_ids)


def main(out: Path) -> None:
    """Write the moving picture."""
    with tempfile.TemporaryDirectory() as folder:
        pairs = zip(cells(Path(folder)), wheels(Path(folder)), strict=True)
        gap = np.full((VIEW_HW[0], GAP, 3), 128, np.uint8)
        sheets = [np.concatenate([drawn(left, 1), gap, drawn(right, ENLARGED)], axis=1) for left, right in pairs]
    first, *others = map(Image.fromarray, sheets)
    first.save(out, save_all=True, append_images=others, duration=round(1000 / FPS), loop=0, quality=35, method=6)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
