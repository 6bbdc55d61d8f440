"""Recordings rendered to what the network sees."""

from __future__ import annotations

import numpy as np

from ..imaging.letterbox import letterbox
from ..placement import Placement
from .event_input import EventInput
from .recording import Recording
from .representations import check_memory
from .types import Events
from .windows import Window, window_before


def render(recording: Recording, end_us: int, event_input: EventInput) -> tuple[np.ndarray, Placement]:
    """Return the frames of the window that ends at an instant, on the canvas that the network sees.

    Args:
        recording: where the events are; before its start and after its end there are none.
        end_us: the instant; its own events are not part of the window.
        event_input: how.

    Returns:
        (T, C, H, W) float32 (uint8 for representations of grey values), and where the sensor lies on the canvas.
    """
    window = window_before(recording, end_us, event_input)
    frames, placement = render_window(window, recording.sensor_size_hw, event_input)
    return (frames if event_input.is_grey else frames.astype(np.float32, copy=False)), placement


def render_window(
    window: Window, sensor_size_hw: tuple[int, int], event_input: EventInput
) -> tuple[np.ndarray, Placement]:
    """Return the same for a window that was read already, in the type of `frames_of`."""
    frames = frames_of_window(window, sensor_size_hw, event_input)
    frames = event_input.in_order(frames, np.random.default_rng(abs(window.end_us)))
    return on_canvas(frames, sensor_size_hw, event_input)


def frames_of_window(window: Window, sensor_size_hw: tuple[int, int], event_input: EventInput) -> np.ndarray:
    """Return the frames of a window, oldest first, not yet on the canvas; see `frames_of`."""
    p, parts = event_input, window.timesteps
    if parts is None:
        return frames_of(window.events, window.end_us, sensor_size_hw, p)
    check_memory((len(parts), p.channels, *p.frame_hw(sensor_size_hw)))
    frames, stop = [], 0
    for part in parts:
        stop += len(part.events)
        events, start_us = (
            (window.events[:stop], parts[0].start_us) if p.representation.looks_back else (part.events, part.start_us)
        )
        frames.append(_rendered(events, start_us, part.end_us, sensor_size_hw, p, 1)[0])
    return np.stack(frames)


def frames_of(events: Events, end_us: int, sensor_size_hw: tuple[int, int], event_input: EventInput) -> np.ndarray:
    """Return the frames of the window of time that ends at an instant, oldest first, not yet on the canvas.

    Returns:
        (T, C, H, W), H and W those of the sensor, or of the region in it, over `downscale`: uint8 for representations
        of grey values, int8 for counts, int16 where one is above 127, float32 for others and where one is above 32767.
    """
    assert event_input.window_us is not None  # of windows of a number of events it is not this function's part
    start_us = end_us - event_input.window_us
    return _rendered(events, start_us, end_us, sensor_size_hw, event_input, event_input.timesteps)


def _rendered(
    events: Events, start_us: int, end_us: int, sensor_size_hw: tuple[int, int], p: EventInput, timesteps: int
) -> np.ndarray:
    if p.downscale > 1:
        factor = np.uint16(p.downscale)
        events = Events(events.t_us, events.x // factor, events.y // factor, events.polarity)
    return p.representation.render_narrow(events, start_us, end_us, p.frame_hw(sensor_size_hw), timesteps)


def on_canvas(
    frames: np.ndarray, sensor_size_hw: tuple[int, int], event_input: EventInput
) -> tuple[np.ndarray, Placement]:
    """Return frames (T, C, H, W) put on the canvas, and how boxes in pixels of the *sensor* are put there."""
    canvas_hw, scale = event_input.canvas_hw(sensor_size_hw), 1 / event_input.downscale
    if event_input.letterbox is not None:
        placed = [letterbox(np.ascontiguousarray(frame.transpose(1, 2, 0)), canvas_hw) for frame in frames]
        canvas = np.stack([image.transpose(2, 0, 1) for image, _ in placed])
        inner = placed[0][1]
        scale_xy = (inner.scale_xy[0] * scale, inner.scale_xy[1] * scale)
        return canvas, _placed(event_input, sensor_size_hw, scale_xy, inner.offset_xy)
    rows, columns = frames.shape[-2:]
    if (rows, columns) != canvas_hw:
        canvas = np.full((*frames.shape[:-2], *canvas_hw), event_input.nothing, frames.dtype)
        canvas[..., :rows, :columns] = frames
        frames = canvas
    return np.ascontiguousarray(frames), _placed(event_input, sensor_size_hw, (scale, scale), (0.0, 0.0))


def _placed(
    event_input: EventInput, sensor_size_hw: tuple[int, int], scale_xy: tuple[float, float], at_xy: tuple[float, float]
) -> Placement:
    """How the sensor lies on the canvas, given where the frames do, which may be a region of it."""
    x0, y0 = event_input.filters.offset_xy
    return Placement(sensor_size_hw, scale_xy, (at_xy[0] - x0 * scale_xy[0], at_xy[1] - y0 * scale_xy[1]))
