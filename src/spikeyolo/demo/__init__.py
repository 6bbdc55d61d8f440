"""Generated data for the demo and the tests."""

from .event_camera import CameraConfig, EventCamera, film
from .event_scene import EVENT_CLASSES, EventDifficulty, EventScene, random_event_scene
from .event_stream import noise_stream
from .recordings import RecordingsConfig, event_recording, recording_scene, recordings_complete, write_recordings
from .scene import CLASS_NAMES, MIN_VISIBLE, Difficulty, Scene, random_scene
from .shapes import ShapesConfig, is_complete, shapes_scene, write_shapes
from .video import moving_scenes, write_video

__all__ = [
    "CLASS_NAMES",
    "EVENT_CLASSES",
    "MIN_VISIBLE",
    "CameraConfig",
    "Difficulty",
    "EventCamera",
    "EventDifficulty",
    "EventScene",
    "RecordingsConfig",
    "Scene",
    "ShapesConfig",
    "event_recording",
    "film",
    "is_complete",
    "moving_scenes",
    "noise_stream",
    "random_event_scene",
    "random_scene",
    "recording_scene",
    "recordings_complete",
    "shapes_scene",
    "write_recordings",
    "write_shapes",
    "write_video",
]
