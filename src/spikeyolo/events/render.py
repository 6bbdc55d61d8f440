"""Recordings rendered to what the network sees."""

from __future__ import annotations

import numpy as np

from ..imaging.letterbox import letterbox
from ..placement import Placement
from .event_input import EventInput
from .recording import Recording
from .types import Events


def render(recording: Recording, end_us: int, event_input: EventInput) -> tuple[np.ndarray, Placement]:
    """Return the frames of the window that ends at an instant, on the canvas that the network sees.

    Args:
        recording: where the events are; before its start and after its end there are none.
        end_us: the instant; its own events are not part of the window.
        event_input: how.

    Returns:
        (T, C, H, W) float32 (uint8 for representations of grey values), and where the sensor lies on the canvas.
    """
    events = recording.window(end_us - event_input.window_us, end_us)
    frames, placement = render_events(events, end_us, recording.sensor_size_hw, event_input)
    return (frames if event_input.is_grey else frames.astype(np.float32, copy=False)), placement


def render_events(
    events: Events, end_us: int, sensor_size_hw: tuple[int, int], event_input: EventInput
) -> tuple[np.ndarray, Placement]:
    """Return the same for the events of such a window, read already, in the type of `frames_of`."""
    frames = frames_of(events, end_us, sensor_size_hw, event_input)
    frames = event_input.in_order(frames, np.random.default_rng(abs(end_us)))
    return on_canvas(frames, sensor_size_hw, event_input)


def frames_of(events: Events, end_us: int, sensor_size_hw: tuple[int, int], event_input: EventInput) -> np.ndarray:
    """Return the frames of the window that ends at an instant, oldest first, not yet on the canvas.

    Returns:
        (T, C, H, W), H and W those of the sensor over `downscale`: uint8 for representations of grey values, int8 for
        counts, int16 where one is above 127, float32 for others and where one is above 32767.
    """
    p = event_input
    if p.downscale > 1:
        factor = np.uint16(p.downscale)
        events = Events(events.t_us, events.x // factor, events.y // factor, events.polarity)
    frame_hw = p.frame_hw(sensor_size_hw)
    return p.representation.render_narrow(events, end_us - p.window_us, end_us, frame_hw, p.timesteps)


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
        return canvas, Placement(sensor_size_hw, scale_xy, inner.offset_xy)
    rows, columns = frames.shape[-2:]
    if (rows, columns) != canvas_hw:
        canvas = np.full((*frames.shape[:-2], *canvas_hw), event_input.nothing, frames.dtype)
        canvas[..., :rows, :columns] = frames
        frames = canvas
    return np.ascontiguousarray(frames), Placement(sensor_size_hw, (scale, scale))
