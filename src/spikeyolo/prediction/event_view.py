"""Windows of a recording to look at one after the other: a page with a slider, or a video."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..data.events.columns import corners
from ..errors import ConfigError
from ..events import Recording
from ..files import write_whole
from ..imaging.draw import class_colour, draw_boxes, ink_on
from ..imaging.lettering import letter
from ..text import visible
from .events import events_image
from .sources import MAX_FPS
from .writers import video_file

TEMPLATE = Path(__file__).with_name("event_page.html")
MAX_PAGE_BYTES = 256 * 10**6
PAD, LETTERS = 6, 18  # pixels of the line under a frame of the video


@dataclass(frozen=True, eq=False)
class Shot:
    """A window of a recording.

    Attributes:
        start_us: where it begins.
        brighter: events in it of polarity 1.
        darker: events of polarity 0.
        image: (H, W, 3) uint8 RGB, brighter ones red, darker ones blue.
        boxes: (N,) BOX_DTYPE, those that were labelled last in it.
    """

    start_us: int
    brighter: int
    darker: int
    image: np.ndarray
    boxes: np.ndarray

    def drawn(self, names: Sequence[str], enlarged: int = 1) -> np.ndarray:
        """Return the image with its boxes, each pixel as so many along x and y."""
        image = self.image.repeat(enlarged, axis=0).repeat(enlarged, axis=1)
        return draw_boxes(image, corners(self.boxes) * enlarged, self.boxes["class_id"], names)


def shots_of(recording: Recording, begins: Sequence[int], window_us: int, boxes: np.ndarray) -> Iterator[Shot]:
    """Yield windows of a recording.

    Args:
        recording: where the events are.
        begins: where they begin, in microseconds.
        window_us: their length.
        boxes: (N,) BOX_DTYPE, the labels.
    """
    for begin in begins:
        end = begin + window_us
        events = recording.window(begin, end)
        own = boxes[(boxes["t"] > begin) & (boxes["t"] <= end)]
        own = own[own["t"] == own["t"].max()] if len(own) else own
        brighter = int(events.polarity.sum())
        image = events_image(events, begin, end, recording.sensor_size_hw)
        yield Shot(begin, brighter, len(events) - brighter, image, own)


def write_view_page(
    file: Path, title: str, about: str, shots: Iterator[Shot], window_us: int, names: Sequence[str]
) -> None:
    """Write a page that holds everything it shows, and asks nothing of a network.

    Raises:
        ConfigError: it would be larger than 256 MB.
        WriteError: the file cannot be written.
    """
    from jinja2 import Environment
    from markupsafe import Markup

    found, size, size_hw, used = list[dict[str, Any]](), 0, (1, 1), set[int]()
    for shot in shots:
        address, size_hw = _png(shot.image), shot.image.shape[:2]
        size += len(address)
        if size > MAX_PAGE_BYTES:
            raise ConfigError(f"events view: more than {MAX_PAGE_BYTES / 1e6:g} MB of images; show fewer windows")
        labels = shot.boxes["class_id"].tolist()
        used.update(labels)
        boxes = [
            [*(round(side, 2) for side in sides), visible(names[label]), label]
            for sides, label in zip(corners(shot.boxes).tolist(), labels, strict=True)
        ]
        found.append(
            {
                "start_us": shot.start_us,
                "brighter": shot.brighter,
                "darker": shot.darker,
                "image": address,
                "boxes": boxes,
            }
        )
    most = max(one["brighter"] + one["darker"] for one in found)
    colours = {label: [f"rgb{class_colour(label)}", f"rgb{ink_on(class_colour(label))}"] for label in used}
    data = {"shots": found, "most": max(most, 1), "window_us": window_us, "colours": colours, "size_hw": size_hw}
    # Within a script nothing is escaped: without < nothing of the user's can end it.
    text = Markup(json.dumps(data).replace("<", "\\u003c"))
    page = Environment(autoescape=True).from_string(TEMPLATE.read_text(encoding="utf-8"))
    written = page.render(
        title=visible(title), about=about, size_hw=size_hw, windows=len(found), most=f"{most:,}", data=text
    )
    write_whole(file, written.encode())


def write_view_video(file: Path, shots: Iterator[Shot], window_us: int, names: Sequence[str], enlarged: int) -> None:
    """Write an MP4 at the recording's own pace, with time and numbers of events under each window.

    Raises:
        WriteError: the file cannot be written.
    """
    first = next(shots)
    frame = _captioned(first, names, enlarged)
    with video_file(file, min(1e6 / window_us, MAX_FPS), frame.shape[:2]) as add:
        add(frame)
        for shot in shots:
            add(_captioned(shot, names, enlarged))


def _captioned(shot: Shot, names: Sequence[str], enlarged: int) -> np.ndarray:
    """A window with a line under it; rows and columns are even, as players want them."""
    image = shot.drawn(names, enlarged)
    rows, columns = image.shape[:2]
    labelled = f"{len(shot.boxes)} box{'' if len(shot.boxes) == 1 else 'es'}"
    words = f"{shot.start_us / 1e6:.3f} s   {shot.brighter:,} brighter   {shot.darker:,} darker   {labelled}"
    line = letter([words], LETTERS, (28, 35, 48)).image.convert("RGBA")
    if line.width > columns - 2 * PAD:
        line = line.resize((columns - 2 * PAD, max(line.height * (columns - 2 * PAD) // line.width, 1)))
    height = rows + LETTERS + 3 * PAD
    frame = np.full((height + height % 2, columns + columns % 2, 3), 255, np.uint8)
    frame[:rows, :columns] = image
    ink, alpha = np.asarray(line)[..., :3], np.asarray(line)[..., 3:] / 255
    place = frame[rows + PAD : rows + PAD + line.height, PAD : PAD + line.width]
    place[:] = place + (ink[: len(place)].astype(float) - place) * alpha[: len(place)]
    return frame


def _png(image: np.ndarray) -> str:
    import cv2

    written, content = cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))
    assert written
    return "data:image/png;base64," + base64.b64encode(content.tobytes()).decode()
